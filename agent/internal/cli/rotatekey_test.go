package cli

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// Two real agents on loopback: one rotates its key, and the link between them
// beats on, before the other one has heard of it and after.
func TestTwoRealAgentsRotateAKey(t *testing.T) {
	a, b := newHost(t, "r1-node-1"), newHost(t, "r2-node-1")
	a.start(t, "r2-node-1", b.config.Listen, b.pin)
	stop := b.start(t, "r1-node-1", a.config.Listen, a.pin)
	heard := func(r *peerv1.StatusReply) bool {
		return len(r.GetPeers()) == 1 && !r.GetPeers()[0].GetLost() && r.GetPeers()[0].GetOutAge() != nil && r.GetPeers()[0].GetInAge() != nil
	}
	until(t, a.run, "both directions, heard", heard)
	until(t, b.run, "both directions, heard", heard)

	out, code := call(t, "rotate-key", "--wait", "100ms", "--run", a.run)
	if code != exitDegraded || !strings.Contains(out, a.pin) || !strings.Contains(out, "Not known yet to r2-node-1") {
		t.Fatalf("exit code %d, %s", code, out)
	}
	newest, _, _ := strings.Cut(out, " ")
	if len(newest) != len(a.pin) || newest == a.pin {
		t.Fatalf("the newest key is %q, it was %q", newest, a.pin)
	}
	answered := func(r *peerv1.StatusReply) int32 {
		return r.GetPeers()[0].GetPings().GetSent() - r.GetPeers()[0].GetPings().GetLost()
	}
	for _, run := range []string{a.run, b.run} {
		r, err := askStatus(t.Context(), run, 0)
		if err != nil {
			t.Fatal(err)
		}
		until(t, run, "more answers under the old key", func(next *peerv1.StatusReply) bool {
			return heard(next) && answered(next) >= answered(r)+2
		})
	}

	stop()
	b.start(t, "r1-node-1", a.config.Listen, newest) // the controller has told it
	until(t, b.run, "both directions under the new key", heard)
	until(t, a.run, "both directions under the new key", func(r *peerv1.StatusReply) bool {
		_, code := call(t, "rotate-key", "--check", "--run", a.run)
		return heard(r) && code == 0
	})
	if out, code := call(t, "rotate-key", "--check", "-o", "json", "--run", a.run); code != 0 || !strings.Contains(out, `"fingerprint": "`+newest) {
		t.Errorf("exit code %d, %s", code, out)
	}
}

// An agent that makes no key says why, and one whose neighbours never learn it is not
// waited for longer than asked.
func TestRotateKeyThatFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		keys func(bool) (*peerv1.RotateKeyReply, error)
		code int
		says string
	}{
		{"refused", func(bool) (*peerv1.RotateKeyReply, error) {
			return nil, grpcstatus.Error(codes.FailedPrecondition, "the last one is a minute young")
		}, exitDegraded, "the old one is in use: the last one is a minute young"},
		{"no answer", func(bool) (*peerv1.RotateKeyReply, error) {
			return nil, grpcstatus.Error(codes.DeadlineExceeded, "")
		}, exitFailed, "does not answer within 2s"},
		{"never learnt", func(bool) (*peerv1.RotateKeyReply, error) {
			return &peerv1.RotateKeyReply{Fingerprint: "abcd", WaitsFor: []string{"n2"}}, nil
		}, exitDegraded, "Not known yet to n2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := serve(t, agent{keys: tt.keys})
			if out, code := call(t, "rotate-key", "--wait", "1ms", "--run", run); code != tt.code || !strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, %s, want %d, %q", code, out, tt.code, tt.says)
			}
		})
	}
}
