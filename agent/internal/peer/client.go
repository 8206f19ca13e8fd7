package peer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	grpcpeer "google.golang.org/grpc/peer"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A Client asks the other agents. It keeps a connection to each one that it
// calls often enough.
type Client struct {
	config Config
	open   opener
	tell   *refusals
	test   atomic.Pointer[Test]

	mu       sync.Mutex
	closed   bool
	lines    map[string]*line
	peers    Peers
	answered map[string]timing.Instant
	views    map[string]uint64 // the mark of the last view of each
}

// NewClient returns a client without peers.
func NewClient(c Config, id *Identity) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	tell := newRefusals(c)
	return &Client{
		config: c, open: newOpener(c, id, tell), tell: tell,
		lines: make(map[string]*line), answered: make(map[string]timing.Instant), views: make(map[string]uint64),
	}, nil
}

// SetPeers says whom the client may call. Connections to peers that are the
// same as before stay; those to peers that are gone, or whose key or addresses
// changed, are closed with their calls.
func (c *Client) SetPeers(p Peers) {
	want := p.dialled(c.config.Node)
	var gone []*line
	c.mu.Lock()
	c.tell.changed(pins(c.peers.dialled(c.config.Node)), pins(want))
	c.peers = p
	for node, l := range c.lines {
		if q, ok := want[node]; !ok || !q.equal(l.peer) {
			gone = append(gone, l)
			delete(c.lines, node)
		}
	}
	for node := range c.answered {
		if _, ok := want[node]; !ok {
			delete(c.answered, node)
			delete(c.views, node)
		}
	}
	for node, q := range want {
		if c.lines[node] == nil && !c.closed {
			c.lines[node] = &line{peer: q, open: c.open}
		}
	}
	c.mu.Unlock()
	for _, l := range gone {
		l.close()
	}
}

// Wake ends all pauses between attempts to connect: a link, an address or a
// route has changed, and what failed a moment ago may work now.
func (c *Client) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		l.wake()
	}
}

// Close ends all calls and connections.
func (c *Client) Close() {
	c.mu.Lock()
	lines := c.lines
	c.lines, c.closed = nil, true
	c.mu.Unlock()
	for _, l := range lines {
		l.close()
	}
}

// Answered returns when the node last answered a heartbeat: the OUT direction.
func (c *Client) Answered(node string) (timing.Instant, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.answered[node]
	return at, ok
}

// Accepted returns the fingerprint of the own key under which the node is called:
// after an answer, the one that it knows. It is empty before the first call.
func (c *Client) Accepted(node string) string {
	c.mu.Lock()
	l := c.lines[node]
	c.mu.Unlock()
	if l == nil {
		return ""
	}
	return l.accepted()
}

// A Reply is a neighbour's answer to a heartbeat.
type Reply struct {
	Sent timing.Instant // when the question was sent; set even if it failed
	Node string         // who answered: the node that was asked
	Boot string         // the boot in which it runs
	// Relay is the neighbour's best roll; its send time is on this host's
	// clocks. Nil if the neighbour holds none that is fresh enough to relay.
	Relay *roll.Held
	// RelayError says why a relay that came was refused. The reply is a sign
	// of life all the same.
	RelayError error
	// HeardYou is, on this host's clocks, when the neighbour last got an answer
	// from this agent. Zero if never.
	HeardYou timing.Instant
	// Silence is what the neighbour has timed of the self-test that the question
	// mentioned; nil if it knows of none.
	Silence *Silence
	// View is how the neighbour sees its own neighbours, if that is not what it
	// said last; nil: it is, or it makes no sense.
	View []Sight
	// From is the address that answered, host:port.
	From string
	// Testimony is the neighbour's statement as a witness, if a probe asked for it.
	Testimony *Testimony
	// RTT is the time from Sent to the answer, in which the connection may
	// have had to be made first.
	RTT time.Duration
}

// Heartbeat asks the node for a sign of life. It waits for a connection if
// there is none, until ctx ends or Config.Timeout is over.
func (c *Client) Heartbeat(ctx context.Context, node string) (Reply, error) {
	return c.heartbeat(ctx, node, c.config.HedgeAfter)
}

