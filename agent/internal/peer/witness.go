package peer

import (
	"context"
	"fmt"
	"slices"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// A Testimony is what came of asking one witness.
type Testimony struct {
	Witness   string
	Statement roll.Statement // valid if Spoke
	Spoke     bool           // false also for a witness that has read no Roll yet
	Err       error          // why there was no answer; nil for one without a Roll
}

// testimony takes a witness's answer to the question that was sent at that time.
func testimony(node string, sent timing.Instant, x *peerv1.StatementReply) *Testimony {
	t := &Testimony{Witness: node}
	if x.GetNode() != node {
		t.Err = fmt.Errorf("ask %s for a statement: answered by node %q", node, x.GetNode())
		return t
	}
	if x.GetRoll() == nil {
		return t
	}
	r, err := peerv1.DecodeRoll(x.GetRoll())
	if err != nil {
		t.Err = fmt.Errorf("statement of %s: %w", node, err)
		return t
	}
	t.Statement, t.Spoke = roll.Statement{Witness: node, Roll: r, Sent: sent}, true
	return t
}

// AskWitnesses asks every witness but this agent itself at once, and reports
// each one's testimony as it arrives, one after the other, on the caller's
// goroutine. It returns when all have been reported, at the latest after
// Config.Timeout.
func (c *Client) AskWitnesses(ctx context.Context, report func(Testimony)) {
	c.askWitnesses(ctx, c.witnesses(), report)
}

// Probe is AskWitnesses without haste: a witness that is pinged through a stream
// is asked by the next ping, and its testimony comes with that Beat.
func (h *Heartbeater) Probe(ctx context.Context, report func(Testimony)) {
	h.client.askWitnesses(ctx, slices.DeleteFunc(h.client.witnesses(), h.probe), report)
}

// probe reports whether the next ping asks the node for its statement.
func (h *Heartbeater) probe(node string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.pulses, func(p *pulse) bool { return p.node == node })
	return i >= 0 && h.pulses[i].probe()
}

// witnesses returns their names, without this agent's own.
func (c *Client) witnesses() (nodes []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.peers.Witnesses {
		if p.Node != c.config.Node {
			nodes = append(nodes, p.Node)
		}
	}
	return nodes
}

func (c *Client) askWitnesses(ctx context.Context, nodes []string, report func(Testimony)) {
	heard := make(chan Testimony)
	for _, node := range nodes {
		go func() {
			s, ok, err := c.Statement(ctx, node)
			heard <- Testimony{Witness: node, Statement: s, Spoke: ok, Err: err}
		}()
	}
	for range nodes {
		report(<-heard)
	}
}
