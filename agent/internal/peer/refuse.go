package peer

import (
	"context"
	"log/slog"
	"net"
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
	// changeWithin is how long after a change of a pin its owner may still show
	// the old key: until it has heard of the new boot, or of its own rotation.
	changeWithin = 30 * time.Second
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
	told   map[string]timing.Instant
	bucket bucket
	hushed int // how many lines were left out since the last one
}

// A former key was a node's until its pin changed.
type former struct {
	node  string
	until timing.Instant
}

func newRefusals(c Config) *refusals {
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &refusals{log: log, now: c.Now, former: make(map[string]former), told: make(map[string]timing.Instant)}
}

// changed remembers the keys that are nobody's any more. Both maps hold nodes by
// fingerprint.
func (r *refusals) changed(was, is map[string]string) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, node := range was {
		if is[key] != "" {
			continue
		}
		makeRoom(r.former, func(f former) timing.Instant { return f.until })
		r.former[key] = former{node, now}
	}
}

// caller tells of a caller whose key is not known. It says that it is that node,
// which nothing proves, and which is empty if it has said nothing.
func (r *refusals) caller(key string, from net.Addr, claims string, known map[string]string) {
	now := r.now()
	told, hushed := r.tell(key, now)
	if !told {
		return
	}
	claims = claims[:min(len(claims), maxName)]
	whose, do, level := r.judge(key, claims, known, now)
	r.log.Log(context.Background(), level, "refused a caller's key",
		"from", from, "key", key, "claims", claims, "whose", whose, "do", do, "left_out", hushed)
}

// server tells of a server that has shown another key than the node's.
func (r *refusals) server(node string, at net.Addr, w *wrongKey) {
	now := r.now()
	told, hushed := r.tell(w.got, now)
	if !told {
		return
	}
	whose := "unknown: the API does not name it"
	if f, ok := r.formerly(w.got); ok {
		whose = "stale: it was the key of " + f.node + " until " + f.ago(now)
	}
	r.log.Warn("refused a server's key",
		"at", at, "peer", node, "key", w.got, "pinned", w.pin, "whose", whose, "left_out", hushed,
		"do", "nothing if it ends within seconds: "+node+" has booted anew, and the API has not told yet; else see who has this address")
}

// judge says whose key it might be, what to do, and how bad it is.
func (r *refusals) judge(key, claims string, known map[string]string, now timing.Instant) (whose, do string, level slog.Level) {
	if f, ok := r.formerly(key); ok {
		whose = "stale: it was the key of " + f.node + " until " + f.ago(now)
		if f.until.Age(now) < changeWithin {
			return whose, "nothing: " + f.node + " has just booted anew or rotated its key", slog.LevelInfo
		}
		return whose, "restart the agent of " + f.node + " if it runs at this address; else somebody uses a key that was revoked: see who has the address", slog.LevelWarn
	}
	for _, node := range known {
		if node == claims {
			return "unknown: it says that it is " + node + ", and the API names another key for that node",
				"nothing if it ends within seconds; else compare with `kubectl get nodeguard " + node + " -o jsonpath={.status.fingerprint}`: " +
					"if it is the same, this agent hears too late from the API; if not, somebody pretends to be " + node,
				slog.LevelWarn
		}
	}
	return "foreign: of no node that may call this agent",
		"nothing if it ends within seconds, as for a new node; else see who has this address: an agent of another cluster, or somebody who tries", slog.LevelWarn
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

// tell reports whether a line about the key may be written now, and how many were
// left out since the last one. The line is written without the lock: a log that
// blocks must hold up nobody else.
func (r *refusals) tell(key string, now timing.Instant) (told bool, hushed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.told[key]; ok && at.Age(now) < tellAgain {
		return false, 0
	}
	if !r.bucket.take(now, tellRate, tellBurst) {
		r.hushed++
		return false, 0
	}
	makeRoom(r.told, func(at timing.Instant) timing.Instant { return at })
	r.told[key] = now
	hushed, r.hushed = r.hushed, 0
	return true, hushed
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
