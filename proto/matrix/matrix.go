package matrix

import (
	"cmp"
	"slices"
)

// An Agent is one node's word about its neighbours.
type Agent struct {
	Node string
	// Group names what fails together: a rack, a zone. Nodes without one are
	// only judged singly.
	Group string
	// Watches are the nodes whose health it watches; those that it reports lost
	// count as watched, too.
	Watches []string
	// Lost are the neighbours that do not answer it.
	Lost []string
	// Mute says why the agent's word does not count: it has not spoken in this
	// boot, or not for long. Empty: it counts.
	Mute string
}

// A Sight is what one node says of another.
type Sight int

const (
	// Unwatched is the zero Sight: nobody looks.
	Unwatched Sight = iota
	// Heard says that the subject answers the observer.
	Heard
	// Lost says that it does not.
	Lost
	// Untold says that the observer watches the subject, but that its word is
	// old or does not count.
	Untold
)

// String returns the word for the sight.
func (s Sight) String() string {
	switch s {
	case Heard:
		return "Heard"
	case Lost:
		return "Lost"
	case Untold:
		return "Untold"
	case Unwatched:
	}
	return "Unwatched"
}

// A Matrix holds what each node says of each other.
type Matrix struct {
	agents map[string]Agent
	nodes  []string // by group, then by name
	sights map[pair]Sight
	pairs  []pair // those with a Sight, in order of nodes

	about, by map[string]Tally // by subject, and by observer
	between   map[pair]Tally   // by group
}

// A pair is an observer and its subject, both nodes or both groups.
type pair struct{ from, to string }

// New returns the matrix of the agents' words. Each node's name must come once.
// A lost link is lost both ways, since heartbeats ask and answer. A node that
// most of its watchers have lost, and that says so of less than half of those of
// them whom it watches, has not told what it must have seen: its word is taken
// for old, and is Untold. One that watches none of them must have lost somebody.
func New(agents []Agent) *Matrix {
	m := &Matrix{
		agents: make(map[string]Agent, len(agents)), sights: make(map[pair]Sight),
		about: make(map[string]Tally), by: make(map[string]Tally), between: make(map[pair]Tally),
	}
	for _, a := range agents {
		m.agents[a.Node] = a
		m.nodes = append(m.nodes, a.Node)
	}
	slices.SortFunc(m.nodes, func(a, b string) int {
		return cmp.Or(Compare(m.agents[a].Group, m.agents[b].Group), Compare(a, b))
	})
	accusers := make(map[string][]string)
	watchers := make(map[string]int)
	for _, a := range agents {
		if a.Mute != "" {
			continue
		}
		for _, n := range a.watched() {
			watchers[n]++
		}
		for _, n := range a.Lost {
			accusers[n] = append(accusers[n], a.Node)
		}
	}
	for _, from := range m.nodes {
		a := m.agents[from]
		if a.Mute == "" && 2*len(accusers[from]) > watchers[from] && a.unaware(accusers[from]) {
			a.Mute = "it is lost itself, and its word is older"
			m.agents[from] = a
		}
		m.take(a)
	}
	return m
}

// take notes what one agent says.
func (m *Matrix) take(a Agent) {
	for _, n := range a.watched() {
		p := pair{a.Node, n}
		switch {
		case a.Mute != "":
			m.sights[p] = Untold
		case slices.Contains(a.Lost, n):
			m.sights[p] = Lost
		default:
			m.sights[p] = Heard
		}
		m.pairs = append(m.pairs, p)
		m.about[n] = m.about[n].and(m.sights[p])
		m.by[a.Node] = m.by[a.Node].and(m.sights[p])
		g := pair{a.Group, m.Group(n)}
		m.between[g] = m.between[g].and(m.sights[p])
	}
}

// watched returns whom the agent watches, sorted and once each.
func (a Agent) watched() []string {
	all := slices.Concat(a.Watches, a.Lost)
	slices.Sort(all)
	return slices.Compact(all)
}

// unaware reports whether the agent says nothing of having lost those that have
// lost it.
func (a Agent) unaware(accusers []string) bool {
	mutual := shared(a.watched(), accusers)
	if mutual == 0 {
		return len(a.Lost) == 0
	}
	return 2*shared(a.Lost, accusers) < mutual
}

// shared counts the names that are in both lists.
func shared(a, b []string) (n int) {
	for _, x := range a {
		if slices.Contains(b, x) {
			n++
		}
	}
	return n
}

// Nodes returns the nodes that have an agent, by group and then by name.
func (m *Matrix) Nodes() []string { return slices.Clone(m.nodes) }

// Groups returns the groups, sorted; "" among them if a node has none.
func (m *Matrix) Groups() []string {
	var all []string
	for _, n := range m.nodes {
		all = append(all, m.agents[n].Group)
	}
	return slices.Compact(all)
}

// Sight returns what the observer says of the subject.
func (m *Matrix) Sight(observer, subject string) Sight { return m.sights[pair{observer, subject}] }

// Mute says why the node's word does not count; empty: it counts.
func (m *Matrix) Mute(node string) string { return m.agents[node].Mute }

// A Tally counts the sights of many pairs.
type Tally struct{ Heard, Lost, Untold int }

// and returns the tally with one more sight.
func (t Tally) and(s Sight) Tally {
	switch s {
	case Heard:
		t.Heard++
	case Lost:
		t.Lost++
	case Untold:
		t.Untold++
	case Unwatched:
	}
	return t
}

// plus returns both tallies in one.
func (t Tally) plus(u Tally) Tally {
	return Tally{t.Heard + u.Heard, t.Lost + u.Lost, t.Untold + u.Untold}
}

// told returns how many of the pairs have somebody's word.
func (t Tally) told() int { return t.Heard + t.Lost }

// cut reports whether next to nothing gets through: nine tenths are lost, and at
// least two, so that no single host can be the reason.
func (t Tally) cut() bool { return t.Lost >= 2 && 10*t.Lost >= 9*t.told() }

// Between counts what the nodes of one group say of those of another, or of
// their own.
func (m *Matrix) Between(from, to string) Tally { return m.between[pair{from, to}] }

// About counts what others say of the node.
func (m *Matrix) About(node string) Tally { return m.about[node] }

// By counts what the node says of others.
func (m *Matrix) By(node string) Tally { return m.by[node] }

// bothWays counts the links of two groups in both directions, or those within
// one.
func (m *Matrix) bothWays(a, b string) Tally {
	if a == b {
		return m.Between(a, a)
	}
	return m.Between(a, b).plus(m.Between(b, a))
}

// Group returns the group of a node.
func (m *Matrix) Group(node string) string { return m.agents[node].Group }
