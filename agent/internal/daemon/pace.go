package daemon

import (
	"sync/atomic"
	"time"
)

// A pace measures how late the core's loop is: an event waits as long as the one
// before it takes to be carried out, and an alarm of the core's own can ring late.
// The zero pace is ready, and safe for concurrent use.
type pace struct{ ever, lately atomic.Int64 }

// enter takes one delay.
func (p *pace) enter(d time.Duration) {
	raise(&p.ever, d)
	raise(&p.lately, d)
}

// raise makes the longest of both of it. Only one goroutine may raise.
func raise(worst *atomic.Int64, d time.Duration) {
	if int64(d) > worst.Load() {
		worst.Store(int64(d))
	}
}

// worst returns the longest delay since the agent started.
func (p *pace) worst() time.Duration { return time.Duration(p.ever.Load()) }

// since returns the longest delay since it was last asked to begin anew.
func (p *pace) since() time.Duration { return time.Duration(p.lately.Load()) }

// begin makes since begin anew.
func (p *pace) begin() { p.lately.Store(0) }
