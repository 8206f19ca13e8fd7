package peer

import (
	"context"

	"github.com/picket-dev/picket/proto/roll"
)

// A Testimony is what came of asking one witness.
type Testimony struct {
	Witness   string
	Statement roll.Statement // valid if Spoke
	Spoke     bool           // false also for a witness that has read no Roll yet
	Err       error          // why there was no answer; nil for one without a Roll
}

// AskWitnesses asks every witness but this agent itself at once, and reports
// each one's testimony as it arrives, one after the other, on the caller's
// goroutine. It returns when all have been reported, at the latest after
// Config.Timeout.
func (c *Client) AskWitnesses(ctx context.Context, report func(Testimony)) {
	c.mu.Lock()
	var nodes []string
	for _, p := range c.peers.Witnesses {
		if p.Node != c.config.Node {
			nodes = append(nodes, p.Node)
		}
	}
	c.mu.Unlock()

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
