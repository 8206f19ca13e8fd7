package peer

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

const (
	// tellAgain is how long a key that was told of is not told of again.
	tellAgain = 10 * time.Minute
	// tellRate and tellBurst limit what is told of all keys together, in lines
	// per second: whoever makes keys without end fills no disk.
	tellRate  = 0.1
	tellBurst = 10
	// lasting is how long a key is refused before that is more than the time in
	// which the API tells of a new node, a new boot or a rotation.
	lasting = 10 * time.Second
	// maxTold bounds the memory of keys that were told of, and of former ones.
	maxTold = 256
	// maxName bounds what a stranger says of itself: the longest name of a Node.
	maxName = 253
)

// refusals says in the log which keys are refused: of whom they might be, and
// what to do.
type refusals struct {
	log *slog.Logger
	now func() timing.Instant

	mu     sync.Mutex
	former map[string]former
	told   map[string]word
	bucket bucket
	hushed int // how many lines were left out since the last one
}

// A former key was that of those nodes until their pin changed.
type former struct {
	nodes string
	until timing.Instant
}

// A word is what was said of a key.
type word struct {
	first, last timing.Instant
	warned      bool // that it lasts
}

func newRefusals(c Config) *refusals {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &refusals{log: log, now: c.Now, former: make(map[string]former), told: make(map[string]word)}
}

// changed remembers the keys that are nobody's any more.
func (r *refusals) changed(was, is owners) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, nodes := range was {
		if len(is[key]) > 0 {
			continue
		}
		makeRoom(r.former, func(f former) timing.Instant { return f.until })
		r.former[key] = former{strings.Join(nodes, ", "), now}
	}
}

// caller tells of a caller whose key is not known. It says that it is that node,
// which nothing proves, and which is empty if it has said nothing.
func (r *refusals) caller(key string, from net.Addr, claims string, known owners) {
	now := r.now()
	level, hushed, ok := r.tell(key, now)
	if !ok {
		return
	}
	claims = claims[:min(len(claims), maxName)]
	whose, do := r.judge(key, claims, known, now)
	r.log.Log(context.Background(), level, "refused a caller's key",
		"from", from, "key", key, "claims", claims, "whose", whose, "do", patience(level)+do, "left_out", hushed)
}

// server tells of a server that has shown another key than the node's.
func (r *refusals) server(node string, at net.Addr, w *wrongKey) {
	now := r.now()
	level, hushed, ok := r.tell(w.got, now)
	if !ok {
		return
	}
	whose := "unknown: the API does not name it"
	if f, ok := r.formerly(w.got); ok {
		whose = "stale: it was the key of " + f.nodes + " until " + f.ago(now)
	}
	r.log.Log(context.Background(), level, "refused a server's key",
		"at", at, "peer", node, "key", w.got, "pinned", w.pin, "whose", whose, "left_out", hushed,
		"do", patience(level)+"see whether the agent of "+node+" can publish its new key, and whether this is its address")
}

// patience is what to do first about a key that was refused just now.
func patience(level slog.Level) string {
	if level == slog.LevelInfo {
		return "nothing if it ends within seconds, as for a new node, a new boot or a new key; else "
	}
	return ""
}

// judge says whose key it might be, and what to do.
func (r *refusals) judge(key, claims string, known owners, now timing.Instant) (whose, do string) {
	if f, ok := r.formerly(key); ok {
		return "stale: it was the key of " + f.nodes + " until " + f.ago(now),
			"restart the agent of " + f.nodes + " if it runs at this address; if not, somebody uses a key that was revoked: see who has the address"
	}
	if known.names(claims) {
		return "unknown: it says that it is " + claims + ", and the API names another key for that node",
			"compare with `kubectl get nodeguard " + claims + " -o jsonpath={.status.fingerprint}`: " +
				"if it is the same, this agent hears too late from the API; if not, somebody pretends to be " + claims
	}
	return "foreign: of no node that may call this agent",
		"see who has this address: an agent of another cluster, or somebody who tries"
}

// formerly returns whose key it was.
func (r *refusals) formerly(key string) (former, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.former[key]
	return f, ok
}

// ago says how long ago the key was changed.
func (f former) ago(now timing.Instant) string {
	return f.until.Age(now).Round(time.Second).String() + " ago"
}

// tell reports whether a line about the key is to be written now, at which level,
// and how many were left out since the last one. The line is written without the
// lock: a log that blocks must hold up nobody else.
func (r *refusals) tell(key string, now timing.Instant) (level slog.Level, hushed int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, known := r.told[key]
	lasts := known && w.first.Age(now) >= lasting
	if known && (!lasts || w.warned) && w.last.Age(now) < tellAgain {
		return 0, 0, false
	}
	if !r.bucket.take(now, tellRate, tellBurst) {
		r.hushed++
		return 0, 0, false
	}
	if !known {
		makeRoom(r.told, func(w word) timing.Instant { return w.last })
		w.first = now
	}
	if lasts {
		level = slog.LevelWarn
	}
	w.last, w.warned = now, lasts
	r.told[key] = w
	hushed, r.hushed = r.hushed, 0
	return level, hushed, true
}

// makeRoom forgets the oldest entry of a map that is full.
func makeRoom[T any](m map[string]T, at func(T) timing.Instant) {
	if len(m) < maxTold {
		return
	}
	oldest := ""
	for key, v := range m {
		if oldest == "" || at(m[oldest]).After(at(v)) {
			oldest = key
		}
	}
	delete(m, oldest)
}
