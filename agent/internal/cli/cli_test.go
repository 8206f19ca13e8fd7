package cli

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// agent answers like a running agent.
type agent struct {
	peerv1.UnimplementedAdminServer
	status *peerv1.StatusReply
	test   func(begin bool) (*peerv1.SelfTestReply, error)
}

func (a agent) SelfTest(_ context.Context, r *peerv1.SelfTestRequest) (*peerv1.SelfTestReply, error) {
	return a.test(r.GetBegin())
}

func (a agent) Status(context.Context, *peerv1.StatusRequest) (*peerv1.StatusReply, error) {
	return a.status, nil
}

// serve runs the agent in a directory of its own and returns that.
func serve(t *testing.T, a agent) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cli") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	peerv1.RegisterAdminServer(server, a)
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(func() {
		server.Stop()
		_ = os.RemoveAll(dir)
	})
	return dir
}

// call runs a command and returns what it printed, and its exit code.
func call(t *testing.T, args ...string) (string, int) {
	t.Helper()
	root := &cobra.Command{Use: "picket-agent", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Commands()...)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), 0
	}
	return out.String() + err.Error(), ExitCode(err)
}

func armed() *peerv1.StatusReply {
	return &peerv1.StatusReply{
		Decisions: []*peerv1.Decision{{Age: durationpb.New(1500 * time.Millisecond), Rule: "A2", What: "armed: T=10s L=5s"}},
		Node:      "n1", Phase: "Armed", Next: "stays up", RollVia: "api", RollSerial: 7,
		RollAge: durationpb.New(400 * time.Millisecond), PetLeft: durationpb.New(4600 * time.Millisecond),
		Peers: []*peerv1.PeerStatus{{Node: "n2", Neighbour: true, Witness: true, OutAge: durationpb.New(100 * time.Millisecond)}},
	}
}

func TestExitCodes(t *testing.T) {
	change := func(f func(*peerv1.StatusReply)) *peerv1.StatusReply {
		r := armed()
		f(r)
		return r
	}
	tests := []struct {
		name   string
		status *peerv1.StatusReply
		code   int
		says   string
	}{
		{"fine", armed(), 0, "serial 7 by api, 400ms old"},
		{"unarmed", change(func(r *peerv1.StatusReply) { r.Phase, r.Reason = "Unarmed", "NoWatchdog" }), 1, "Unarmed NoWatchdog"},
		{"another holder than the wanted one", change(func(r *peerv1.StatusReply) {
			r.Watchdog = &peerv1.Watchdog{LastError: "watchdog0 is kept by systemd (pid 1)"}
		}), 0, "kept by systemd (pid 1)"},
		{"peer lost", change(func(r *peerv1.StatusReply) { r.Peers[0].Lost = true }), 1, "n2 is lost"},
		{"counting down", change(func(r *peerv1.StatusReply) {
			r.RollAge, r.PetLeft = durationpb.New(4*time.Second), durationpb.New(time.Second)
		}), 2, "resets in 1s"},
		{"latched", change(func(r *peerv1.StatusReply) { r.Phase = "Latched" }), 2, "resetting"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, code := call(t, "status", "--run", serve(t, agent{status: tt.status}))
			if code != tt.code || !strings.Contains(out, tt.says) {
				t.Errorf("exit code %d, output\n%s\nwant %d and %q", code, out, tt.code, tt.says)
			}
		})
	}
}

func TestOutputs(t *testing.T) {
	dir := serve(t, agent{status: armed()})
	for _, tt := range []struct{ args, says string }{
		{"peers", "n2    neighbour, witness  ok     100ms  -"},
		{"why", "-1.5s  A2  armed: T=10s L=5s"},
		{"status -o json", `"rollSerial"`},
		{"peers -o yaml", "node: n1"},
	} {
		out, code := call(t, append(strings.Fields(tt.args), "--run", dir)...)
		if code != 0 || !strings.Contains(out, tt.says) {
			t.Errorf("%s: exit code %d, output\n%s\nwant %q", tt.args, code, out, tt.says)
		}
	}
}

func TestWithoutAnAgent(t *testing.T) {
	out, code := call(t, "status", "--run", t.TempDir())
	if code != exitFailed || !strings.Contains(out, "is it running on this node") {
		t.Errorf("exit code %d, %s", code, out)
	}
	var s *state
	if errors.As(errors.New("x"), &s) || ExitCode(errors.New("x")) != exitFailed {
		t.Error("any other error is exit code 3")
	}
}
