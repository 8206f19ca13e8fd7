package daemon

import (
	"testing"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// An old key goes a minute after the last neighbour has learned of the new one,
// and not at all while nobody shows that the API has told of it.
func TestOldKeysGoWhenNobodyNeedsThem(t *testing.T) {
	type look struct {
		after           time.Duration
		key             string
		waits, informed int
		want            bool
	}
	for name, looks := range map[string][]look{
		"all know it": {
			{0, "k2", 0, 3, false}, {retireAfter - 1, "k2", 0, 3, false}, {1, "k2", 0, 3, true},
		},
		"one is late": {
			{0, "k2", 1, 2, false}, {time.Hour, "k2", 1, 2, false}, {time.Second, "k2", 0, 3, false},
			{retireAfter, "k2", 0, 3, true},
		},
		"one goes back to the old key": {
			{0, "k2", 0, 3, false}, {retireAfter / 2, "k2", 1, 2, false}, {retireAfter / 2, "k2", 0, 3, false},
			{retireAfter, "k2", 0, 3, true},
		},
		"rotated again": {
			{0, "k2", 0, 3, false}, {retireAfter, "k3", 0, 3, false}, {retireAfter, "k3", 0, 3, true},
		},
		"nobody answers: the API may be away": {
			{0, "k2", 0, 0, false}, {time.Hour, "k2", 0, 0, false}, {time.Hour, "k2", 0, 1, false}, {retireAfter, "k2", 0, 1, true},
		},
	} {
		var r retirement
		now := timing.At(time.Hour)
		for n, l := range looks {
			now = now.Add(l.after)
			if got := r.due(l.key, l.waits, l.informed, now); got != l.want {
				t.Errorf("%s, look %d: %v, want %v", name, n+1, got, l.want)
			}
		}
	}
}
