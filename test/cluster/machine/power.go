package machine

import (
	"context"
	"sync"
)

// Power is that of one boot: on, perhaps frozen for a while, then off for
// ever. What a machine does to the outside world it does inside Do, so that
// nothing happens after Off has returned.
type Power struct {
	mu      sync.RWMutex
	off     bool
	frozen  bool
	changed chan struct{} // closed and replaced by each change
}

func newPower() *Power { return &Power{changed: make(chan struct{})} }

// Do calls f while the machine runs. It waits while the machine is frozen and
// returns false, without a call, when the power is off. f must be short.
func (p *Power) Do(f func()) bool {
	for {
		p.mu.RLock()
		if p.off {
			p.mu.RUnlock()
			return false
		}
		if !p.frozen {
			f()
			p.mu.RUnlock()
			return true
		}
		changed := p.changed
		p.mu.RUnlock()
		<-changed
	}
}

// Wait returns true as soon as the machine runs, and false when its power is
// off or ctx is done.
func (p *Power) Wait(ctx context.Context) bool {
	for {
		p.mu.RLock()
		off, frozen, changed := p.off, p.frozen, p.changed
		p.mu.RUnlock()
		if off || ctx.Err() != nil {
			return false
		}
		if !frozen {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (p *Power) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Power) turnOff() { p.set(func() { p.off = true }) }
func (p *Power) freeze()  { p.set(func() { p.frozen = true }) }
func (p *Power) thaw()    { p.set(func() { p.frozen = false }) }
