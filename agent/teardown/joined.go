package teardown

import (
	"maps"
	"slices"
)

// joined is a union of sets. Each member leads to its set's root, which is the
// smallest one, so that the order of joining leaves no trace.
type joined[T comparable] struct {
	up      map[T]T
	compare func(a, b T) int
}

func newJoined[T comparable](compare func(a, b T) int) *joined[T] {
	return &joined[T]{up: map[T]T{}, compare: compare}
}

// find returns the root of n's set, or n if nothing was joined to it.
func (j *joined[T]) find(n T) T {
	for {
		up, ok := j.up[n]
		if !ok || up == n {
			return n
		}
		n = up
	}
}

// join makes the sets of a and b one.
func (j *joined[T]) join(a, b T) {
	a, b = j.find(a), j.find(b)
	if j.compare(a, b) > 0 {
		a, b = b, a
	}
	j.up[a], j.up[b] = a, a
}

// members returns all members in order.
func (j *joined[T]) members() []T {
	return slices.SortedFunc(maps.Keys(j.up), j.compare)
}
