package proxy

import (
	"sync"
)

// state is a value that others can wait on.
type state[T any] struct {
	mu      sync.Mutex
	value   T
	changed chan struct{} // closed and replaced by each change
}

func newState[T any](value T) *state[T] {
	return &state[T]{value: value, changed: make(chan struct{})}
}

func (s *state[T]) get() T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// update changes the value and wakes all waiters.
func (s *state[T]) update(change func(*T)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.value)
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait returns true once the predicate holds, false if done closes first.
func (s *state[T]) wait(done <-chan struct{}, holds func(T) bool) bool {
	for {
		s.mu.Lock()
		ok, changed := holds(s.value), s.changed
		s.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-done:
			return false
		}
	}
}
