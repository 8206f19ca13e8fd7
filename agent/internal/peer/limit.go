package peer

import (
	"sync"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// A bucket lets calls pass at a rate, with a burst. The zero bucket is full.
type bucket struct {
	spent float64 // tokens missing from a full bucket
	at    timing.Instant
}

// take reports whether a call may pass, and counts it then.
func (b *bucket) take(now timing.Instant, rate, burst float64) bool {
	if b.left(now, rate, burst) < 1 {
		return false
	}
	b.spent++
	return true
}

// left returns the tokens in the bucket now.
func (b *bucket) left(now timing.Instant, rate, burst float64) float64 {
	passed := max(b.at.Elapsed(now), 0)
	b.spent = max(b.spent-rate*float64(passed)/float64(time.Second), 0)
	b.at = now
	return burst - b.spent
}

// maxBuckets bounds the memory of a limiter.
const maxBuckets = 8192

// A limiter limits the statements served to each key, and those served to all
// strangers together, so that strangers cannot silence a witness for the nodes
// that it knows.
type limiter struct {
	rate, burst, strangerRate float64

	mu        sync.Mutex
	keys      map[string]*bucket
	strangers bucket
}

func newLimiter(c Config) *limiter {
	return &limiter{
		rate: c.StatementRate, burst: c.StatementBurst, strangerRate: c.StrangerRate,
		keys: make(map[string]*bucket),
	}
}

// allow reports whether the key may have a statement now.
func (l *limiter) allow(key string, stranger bool, now timing.Instant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.keys[key]
	if b == nil {
		if len(l.keys) >= maxBuckets {
			l.forget(now)
		}
		if stranger && len(l.keys) >= maxBuckets {
			return false
		}
		b = &bucket{}
		l.keys[key] = b
	}
	if b.left(now, l.rate, l.burst) < 1 {
		return false
	}
	if stranger && !l.strangers.take(now, l.strangerRate, l.strangerRate) {
		return false
	}
	return b.take(now, l.rate, l.burst)
}

// forget drops the keys whose bucket is full again.
func (l *limiter) forget(now timing.Instant) {
	for key, b := range l.keys {
		if b.left(now, l.rate, l.burst) >= l.burst {
			delete(l.keys, key)
		}
	}
}
