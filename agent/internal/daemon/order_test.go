package daemon

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/timing"
)

// A stall is a log's pipe that nobody empties once it is on.
type stall struct {
	on   atomic.Bool
	free chan struct{}
}

func (s *stall) Write(line []byte) (int, error) {
	if s.on.Load() {
		<-s.free
	}
	return len(line), nil
}

// A14: the reset is ordered first and logged after, so not even a log that blocks
// comes between.
func TestA14IsOrderedBeforeItIsLogged(t *testing.T) {
	log := &stall{free: make(chan struct{})}
	d := aDaemon(t, log)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); d.loop(ctx, ctx) }()
	d.tell(ctx, decide.Held{Mode: decide.HoldFree, Timeout: 10 * time.Second})
	until(t, "a verdict", func() bool { v := d.verdict.Load(); return v != nil && v.Phase != decide.PhaseUnknown })
	log.on.Store(true)
	d.tell(ctx, decide.Guided{Spec: decide.Spec{Profile: timing.Standard(), FencedBoot: thisBoot}})
	until(t, "the holder is told to latch", func() bool { return d.wished() == decide.HoldLatched })
	log.on.Store(false)
	close(log.free)
	cancel()
	<-done
}
