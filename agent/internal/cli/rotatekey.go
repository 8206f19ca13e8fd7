package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// rotatePoll is how often the agent is asked who knows its new key.
const rotatePoll = 500 * time.Millisecond

// rotateKeyCommand asks the agent for a new key.
func rotateKeyCommand() *cobra.Command {
	var f flags
	var check bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "rotate-key",
		Short: "Give this agent a new key, without a gap",
		Long: "Makes a new key for this agent's conversation with the others and publishes its fingerprint.\n" +
			"The others learn it from the API; until all of them have, each is shown the key that it knows.\n" +
			"The old key is forgotten a minute after the last of them has needed it. A node that has lost\n" +
			"the API cannot be told: the old key is kept while it calls, and for an hour after.\n" +
			"Every boot has a new key anyway. If a key was stolen, delete the NodeGuard instead: the agent\n" +
			"makes a new one by itself, and the thief's is nobody's to all nodes that hear from the API. One\n" +
			"that does not trusts the thief's until it does, whether this agent has forgotten it or not.\n" +
			"Exit code: 0 every neighbour that answers knows the new key; 1 not all of them do, 3 it cannot be told.",
		Example: "  picket-agent rotate-key\n" +
			"  picket-agent rotate-key --check    # who knows the newest key?",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			r, err := f.askKeys(cmd.Context(), !check)
			if err == nil && !check {
				r, err = f.awaitKeys(cmd.Context(), r, wait)
			}
			if err != nil {
				return err
			}
			return f.showKeys(cmd.OutOrStdout(), r)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "make no key, and show who knows the newest one")
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait until the neighbours know the new key")
	return cmd
}

// askKeys asks the agent for its keys, after it has made a new one.
func (f *flags) askKeys(ctx context.Context, begin bool) (*peerv1.RotateKeyReply, error) {
	const refused = "there is no new key, and the old one is in use"
	return ask(ctx, f.run, askWithin, refused, func(ctx context.Context, agent peerv1.AdminClient) (*peerv1.RotateKeyReply, error) {
		return agent.RotateKey(ctx, &peerv1.RotateKeyRequest{Begin: begin})
	})
}

// awaitKeys asks again until no neighbour waits for the key, or the time is over.
func (f *flags) awaitKeys(ctx context.Context, r *peerv1.RotateKeyReply, wait time.Duration) (*peerv1.RotateKeyReply, error) {
	over := time.After(wait)
	tick := time.NewTicker(rotatePoll)
	defer tick.Stop()
	for len(r.GetWaitsFor()) > 0 {
		select {
		case <-ctx.Done():
			return r, nil
		case <-over:
			return r, nil
		case <-tick.C:
		}
		var err error
		if r, err = f.askKeys(ctx, false); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (f *flags) showKeys(out io.Writer, r *peerv1.RotateKeyReply) error {
	err := f.render(out, func() ([]byte, error) { return message(r) }, func(s *screen.Screen) {
		var t screen.Table
		t.Add(screen.Say(r.GetFingerprint()), screen.Cell{Text: "in force", Tone: screen.Good})
		for _, old := range r.GetOld() {
			t.Add(screen.Say(old), screen.Say("kept for those that know no better"))
		}
		s.Table(t)
		if len(r.GetWaitsFor()) > 0 {
			s.Space()
			s.Line(screen.Say("Not known yet to " + strings.Join(r.GetWaitsFor(), ", ") + ": they go on under the old key until the API tells them."))
		}
		if len(r.GetAway()) > 0 {
			s.Space()
			s.Line(screen.Say("Do not answer at present: " + strings.Join(r.GetAway(), ", ") + "."))
		}
	})
	if err == nil && len(r.GetWaitsFor()) > 0 {
		return &state{exitDegraded, fmt.Sprintf("%d neighbours do not know the newest key yet", len(r.GetWaitsFor()))}
	}
	return err
}
