package daemon

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAgainKeepsThePausesAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var tried []time.Duration
		pauses := []time.Duration{time.Minute, time.Second, 0}
		again(t.Context(), time.Hour, func() time.Duration {
			tried = append(tried, time.Since(start))
			return pauses[len(tried)-1]
		})
		if d := cmp.Diff([]time.Duration{time.Hour, time.Hour + time.Minute, time.Hour + time.Minute + time.Second}, tried); d != "" {
			t.Errorf("tried (-want +got):\n%s", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		again(ctx, 0, func() time.Duration { return time.Hour })
	})
}
