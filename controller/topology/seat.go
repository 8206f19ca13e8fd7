package topology

import (
	"cmp"
	"slices"
)

// A tally counts the seats taken so far.
type tally struct {
	taken   []bool // by member
	seats   int
	api     int
	domains []int // by domain
}

func (t *tally) add(i int, m member) {
	t.taken[i] = true
	t.seats++
	t.domains[m.domain]++
	if m.APIHost {
		t.api++
	}
}

// fill seats keep and then, one by one, the best candidate for the next seat,
// until the panel is full. With nobody to keep, no other choice exceeds the
// limits by less: a candidate that wastes an API host's seat comes after all
// others of its domain, and one that exceeds a limit after all that do not.
func (p panel) fill(keep []int) ([]int, excess) {
	t := &tally{taken: make([]bool, len(p.members)), domains: make([]int, p.domains)}
	seats := slices.Clone(keep)
	for _, i := range keep {
		t.add(i, p.members[i])
	}
	for t.seats < p.n {
		i := p.next(t)
		t.add(i, p.members[i])
		seats = append(seats, i)
	}
	return seats, p.excess(t)
}

// limit is n−H: a failure of so many leaves H. A single witness exceeds it
// wherever it is, and so decides nothing by it but to avoid API hosts.
func (p panel) limit() int { return (p.n - 1) / 2 }

func (p panel) excess(t *tally) excess {
	e := excess{api: max(0, t.api-p.limit())}
	for _, seats := range t.domains {
		e.domain += max(0, seats-p.limit())
	}
	return e
}

// next returns the best candidate for the next seat.
func (p panel) next(t *tally) int {
	best := -1
	for i := range p.members {
		if !t.taken[i] && (best < 0 || p.compare(t, i, best) < 0) {
			best = i
		}
	}
	return best
}

// compare orders candidates for the next seat: first those who keep the limit
// on API hosts, then those who keep the limit on domains, then the domains with
// the fewest seats, then hosts without an API, then by place on the first ring.
func (p panel) compare(t *tally, i, j int) int {
	a, b := &p.members[i], &p.members[j]
	overAPI := func(m *member) bool { return m.APIHost && t.api >= p.limit() }
	overDomain := func(m *member) bool { return t.domains[m.domain] >= p.limit() }
	return cmp.Or(
		falseFirst(overAPI(a), overAPI(b)),
		falseFirst(overDomain(a), overDomain(b)),
		cmp.Compare(t.domains[a.domain], t.domains[b.domain]),
		falseFirst(a.APIHost, b.APIHost),
		cmp.Compare(a.places[0], b.places[0]),
		cmp.Compare(i, j),
	)
}

// falseFirst orders false before true.
func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
