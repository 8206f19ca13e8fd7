package cli

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// failing is an agent that answers with an error.
type failing struct {
	peerv1.UnimplementedAdminServer
	err error
}

func (f failing) Status(context.Context, *peerv1.StatusRequest) (*peerv1.StatusReply, error) {
	return nil, f.err
}

// Whoever cannot ask is told what to do next.
func TestErrorsSayWhatToDo(t *testing.T) {
	left := place(t)
	if l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(left, "agent.sock")}); err != nil {
		t.Fatal(err)
	} else {
		l.SetUnlinkOnClose(false)
		_ = l.Close() // as an agent that was killed leaves it
	}
	for _, tt := range []struct{ name, run, says string }{
		{"no socket", t.TempDir(), "it does not run on this node (kubectl -n picket get pods"},
		{"left behind", left, "does not run: it left its socket behind"},
		{"error", serve(t, failing{err: grpcstatus.Error(codes.Internal, "out of cheese")}), "out of cheese; see its log"},
		{"old agent", serve(t, peerv1.UnimplementedAdminServer{}), "use the picket-agent of its own image"},
		{"hangs", serve(t, failing{err: grpcstatus.Error(codes.DeadlineExceeded, "")}), "does not answer within 2s"},
	} {
		for _, command := range []string{"status", "peers", "matrix", "why"} {
			out, code := call(t, command, "--run", tt.run)
			if code != exitFailed || !strings.Contains(out, tt.says) {
				t.Errorf("%s, %s: exit code %d, %s; want %q", tt.name, command, code, out, tt.says)
			}
		}
	}
}

func TestASocketForRootSaysSo(t *testing.T) {
	if os.Geteuid() != 0 {
		run := serve(t, agent{status: armed()})
		if err := os.Chmod(filepath.Join(run, "agent.sock"), 0); err != nil {
			t.Fatal(err)
		}
		if out, code := call(t, "status", "--run", run); code != exitFailed || !strings.Contains(out, "use sudo") {
			t.Errorf("exit code %d, %s", code, out)
		}
		return
	}
	// Nothing is forbidden to root: what the kernel would say is enough.
	if err := unreachable("x", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)}); !strings.Contains(err.Error(), "use sudo") {
		t.Error(err)
	}
}
