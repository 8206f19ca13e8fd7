package kubelet

import (
	"context"
	"sync"
)

// pause is a switch that loops wait on.
type pause struct {
	mu      sync.Mutex
	on      bool
	changed chan struct{}
}

func newPause() *pause { return &pause{changed: make(chan struct{})} }

func (p *pause) set(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = on
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait returns true as soon as there is no pause, false when ctx is done.
func (p *pause) wait(ctx context.Context) bool {
	for {
		p.mu.Lock()
		on, changed := p.on, p.changed
		p.mu.Unlock()
		if ctx.Err() != nil || !on {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}
