package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/picket-dev/picket/controller/internal/doctor"
	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/finding"
	"github.com/picket-dev/picket/proto/screen"
)

func (o *options) doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what in this cluster stands in the way of a fence",
		Long: `Looks at the cluster, before Picket is installed or after: versions, the controller
manager's and the kubelets' times, storage that nothing holds back, pods that no fence
moves, fail-closed webhooks, network agents that a quarantine evicts, reads that come
from the past, and Picket's own objects, agents and witnesses. It changes nothing.

It reads with your rights; what you may not read is said, with the right that it
takes. A node's own side is shown by picket-agent doctor. RUNBOOK.md has an entry for
each finding.

Exit codes: 0 no error, 1 errors were found, 2 not everything could be looked at.`,
		Example: `  kubectl picket doctor
  kubectl picket doctor -o json | jq -r '.findings[] | select(.severity == "error") | .id'
  kubectl picket doctor >/dev/null || echo "not ready"`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.examine(c) },
	}
	c.Flags().StringVarP(&o.output, "output", "o", "table", "table, wide, json or yaml")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "wide", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return c
}

// examine looks, shows what was found, and makes an exit code of it.
func (o *options) examine(c *cobra.Command) error {
	r, err := o.diagnose(c.Context())
	if err == nil {
		err = render(screen.On(c.OutOrStdout(), o.env.Getenv), o.output, diagnosis{r})
	}
	if err != nil {
		fmt.Fprintln(c.ErrOrStderr(), "kubectl picket:", err)
		return &verdict{finding.CodeUnseen}
	}
	if code := r.Code(); code != finding.CodeFine {
		return &verdict{code}
	}
	return nil
}

// diagnose reads the cluster and judges it.
func (o *options) diagnose(ctx context.Context) (*finding.Report, error) {
	if err := checkOutput(o.output); err != nil {
		return nil, err
	}
	conn, err := o.connect()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	facts, err := conn.facts(ctx, o)
	if err != nil {
		return nil, conn.explain(err)
	}
	return doctor.Examine(facts), nil
}

// A diagnosis is the report as an answer.
type diagnosis struct{ *finding.Report }

// Health is degraded by any error.
func (d diagnosis) Health() view.Health {
	if d.Worst() == finding.Error {
		return view.Degraded
	}
	return view.Fine
}

// JSON is the report itself.
func (d diagnosis) JSON() any { return d.Report }

// Draw draws the report; wide wraps nothing.
func (d diagnosis) Draw(s *screen.Screen, wide bool) {
	if wide {
		s.Width = 0
	}
	d.Report.Draw(s)
}