// heartbeat is Heartbeat with a hedge of its own.
func (c *Client) heartbeat(ctx context.Context, node string, hedge time.Duration) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	sent := c.config.Now()
	l, err := c.line(node)
	if err != nil {
		return Reply{Sent: sent, Node: node}, fmt.Errorf("heartbeat to %s: %w", node, err)
	}
	req := c.question(node, sent, 0)
	x, err := ask(ctx, l, hedge, func(ctx context.Context, stub peerv1.PeerClient) (sourced, error) {
		var at grpcpeer.Peer
		x, err := stub.Heartbeat(ctx, req, grpc.Peer(&at))
		return sourced{x, addressOf(&at)}, err
	})
	if err != nil {
		return Reply{Sent: sent, Node: node}, fmt.Errorf("heartbeat to %s: %w", node, err)
	}
	return c.answer(node, sent, x)
}

// A sourced reply is one with the address that it came from.
type sourced struct {
	*peerv1.HeartbeatReply
	from string
}

// addressOf returns the address of a connection's other end, or nothing.
func addressOf(at *grpcpeer.Peer) string {
	if at == nil || at.Addr == nil {
		return ""
	}
	return at.Addr.String()
}

// question returns the heartbeat that is sent to the node at that time.
func (c *Client) question(node string, sent timing.Instant, number uint64) *peerv1.HeartbeatRequest {
	c.mu.Lock()
	view := c.views[node]
	c.mu.Unlock()
	return &peerv1.HeartbeatRequest{
		Node: c.config.Node, BootId: c.config.Boot, SelfTest: c.test.Load().encode(sent), Number: number, View: view,
	}
}

// answer takes the node's answer to the heartbeat that was sent at that time.
func (c *Client) answer(node string, sent timing.Instant, x sourced) (Reply, error) {
	reply := Reply{Sent: sent, Node: node, From: x.from}
	if x.GetNode() != node || x.GetBootId() == "" {
		return reply, fmt.Errorf("heartbeat to %s: answered by node %q in boot %q", node, x.GetNode(), x.GetBootId())
	}
	now := c.config.Now()
	c.note(node, now, x.GetView())
	reply.Boot = x.GetBootId()
	reply.RTT = sent.Age(now)
	reply.Silence = decodeSilence(x.GetSilence())
	if age, ok := peerv1.DecodeAge(x.GetHeardYou()); ok {
		reply.HeardYou = sent.Add(-age)
	}
	if x.GetRelay() != nil {
		held, err := peerv1.DecodeRelay(x.GetRelay(), sent)
		if err != nil {
			reply.RelayError = fmt.Errorf("heartbeat to %s: %w", node, err)
		} else {
			reply.Relay = &held
		}
	}
	if x.GetView() != nil {
		reply.View, _ = sightsOf(x.GetView()) // without it, people see less
	}
	if x.GetStatement() != nil {
		reply.Testimony = testimony(node, sent, x.GetStatement())
	}
	return reply, nil
}

// Statement asks the node, as a witness, for the newest Roll that it has read.
// It is false if the witness has read none in its present boot. It waits for a
// connection if there is none, until ctx ends or Config.Timeout is over.
func (c *Client) Statement(ctx context.Context, node string) (roll.Statement, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	sent := c.config.Now()
	l, err := c.line(node)
	if err != nil {
		return roll.Statement{}, false, fmt.Errorf("ask %s for a statement: %w", node, err)
	}
	x, err := ask(ctx, l, c.config.HedgeAfter, func(ctx context.Context, stub peerv1.PeerClient) (*peerv1.StatementReply, error) {
		return stub.Statement(ctx, &peerv1.StatementRequest{})
	})
	if err != nil {
		return roll.Statement{}, false, fmt.Errorf("ask %s for a statement: %w", node, err)
	}
	t := testimony(node, sent, x)
	return t.Statement, t.Spoke, t.Err
}

// line returns the line to a node that the client may call.
func (c *Client) line(node string) (*line, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lines[node]
	switch {
	case c.closed:
		return nil, errClosed
	case l == nil:
		return nil, fmt.Errorf("%s is no peer of %s", node, c.config.Node)
	case l.peer.Fingerprint == "" || len(l.peer.Addresses) == 0:
		return nil, fmt.Errorf("%s has not published its key or its addresses yet", node)
	}
	return l, nil
}

// note records an answer of a node that is still a peer, and which view of it
// need not come again.
func (c *Client) note(node string, at timing.Instant, view *peerv1.View) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines[node] == nil {
		return
	}
	c.answered[node] = at
	if view != nil {
		c.views[node] = view.GetMark()
	}
}
