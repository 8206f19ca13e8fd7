package matrix

import (
	"fmt"
	"slices"
)

// A Scope is how much of the network a finding explains.
type Scope string

// The scopes, the widest first.
const (
	ScopeCluster Scope = "cluster"
	ScopeGroup   Scope = "group"
	ScopePath    Scope = "path"
	ScopeHost    Scope = "host"
	ScopeLink    Scope = "link"
)

// A Finding explains some of the lost links by one reason.
type Finding struct {
	Scope Scope `json:"scope"`
	// Subjects are the groups or nodes that it is about, sorted.
	Subjects []string `json:"subjects"`
	// Text says it for people, without a full stop.
	Text string `json:"text"`
}

// Findings explains every lost link, by the widest reason that fits it: the
// agents' port, a group that is cut off, the path between two groups, a host,
// and at last the single link. kind is what the groups are, such as "rack". No
// finding means that nothing is lost.
func (m *Matrix) Findings(kind string) []Finding {
	x := &explainer{Matrix: m, kind: kind, left: make(map[pair]bool)}
	for _, p := range m.pairs {
		if m.sights[p] == Lost {
			x.left[p] = true
		}
	}
	for _, explain := range []func(){x.cluster, x.groups, x.paths, x.hosts, x.links} {
		if len(x.left) > 0 {
			explain()
		}
	}
	return x.found
}

// An explainer works off the lost pairs that nothing has explained yet.
type explainer struct {
	*Matrix
	kind  string
	left  map[pair]bool
	found []Finding
}

// add notes a finding and takes off the pairs that it explains.
func (x *explainer) add(scope Scope, subjects []string, explains func(pair) bool, format string, args ...any) {
	slices.SortFunc(subjects, Compare)
	x.found = append(x.found, Finding{Scope: scope, Subjects: subjects, Text: fmt.Sprintf(format, args...)})
	for p := range x.left {
		if explains(p) {
			delete(x.left, p)
		}
	}
}

// cluster finds that nobody hears anybody, which is no host's fault (C12).
func (x *explainer) cluster() {
	var t Tally
	observers := make(map[string]bool)
	for _, p := range x.pairs {
		t = t.and(x.sights[p])
		if x.sights[p] != Untold {
			observers[p.from] = true
		}
	}
	if len(observers) < 3 || !t.cut() {
		return
	}
	x.add(ScopeCluster, nil, func(pair) bool { return true },
		"%d of %d links are lost, all over the cluster: the agents' port is blocked or their network is down, not hosts (C12)",
		t.Lost, t.told())
}

// groups finds groups of several nodes that are cut off from the rest.
func (x *explainer) groups() {
	islands := x.islands()
	if len(islands) < 2 {
		return
	}
	main := islands[0] // the one with most nodes
	for _, island := range islands[1:] {
		within := func(n string) bool { return slices.Contains(island, x.Group(n)) }
		x.add(ScopeGroup, slices.Clone(island),
			func(p pair) bool { return within(p.from) != within(p.to) },
			"%s %s cut off from %s: %s", x.kind, Names(island), Names(named(main)), x.fate(within))
	}
}

// named returns the groups that have a name. Nodes without a group belong to the
// main part, and are no group to speak of.
func named(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == "" })
}

// fate says what is known of a cut-off part from within.
func (x *explainer) fate(within func(string) bool) string {
	var inside, out Tally
	for _, p := range x.pairs {
		switch s := x.sights[p]; {
		case within(p.from) && within(p.to):
			inside = inside.and(s)
		case within(p.from):
			out = out.and(s)
		}
	}
	switch {
	case out.Lost > 0 && inside.Heard > 0:
		return "uplink, not hosts (its nodes hear each other)"
	case out.Lost > 0:
		return "its nodes reach the API, but no other agent"
	}
	return "uplink or power, not single hosts (none of its nodes says anything of it)"
}

