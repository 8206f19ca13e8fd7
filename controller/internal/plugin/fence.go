package plugin

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/screen"
)

// fenceFlags are those of `fence`.
type fenceFlags struct {
	reason string
	yes    bool
}

func (o *options) fenceCommand() *cobra.Command {
	var f fenceFlags
	c := &cobra.Command{
		Use:   "fence NODE",
		Short: "Ask for a fence: the node is reset, and its volumes move",
		Long: `Makes a NodeFence. The controller withdraws the node's right to run (C3): if it is
up, it resets itself at once. After the wait, or as soon as it has booted anew, the
fence ends; volumes move only if it did not come back before.

This is no shortcut: the wait is kept. If you know that the machine is off, end the
wait with kubectl picket confirm.`,
		Example: `  kubectl picket fence worker-3
  kubectl picket fence worker-3 --yes --reason DiskFailing`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			conn, err := o.connect()
			if err != nil {
				return err
			}
			return conn.explain(conn.fence(c, o, args[0], f))
		},
	}
	c.Flags().StringVar(&f.reason, "reason", v1alpha1.ReasonRequested, "one CamelCase word for the NodeFence")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	return c
}

func (c *connection) fence(cmd *cobra.Command, o *options, node string, f fenceFlags) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if slices.Contains([]string{v1alpha1.ReasonPeersLost, v1alpha1.ReasonKubeletSilent, "Orphaned"}, f.reason) {
		return fmt.Errorf("--reason %s: that one is the controller's own; choose another word", f.reason)
	}
	s, err := c.read(ctx, o, fences|policy)
	if err != nil {
		return err
	}
	n, err := s.Standing(node)
	if err != nil {
		return err
	}
	if n.Fence != "" {
		return fmt.Errorf("%s is being fenced already by %s (%s): kubectl picket timeline %s", node, n.Fence, n.FencePhase, node)
	}
	foretell(cmd.OutOrStdout(), n, s.Status())
	if err := confirm(cmd, f.yes, "Fence "+node+"? Type yes:", "yes"); err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(cmd.Context(), o.timeout) // the person took a while
	defer cancel()
	made, err := c.picket.NodeFences.Create(ctx, newFence(node, f.reason, c.self(ctx)))
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "nodefence %s made; follow it: kubectl picket timeline %s -w\n", made.Name, node)
	return nil
}

// maxNodeName is how much of a node's name is part of its NodeFence's.
const maxNodeName = 200

// newFence returns a NodeFence as a person makes it.
func newFence(node, reason, who string) *v1alpha1.NodeFence {
	f := &v1alpha1.NodeFence{Spec: v1alpha1.NodeFenceSpec{Node: node, Reason: reason, Requester: who}}
	f.Name = strings.TrimRight(node[:min(len(node), maxNodeName)], "-.") + "-" + rand.String(5)
	return f
}

// foretell says what a fence of the node would do.
func foretell(out io.Writer, n *view.Node, s *view.Status) {
	t := screen.Table{Flex: 1}
	say := func(format string, args ...any) {
		t.Add(screen.Say("·"), screen.Say(fmt.Sprintf(format, args...)))
	}
	switch {
	case !n.Armed:
		say("%s is %s, not armed: the fence stays Blocked until it is armed, or until you prove that it is off (kubectl picket confirm %s)", n.Name, n.Phase, n.Name)
	case len(n.LostBy) == 0:
		say("%s is up and its peers hear it: this resets a running machine, without a sync", n.Name)
	default:
		say("%s is lost by %d of the %d that watch it", n.Name, len(n.LostBy), n.Watchers)
	}
	if n.Armed {
		say("it provably cannot write %s after witnesses know that its right to run is withdrawn", screen.Seconds(n.Wait.Duration))
	}
	if n.Volumes > 0 {
		say("%s on it move if it is not back by then; writes that its pods did not sync are lost", screen.Count(n.Volumes, "volume", "volumes"))
	}
	if s.Fencing.Off != "" {
		say("fencing is off, so the fence waits: %s", s.Fencing.Off)
	}
	(&screen.Screen{Out: out, Width: proseWidth}).Table(t)
}

// proseWidth is how wide questions and warnings are: they are read as sentences.
const proseWidth = 88
