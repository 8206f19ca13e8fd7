package plugin

import (
	"context"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/view"
)

func (o *options) statusCommand() *cobra.Command {
	return o.answering(&cobra.Command{
		Use:   "status",
		Short: "Show how the cluster stands: what is wrong first, then every node",
		Long: `Shows how the cluster stands: what is wrong first, then each node with those that
need a look on top.

STATE is the agent's own word, or NoGuard, NoAgent, OldBoot, Silent where it has
none that counts. T is the watchdog's timeout, W how long after its right to run was
withdrawn a node provably cannot write. LOST BY says how many of those that watch a
node do not hear it. ✓ marks a watchdog that has passed its self-test.`,
		Example: `  kubectl picket status
  kubectl picket status -o wide
  kubectl picket status -o json | jq -r '.nodes[] | select(.armed | not) | .name'
  kubectl picket status >/dev/null || echo "look at it"    # 1 degraded, 2 fencing`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.show(c, func(ctx context.Context, conn *connection) (view.Answer, error) {
				s, err := conn.read(ctx, o, fences|policy|leader)
				if err != nil {
					return nil, err
				}
				return s.Status(), nil
			})
		},
	})
}

func (o *options) timelineCommand() *cobra.Command {
	var fence string
	c := o.answering(&cobra.Command{
		Use:   "timeline NODE",
		Short: "Tell why a node was fenced, and each step with its rule and seconds",
		Long: `Tells the story of a node's newest fence: why it was made and on whose word, each
step with the seconds since the first and the number of its rule, how it stands, and
what happens next if nothing changes. Dim lines are Kubernetes events, which know
whole seconds only and are kept for an hour, as are fences that have ended.`,
		Example: `  kubectl picket timeline worker-3
  kubectl picket timeline worker-3 -w                      # follow it
  kubectl picket timeline worker-3 --fence worker-3-x7k2p  # an older one`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			return o.show(c, func(ctx context.Context, conn *connection) (view.Answer, error) {
				s, err := conn.read(ctx, o, fences|policy|events)
				if err != nil {
					return nil, err
				}
				return s.Timeline(args[0], fence)
			})
		},
	})
	c.Flags().StringVar(&fence, "fence", "", "name of the NodeFence; empty: the newest")
	return c
}

func (o *options) matrixCommand() *cobra.Command {
	var by string
	c := o.answering(&cobra.Command{
		Use:   "matrix",
		Short: "Show who hears whom, and whether it is a host, a rack or a path",
		Long: `Shows who hears whom, and what that adds up to: a host, a whole rack's uplink, the
path between two racks, or the agents' port. Failure domains come from the node label
--failure-domain-label; a large cluster is shown by them unless you ask otherwise.`,
		Example: `  kubectl picket matrix
  kubectl picket matrix --by node
  kubectl picket matrix --by zone
  kubectl picket matrix --by topology.kubernetes.io/rack`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.show(c, func(ctx context.Context, conn *connection) (view.Answer, error) {
				s, err := conn.read(ctx, o, 0)
				if err != nil {
					return nil, err
				}
				return s.Matrix(labelOf(by)), nil
			})
		},
	})
	c.Flags().StringVar(&by, "by", "", "node, zone, rack, or any node label; empty: nodes if they fit")
	_ = c.RegisterFlagCompletionFunc("by", cobra.FixedCompletions([]string{"node", "zone", "rack"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return c
}

// labelOf returns the label that a short word stands for.
func labelOf(by string) string {
	switch by {
	case "zone":
		return "topology.kubernetes.io/zone"
	case "rack":
		return "topology.kubernetes.io/rack"
	}
	return by
}

func (o *options) explainWaitCommand() *cobra.Command {
	return o.answering(&cobra.Command{
		Use:   "explain-wait NODE",
		Short: "Show the formula of a node's wait, with its numbers",
		Long: `Shows the formula of W with the node's numbers, what each term bounds and where it
comes from, and what lies before and after W between a power cut and the taint.`,
		Example:           `  kubectl picket explain-wait worker-3`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			return o.show(c, func(ctx context.Context, conn *connection) (view.Answer, error) {
				s, err := conn.read(ctx, o, 0)
				if err != nil {
					return nil, err
				}
				return s.ExplainWait(args[0])
			})
		},
	})
}

// completeNodes completes the name of a node.
func (o *options) completeNodes(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	conn, err := o.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	ctx, cancel := context.WithTimeout(c.Context(), watchEvery)
	defer cancel()
	list, err := conn.picket.NodeGuards.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, g := range list.Items {
		names = append(names, g.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
