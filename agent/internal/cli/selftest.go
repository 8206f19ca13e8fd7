package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// selfTestPatience bounds the call: the handshake by which the node becomes
// unarmed, and the neighbours' answers.
const selfTestPatience = time.Minute

// selfTestCommand asks the agent to test the watchdog.
func selfTestCommand() *cobra.Command {
	var f flags
	var yes bool
	cmd := &cobra.Command{
		Use:   "self-test",
		Short: "Test on a drained node whether and when its watchdog resets it",
		Long: "Tests the watchdog of this node by letting it do what it is for: the node becomes unarmed,\n" +
			"its watchdog is pinged for the last time, and must reset the node, while the neighbours time it.\n" +
			"After the reboot `picket-agent watchdog` and the NodeGuard show what was found.\n" +
			"Without --yes nothing is done but to check whether the test can begin.\n" +
			"Exit code: 0 begun, or ready; 1 not ready, 3 it cannot be told.",
		Example: "  kubectl drain worker-1 --ignore-daemonsets --delete-emptydir-data\n" +
			"  picket-agent watchdog self-test         # can it begin?\n" +
			"  picket-agent watchdog self-test --yes   # resets the node",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			const refused = "the test was not begun, and the node goes on as before"
			r, err := ask(cmd.Context(), f.run, selfTestPatience, refused, func(ctx context.Context, agent peerv1.AdminClient) (*peerv1.SelfTestReply, error) {
				return agent.SelfTest(ctx, &peerv1.SelfTestRequest{Begin: yes})
			})
			if err != nil {
				return err
			}
			return f.showSelfTest(cmd.OutOrStdout(), r)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "begin: the node is reset by its watchdog within a minute")
	return cmd
}

func (f *flags) showSelfTest(out io.Writer, r *peerv1.SelfTestReply) error {
	ready := true
	for _, c := range r.GetChecks() {
		ready = ready && c.GetOk()
	}
	err := f.render(out, func() ([]byte, error) { return message(r) }, func(s *screen.Screen) {
		var t screen.Table
		for _, c := range r.GetChecks() {
			word := screen.Cell{Text: "no", Tone: screen.Bad}
			if c.GetOk() {
				word = screen.Cell{Text: "ok", Tone: screen.Good}
			}
			t.Add(screen.Say(c.GetName()), word, screen.Say(c.GetWhat()))
		}
		s.Table(t)
		switch {
		case r.GetBegun():
			s.Space()
			s.Line(screen.Cell{Tone: screen.Bad, Text: fmt.Sprintf("The watchdog got its last ping, with T=%v: it should reset the node within %v from now.",
				r.GetTimeout().AsDuration(), r.GetWithin().AsDuration())})
			s.Line(screen.Say("After the reboot: picket-agent watchdog, then kubectl uncordon."))
		case ready:
			s.Space()
			s.Line(screen.Say("Ready. Add --yes to begin: the node is then reset by its watchdog."))
		}
	})
	if err == nil && !ready {
		return &state{exitDegraded, "the test cannot begin as things are"}
	}
	return err
}
