package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// Answers are what the server says until it is told otherwise.
type Answers struct {
	// Best is the best roll that this agent holds, nil if it holds none.
	Best *roll.Held
	// RelayFor bounds Best's age: an older one is not relayed. It is L.
	RelayFor time.Duration
	// Own is the newest Roll that this agent has itself read from the API in
	// this boot and has put into its memory, nil if there is none. Nothing
	// else makes a statement.
	Own *roll.Roll
	// Lost are the neighbours that this agent has lost.
	Lost []string
}

// A Server answers the other agents.
type Server struct {
	peerv1.UnimplementedPeerServer

	config   Config
	id       *Identity
	grpc     *grpc.Server
	limiter  *limiter
	answered func(node string) (timing.Instant, bool)
	known    atomic.Pointer[owners]
	answers  atomic.Pointer[encoded]
	view     atomic.Pointer[peerv1.View] // shared between calls and never changed
	tests    stopwatch
	refusals *refusals
	porch    *porch

	mu         sync.Mutex
	heard      map[string]Caller
	asked      map[string]timing.Instant // as Asked returns it
	neighbours []Peer
	lost       []string
}

// encoded are Answers in their wire form, made once for all the calls. They
// are shared between calls and never changed.
type encoded struct {
	best     *peerv1.Roll
	sent     timing.Instant
	relayFor time.Duration
	own      *peerv1.Roll
}

const (
	// Requests are tiny, answers are not read: small buffers keep a
	// connection at 45 KiB. A fixed window spares the pings of gRPC's
	// bandwidth estimate.
	bufferSize  = 1 << 10
	window      = 64 << 10
	maxRequest  = 4 << 10
	maxReply    = 4 << 20
	maxHeaders  = 8 << 10
	maxStreams  = 32
	handshake   = 5 * time.Second
	idleSlack   = 20 * time.Second
	probeEvery  = 30 * time.Second
	probeWithin = 5 * time.Second
)

// NewServer returns a server that knows no callers and has no roll. The
// function answered tells when this agent last got an answer from a node
// (Client.Answered): the reply shows it to that node as the other direction of
// their link.
func NewServer(c Config, id *Identity, answered func(node string) (timing.Instant, bool)) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Server{config: c, id: id, limiter: newLimiter(c), answered: answered}
	s.heard, s.asked = make(map[string]Caller), make(map[string]timing.Instant)
	s.tests.nodes = make(map[string]*timed)
	s.refusals, s.porch = newRefusals(c), newPorch(c)
	s.known.Store(&owners{})
	s.answers.Store(&encoded{})
	s.grpc = grpc.NewServer(
		grpc.Creds(&door{
			TransportCredentials: credentials.NewTLS(id.serverTLS()),
			known:                func(key string) bool { return len(s.nodes(key)) > 0 },
			limit:                int64(c.Strangers),
		}),
		grpc.ReadBufferSize(bufferSize), grpc.WriteBufferSize(bufferSize),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.MaxRecvMsgSize(maxRequest), grpc.MaxHeaderListSize(maxHeaders), grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(handshake),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: probeWithin, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: c.IdleTimeout + idleSlack, Time: probeEvery, Timeout: probeWithin,
		}),
	)
	peerv1.RegisterPeerServer(s.grpc, s)
	return s, nil
}

// Serve answers on the listener until Close. It may be called for several.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(s.porch.on(l)); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve peers on %s: %w", l.Addr(), err)
	}
	return nil
}

// Close ends all calls and connections, and closes the listeners.
func (s *Server) Close() { s.grpc.Stop() }

// SetPeers says whose heartbeats to answer, from the next call on.
func (s *Server) SetPeers(p Peers) {
	known := p.known()
	s.refusals.changed(*s.known.Swap(&known), known)
	s.porch.know(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.heard, func(node string, _ Caller) bool { return !known.names(node) })
	s.neighbours = slices.Clone(p.Neighbours)
	s.view.Store(viewOf(s.neighbours, s.lost))
}

