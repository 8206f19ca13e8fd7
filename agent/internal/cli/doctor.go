package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/picket-dev/picket/agent/internal/daemon"
	"github.com/picket-dev/picket/agent/internal/doctor"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/proto/finding"
	"github.com/picket-dev/picket/proto/screen"
)

// doctorCommand looks whether this node can be guarded. Without a running agent it
// looks at the host alone.
func doctorCommand() *cobra.Command {
	var f watchdogFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what keeps this node from being guarded, each with what mends it",
		Long: "Looks at the host and asks the agent: the watchdogs and who has them, systemd, the holder's\n" +
			"protection, sysrq, clocks, kernel settings, both directions to each peer, and how fast the API\n" +
			"servers answer against L. It changes nothing, opens no watchdog, and works without an agent.\n" +
			"`kubectl picket doctor` looks at the cluster. RUNBOOK.md has an entry for each finding.\n" +
			"Exit code: 0 no error, 1 errors were found, 2 not everything could be looked at.",
		Example: "  picket-agent doctor\n" +
			"  picket-agent doctor -o json | jq -r '.findings[] | select(.severity == \"error\") | .id'\n" +
			"  kubectl -n picket exec POD -- /usr/local/bin/picket-agent doctor",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.examine(cmd.Context(), cmd.OutOrStdout()) },
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.root, "root", hostRoot(), "the host's root directory, with its sys, dev, proc and run")
	return cmd
}

// examine looks, shows what was found, and makes an exit code of it.
func (f watchdogFlags) examine(ctx context.Context, out io.Writer) error {
	if err := f.check(); err != nil {
		return &state{finding.CodeUnseen, err.Error()}
	}
	r := doctor.Examine(f.facts(ctx))
	if err := f.render(out, func() ([]byte, error) { return value(r) }, func(s *screen.Screen) { r.Draw(s) }); err != nil {
		return &state{finding.CodeUnseen, err.Error()}
	}
	switch code := r.Code(); code {
	case finding.CodeErrors:
		return &state{code, fmt.Sprintf("%s: %s", r.Findings[0].ID, r.Findings[0].What)}
	case finding.CodeUnseen:
		return &state{code, "not everything could be looked at"}
	}
	return nil
}

// facts collects what there is to judge.
func (f watchdogFlags) facts(ctx context.Context) doctor.Facts {
	d := daemon.Default()
	facts := doctor.Read(ctx, host.Config{Root: f.root, Run: d.Run, State: d.State, BreakGlass: d.BreakGlass})
	facts.Node = cmp.Or(d.Node, facts.Node)
	status, err := askStatus(ctx, f.run, 0)
	if err != nil {
		facts.Agent.Trouble = err.Error()
	} else {
		facts.Agent.Status, facts.Node = status, status.GetNode()
	}
	prefer, _, err := f.preference(ctx)
	if err == nil {
		facts.Dogs.Choice, facts.Dogs.Verdicts, _, err = f.choose(prefer)
		facts.Dogs.RealTimeout = prefer.Profile.RealTimeout
	}
	if err != nil {
		facts.Dogs.Trouble = err.Error()
	}
	return facts
}
