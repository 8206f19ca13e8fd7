package peer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	grpcpeer "google.golang.org/grpc/peer"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

// A stream carries heartbeats to one neighbour over one connection: each costs
// a message to and fro, and not a call. It neither connects again nor looks for
// another path. Whoever pings through it makes calls while it is silent.
type stream struct {
	client *Client
	node   string
	ctx    context.Context //nolint:containedctx // the stream's own life
	end    context.CancelCauseFunc
	wire   peerv1.Peer_HeartbeatsClient
	probe  atomic.Bool   // the next question asks for a statement, too
	due    chan question // to be sent: a peer that takes none holds up nobody else

	mu     sync.Mutex
	ended  bool
	number uint64
	open   []question // without an answer, the oldest first
}

// A question is a heartbeat that was sent.
type question struct {
	number uint64
	sent   timing.Instant
}

var (
	errSilent = errors.New("no answer in time")
	errHasty  = errors.New("answers to questions that are still to be sent")
)

// openStream opens a stream over the path on which the node answered last. It
// waits for a connection if there is none, and ends with ctx.
func (c *Client) openStream(ctx context.Context, node string) (*stream, error) {
	l, err := c.line(node)
	if err != nil {
		return nil, err
	}
	p, err := l.first()
	if err != nil {
		return nil, err
	}
	s := &stream{client: c, node: node, due: make(chan question, inFlight)}
	s.ctx, s.end = context.WithCancelCause(ctx)
	if s.wire, err = p.stub.Heartbeats(s.ctx); err != nil {
		s.end(err)
		return nil, fmt.Errorf("heartbeats to %s: %w", node, err)
	}
	return s, nil
}

// ping sends a heartbeat, unless inFlight of them are unanswered. It is false,
// and sends nothing, if one has been unanswered for that long, or if the stream
// has ended. It waits for nothing. Only one goroutine may ping.
func (s *stream) ping(patience time.Duration) bool {
	q, ok := s.next(patience)
	if !ok || q.number == 0 {
		return ok
	}
	select {
	case s.due <- q:
		return true
	default:
		s.end(errHasty)
		return false
	}
}

// run reports each answer as it comes. When the stream has ended it returns the
// questions that have none, and why.
func (s *stream) run(report func(Beat)) ([]question, error) {
	var sending sync.WaitGroup
	sending.Go(s.send)
	err := s.read(report)
	unanswered := s.close(err)
	sending.Wait()
	return unanswered, fmt.Errorf("heartbeats to %s: %w", s.node, context.Cause(s.ctx))
}

// send sends the questions that are due, until the stream ends.
func (s *stream) send() {
	for {
		select {
		case q := <-s.due:
			x := s.client.question(s.node, q.sent, q.number)
			x.Statement = s.probe.Swap(false)
			_ = s.wire.Send(x) // after an error read finds the question unanswered
		case <-s.ctx.Done():
			return
		}
	}
}

// next returns the question to be sent now, the zero one if there are enough.
// What the stream has not answered within Config.Timeout it never will.
func (s *stream) next(patience time.Duration) (question, bool) {
	now := s.client.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) > 0 {
		waits := s.open[0].sent.Age(now)
		if waits >= s.client.config.Timeout {
			s.end(errSilent)
		}
		if waits >= patience {
			return question{}, false
		}
	}
	if s.ended || len(s.open) >= inFlight {
		return question{}, !s.ended
	}
	s.number++
	q := question{number: s.number, sent: now}
	s.open = append(s.open, q)
	return q, true
}

// read reports each answer as it comes, until the stream ends.
func (s *stream) read(report func(Beat)) error {
	from := ""
	for {
		x, err := s.wire.Recv()
		if err != nil {
			return err
		}
		q, err := s.answered(x.GetNumber())
		if err != nil {
			return err
		}
		if from == "" { // a stream stays on its connection
			at, _ := grpcpeer.FromContext(s.wire.Context())
			from = addressOf(at)
		}
		reply, err := s.client.answer(s.node, q.sent, sourced{x, from})
		report(Beat{Node: s.node, Reply: reply, Err: err})
	}
}

// answered returns the question of that number. Answers come in the order of the
// questions; one that does not is no evidence of anything.
func (s *stream) answered(number uint64) (question, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) == 0 || s.open[0].number != number {
		return question{}, fmt.Errorf("answer %d does not belong to the oldest of %d questions", number, len(s.open))
	}
	q := s.open[0]
	s.open = s.open[1:]
	return q, nil
}

// close ends the stream and returns the questions without an answer.
func (s *stream) close(err error) []question {
	s.end(err) // counts if it is the first reason
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	return s.open
}
