package topology

import (
	"cmp"
	"slices"
)

// A ring is a closed order of members.
type ring struct {
	order []int // members by position
	at    []int // position by member
}

// newRing orders all members by their places on ring r; equal places, which
// only equal UIDs have, by name.
func newRing(members []member, r int) ring {
	c := ring{order: make([]int, len(members)), at: make([]int, len(members))}
	for i := range members {
		c.order[i] = i
	}
	slices.SortFunc(c.order, func(a, b int) int {
		return cmp.Or(cmp.Compare(members[a].places[r], members[b].places[r]), cmp.Compare(a, b))
	})
	for position, i := range c.order {
		c.at[i] = position
	}
	return c
}

// split returns one ring for each domain, in the same order as the whole one.
func (c ring) split(members []member, domains int) []ring {
	parts := make([]ring, domains)
	at := make([]int, len(members))
	for _, i := range c.order {
		part := &parts[members[i].domain]
		at[i] = len(part.order)
		part.order = append(part.order, i)
	}
	for d := range parts {
		parts[d].at = at
	}
	return parts
}

// successor returns the first member after i that suits, or false if none does.
func (c ring) successor(i int, suits func(int) bool) (int, bool) {
	for step := 1; step < len(c.order); step++ {
		j := c.order[(c.at[i]+step)%len(c.order)]
		if suits(j) {
			return j, true
		}
	}
	return 0, false
}
