package daemon

import (
	"context"
	"time"
)

// again calls try after the pause, and then after each pause that it returns,
// until ctx ends or it returns none.
func again(ctx context.Context, pause time.Duration, try func() time.Duration) {
	next := time.NewTimer(pause)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		if pause = try(); pause <= 0 {
			return
		}
		next.Reset(pause)
	}
}
