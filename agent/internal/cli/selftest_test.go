package cli

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

func TestSelfTestGolden(t *testing.T) {
	checks := func(drained bool) []*peerv1.Check {
		c := []*peerv1.Check{
			{Name: "drained", Ok: true, What: "the node is cordoned"},
			{Name: "clean", Ok: true, What: "no volume is mounted"},
			{Name: "watchdog", Ok: true, What: "i6300ESB timer (hardware), T=10s"},
			{Name: "neighbours", Ok: true, What: "3 of 3 neighbours answer"},
		}
		if !drained {
			c[0] = &peerv1.Check{Name: "drained", What: "the node takes pods: kubectl drain n1"}
		}
		return c
	}
	for _, tt := range []struct {
		name, args string
		drained    bool
		code       int
	}{
		{"ready", "watchdog self-test", true, 0},
		{"not-ready", "watchdog self-test --yes", false, 1},
		{"begun", "watchdog self-test --yes", true, 0},
		{"json", "watchdog self-test -o json", false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := serve(t, agent{test: func(begin bool) (*peerv1.SelfTestReply, error) {
				r := &peerv1.SelfTestReply{Checks: checks(tt.drained)}
				if begin && tt.drained {
					r.Begun, r.Timeout, r.Within = true, durationpb.New(10*time.Second), durationpb.New(10200*time.Millisecond)
				}
				return r, nil
			}})
			out, code := call(t, append(strings.Fields(tt.args), "--run", run)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if tt.name == "json" { // protojson varies its spaces on purpose
				if !strings.Contains(out, "kubectl drain n1") {
					t.Errorf("%s", out)
				}
				return
			}
			golden(t, "selftest-"+tt.name, out)
		})
	}
}

func TestSelfTestThatFailsToBegin(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		code int
		says string
	}{
		{"refused", grpcstatus.Error(codes.FailedPrecondition, "1 of 3 neighbours say that they time the test"), exitDegraded,
			"the node goes on as before: 1 of 3 neighbours say"},
		{"no answer", grpcstatus.Error(codes.DeadlineExceeded, ""), exitFailed, "does not answer within 1m0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := serve(t, agent{test: func(bool) (*peerv1.SelfTestReply, error) { return nil, tt.err }})
			out, code := call(t, "watchdog", "self-test", "--yes", "--run", run)
			if code != tt.code || !strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, %s, want %d, %q", code, out, tt.code, tt.says)
			}
		})
	}
	if out, code := call(t, "watchdog", "self-test", "--run", t.TempDir()); code != exitFailed || !strings.Contains(out, "does not run on this node") {
		t.Errorf("exit code %d, %s", code, out)
	}
}
