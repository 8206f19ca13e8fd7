package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/picket-dev/picket/agent/internal/daemon"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// askWithin bounds a question to an agent that answers within milliseconds,
// whatever is broken around it.
const askWithin = 2 * time.Second

// dial reaches the agent whose run directory this is, and says what to do if that
// cannot be.
func dial(run string) (*grpc.ClientConn, error) {
	path := daemon.AdminSocket(run)
	probe, err := net.DialTimeout("unix", path, askWithin)
	if err != nil {
		return nil, unreachable(path, err)
	}
	_ = probe.Close() // it has shown that somebody listens
	conn, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("reach the agent at %s: %w", path, err)
	}
	return conn, nil
}

// A question is put to the agent, which answers it or refuses.
type question[Reply any] func(context.Context, peerv1.AdminClient) (*Reply, error)

// ask puts one question to the agent whose run directory this is. Where there is no
// answer in time it says what to do; where the agent refuses, which is an answer, what
// that means: the sense of a refusal, empty for what no agent refuses.
func ask[Reply any](ctx context.Context, run string, within time.Duration, sense string, q question[Reply]) (*Reply, error) {
	conn, err := dial(run)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	r, err := q(ctx, peerv1.NewAdminClient(conn))
	switch {
	case err == nil:
		return r, nil
	case sense != "" && grpcstatus.Code(err) == codes.FailedPrecondition:
		return nil, &state{exitDegraded, sense + ": " + grpcstatus.Convert(err).Message()}
	}
	return nil, unanswered(err, within)
}

// askStatus asks the agent for its status with the newest decisions.
func askStatus(ctx context.Context, run string, decisions int) (*peerv1.StatusReply, error) {
	return ask(ctx, run, askWithin, "", func(ctx context.Context, agent peerv1.AdminClient) (*peerv1.StatusReply, error) {
		return agent.Status(ctx, &peerv1.StatusRequest{Decisions: int32(decisions)})
	})
}

// where is how to find the agent of a node.
const where = "kubectl -n picket get pods -o wide"

// unreachable says what is wrong when nobody can be reached at the socket.
func unreachable(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no agent at %s: it does not run on this node (%s), or its run directory is another one (--run)", path, where)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the agent's socket %s is for root: use sudo, or run this in the agent's pod (kubectl -n picket exec POD -- picket-agent …)", path)
	case errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("the agent at %s does not run: it left its socket behind. Try again in a second; if that fails, see its log (%s, then kubectl -n picket logs POD)", path, where)
	}
	return fmt.Errorf("reach the agent at %s: %w", path, err)
}

// unanswered says what is wrong when the agent was reached and did not answer within
// that time.
func unanswered(err error, within time.Duration) error {
	switch s := grpcstatus.Convert(err); s.Code() {
	case codes.DeadlineExceeded:
		return fmt.Errorf("the agent does not answer within %v: it hangs or gets no processor time; see its log (%s, then kubectl -n picket logs POD)", within, where)
	case codes.Unimplemented:
		return fmt.Errorf("the agent is of another version than this command (%s): use the picket-agent of its own image", s.Message())
	default:
		return fmt.Errorf("ask the agent: %s; see its log (%s, then kubectl -n picket logs POD)", s.Message(), where)
	}
}