// islands returns the groups in parts that hear each other, the largest part
// first. A group of one node, or with nobody's word about it, belongs to the
// largest: nothing says that it is cut off as a group.
func (x *explainer) islands() [][]string {
	size := make(map[string]int)
	for _, n := range x.nodes {
		size[x.Group(n)]++
	}
	groups := x.Groups()
	var islands [][]string
	var loose []string
	placed := make(map[string]bool)
	for _, g := range groups {
		switch {
		case placed[g]:
			continue
		case g == "" || size[g] < 2 || !x.told(g, groups):
			loose = append(loose, g)
			continue
		}
		placed[g] = true
		island := []string{g}
		for i := 0; i < len(island); i++ {
			for _, h := range groups {
				t := x.bothWays(island[i], h)
				if !placed[h] && h != "" && size[h] > 1 && t.told() > 0 && !t.cut() {
					placed[h] = true
					island = append(island, h)
				}
			}
		}
		islands = append(islands, island)
	}
	nodes := func(island []string) (n int) {
		for _, g := range island {
			n += size[g]
		}
		return n
	}
	slices.SortStableFunc(islands, func(a, b []string) int { return nodes(b) - nodes(a) })
	if len(islands) > 0 {
		islands[0] = append(islands[0], loose...)
	}
	return islands
}

// told reports whether anybody has a word about links between the group and
// another one.
func (x *explainer) told(g string, groups []string) bool {
	return slices.ContainsFunc(groups, func(h string) bool { return h != g && x.bothWays(g, h).told() > 0 })
}

// paths finds two groups that do not hear each other although others hear both,
// and groups whose own nodes do not.
func (x *explainer) paths() {
	groups := x.Groups()
	for i, a := range groups {
		for _, b := range groups[i:] {
			if a == "" || b == "" || !x.bothWays(a, b).cut() {
				continue
			}
			explains := func(p pair) bool {
				g, h := x.Group(p.from), x.Group(p.to)
				return g == a && h == b || g == b && h == a
			}
			if !x.severalHosts(explains) {
				continue
			}
			if a == b {
				x.add(ScopePath, []string{a}, explains,
					"inside %s %s nodes do not hear each other, though others hear them: its switch, not hosts", x.kind, a)
				continue
			}
			x.add(ScopePath, []string{a, b}, explains,
				"%s %s and %s do not hear each other, though others hear both: the path between them, not hosts", x.kind, a, b)
		}
	}
}

// severalHosts reports whether lost pairs are left among those, and no single
// node is part of all of them.
func (x *explainer) severalHosts(of func(pair) bool) bool {
	var left []pair
	for p := range x.left {
		if of(p) {
			left = append(left, p)
		}
	}
	if len(left) == 0 {
		return false
	}
	for _, n := range []string{left[0].from, left[0].to} {
		if !slices.ContainsFunc(left, func(p pair) bool { return p.from != n && p.to != n }) {
			return false
		}
	}
	return true
}

// hosts finds nodes that most of their watchers have lost.
func (x *explainer) hosts() {
	for _, n := range x.suspects() {
		in, out := x.About(n), x.By(n)
		word := "down, hung or cut off alone, unless only its agent's port is blocked"
		if out.Lost > 0 {
			word = fmt.Sprintf("it hears %d of %d itself, and reaches the API: its own link, or its agent", out.Heard, out.told())
		}
		x.add(ScopeHost, []string{n}, func(p pair) bool { return p.from == n || p.to == n },
			"%s is lost by %d of the %d that watch it: %s", n, in.Lost, in.told(), word)
	}
}

// suspects returns the nodes that a majority of their watchers has lost for a
// reason not found yet, by name.
func (x *explainer) suspects() []string {
	lost := make(map[string]int)
	for p := range x.left {
		lost[p.to]++
	}
	var names []string
	for n, k := range lost {
		if t := x.About(n); 2*k > t.told() && k >= min(2, t.told()) {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, Compare)
	return names
}

// links names what is left: single links.
func (x *explainer) links() {
	var left []pair
	for p := range x.left {
		left = append(left, p)
	}
	slices.SortFunc(left, func(p, q pair) int {
		if c := Compare(p.from, q.from); c != 0 {
			return c
		}
		return Compare(p.to, q.to)
	})
	for _, p := range left {
		if !x.left[p] {
			continue
		}
		back := pair{p.to, p.from}
		explains := func(q pair) bool { return q == p || q == back }
		t := x.About(p.to)
		switch {
		case x.left[back]:
			x.add(ScopeLink, []string{p.from, p.to}, explains,
				"%s and %s do not hear each other, though others hear both: the path between them", p.from, p.to)
		default:
			x.add(ScopeLink, []string{p.from, p.to}, explains,
				"%s does not hear %s, which %d of its %d watchers hear: the path between them", p.from, p.to, t.Heard, t.told())
		}
	}
}
