package peer

import (
	"context"
	"maps"
	"slices"

	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/picket-dev/picket/proto/timing"
)

// A Caller is what the last heartbeat of a known caller shows.
type Caller struct {
	At timing.Instant // when it came
	// Key is the fingerprint of this agent's key that the caller has pinned;
	// empty if that is none of those that this agent has, or if the caller
	// cannot say, as agents of versions before this one.
	Key string
}

// Heard returns when each known caller was last heard: the IN direction.
func (s *Server) Heard() map[string]timing.Instant {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := make(map[string]timing.Instant, len(s.heard))
	for node, c := range s.heard {
		heard[node] = c.At
	}
	return heard
}

// Callers returns what is known of each known caller that was heard. It has
// proved itself, so nobody else can change it.
func (s *Server) Callers() map[string]Caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.heard)
}

// Asked returns when a statement was last served to somebody who has pinned the
// key of that fingerprint; at the empty one, as for Caller. It may be anybody:
// fingerprints are no secret.
func (s *Server) Asked() map[string]timing.Instant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.asked)
}

// hear notes a heartbeat of a known caller.
func (s *Server) hear(ctx context.Context, node string, now timing.Instant) {
	c := Caller{At: now, Key: s.pinnedBy(ctx)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard[node] = c
}

// ask notes that a statement is served. There are never more notes than keys, and
// one: those of keys that are gone make room.
func (s *Server) ask(ctx context.Context, now timing.Instant) {
	key := s.pinnedBy(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.asked[key]; !ok {
		own := s.id.Fingerprints()
		maps.DeleteFunc(s.asked, func(old string, _ timing.Instant) bool { return old != "" && !slices.Contains(own, old) })
	}
	s.asked[key] = now
}

// pinnedBy returns the fingerprint of the own key that the client behind a call
// has pinned: it has said so by the server name, and has then finished the
// handshake.
func (s *Server) pinnedBy(ctx context.Context) string {
	if p, ok := grpcpeer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			return s.id.asked(info.State.ServerName)
		}
	}
	return ""
}