// SetAnswers says what to answer from now on. It copies what it needs.
func (s *Server) SetAnswers(a Answers) {
	e := &encoded{relayFor: a.RelayFor}
	if a.Best != nil {
		e.best, e.sent = peerv1.EncodeRoll(a.Best.Roll), a.Best.Sent
	}
	if a.Own != nil {
		e.own = peerv1.EncodeRoll(*a.Own)
	}
	s.answers.Store(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(a.Lost, s.lost) {
		s.lost = slices.Clone(a.Lost)
		s.view.Store(viewOf(s.neighbours, s.lost))
	}
}

// Heartbeat answers a known caller.
func (s *Server) Heartbeat(ctx context.Context, req *peerv1.HeartbeatRequest) (*peerv1.HeartbeatReply, error) {
	key, _ := callerKey(ctx)
	return s.beat(ctx, key, req)
}

// Heartbeats answers a known caller's questions in their order, until it hangs
// up or is known no more.
func (s *Server) Heartbeats(wire peerv1.Peer_HeartbeatsServer) error {
	key, _ := callerKey(wire.Context())
	if len(s.nodes(key)) == 0 {
		return s.stranger(wire.Context(), key, "") // it could ask nothing, and stay
	}
	for {
		req, err := wire.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		reply, err := s.beat(wire.Context(), key, req)
		if err != nil {
			return err
		}
		if err := wire.Send(reply); err != nil {
			return err
		}
	}
}

// beat answers one heartbeat of a node whose key it is. The age of the relayed roll is
// taken here, when the answer is made: the time that the answer then needs is
// covered by the asker, who counts from its own send time.
func (s *Server) beat(ctx context.Context, key string, req *peerv1.HeartbeatRequest) (*peerv1.HeartbeatReply, error) {
	nodes, node := s.nodes(key), req.GetNode()
	if len(nodes) == 0 {
		return nil, s.stranger(ctx, key, node)
	}
	if !slices.Contains(nodes, node) {
		return nil, status.Errorf(codes.PermissionDenied, "the key is that of %s, not of %q", strings.Join(nodes, ", "), node)
	}
	now := s.config.Now()
	s.hear(ctx, node, now)

	reply := &peerv1.HeartbeatReply{Node: s.config.Node, BootId: s.config.Boot, Number: req.GetNumber()}
	reply.Silence = s.tests.hear(node, req.GetBootId(), req.GetSelfTest(), now)
	if at, ok := s.answered(node); ok {
		reply.HeardYou = durationpb.New(max(at.Age(now), 0))
	}
	if a := s.answers.Load(); a.best != nil {
		if age := a.sent.Age(now); age < a.relayFor {
			reply.Relay = peerv1.EncodeRelay(a.best, age)
		}
	}
	if v := s.view.Load(); v != nil && v.GetMark() != req.GetView() {
		reply.View = v
	}
	if req.GetStatement() && s.limiter.allow(key, false, now) {
		reply.Statement = s.statement()
	}
	return reply, nil
}

// stranger is the answer to a heartbeat of a key that is no known caller's, who
// claims to be that node.
func (s *Server) stranger(ctx context.Context, key, claims string) error {
	if p, ok := grpcpeer.FromContext(ctx); ok {
		s.refusals.caller(key, p.Addr, claims, *s.known.Load())
	}
	return status.Errorf(codes.PermissionDenied, "%s does not know the caller's key %s (yet)", s.config.Node, key)
}

// Statement answers any agent, at a bounded rate: a statement is no secret,
// and whoever needs one may be a node that nobody has introduced yet.
func (s *Server) Statement(ctx context.Context, _ *peerv1.StatementRequest) (*peerv1.StatementReply, error) {
	key, ok := callerKey(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the caller shows no key")
	}
	now := s.config.Now()
	if !s.limiter.allow(key, len(s.nodes(key)) == 0, now) {
		return nil, status.Error(codes.ResourceExhausted, "too many questions for a statement")
	}
	s.ask(ctx, now)
	return s.statement(), nil
}

// statement is what this agent states as a witness.
func (s *Server) statement() *peerv1.StatementReply {
	return &peerv1.StatementReply{Node: s.config.Node, BootId: s.config.Boot, Roll: s.answers.Load().own}
}

// nodes returns the known callers whose key it is.
func (s *Server) nodes(key string) []string { return (*s.known.Load())[key] }
