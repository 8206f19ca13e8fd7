package matrix

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// racks returns the agents of racks r1, r2, … of so many nodes each, of whom
// everybody watches everybody.
func racks(count, size int) []Agent {
	var agents []Agent
	for i := range count * size {
		agents = append(agents, Agent{Node: fmt.Sprintf("n%d", i+1), Group: fmt.Sprintf("r%d", i/size+1)})
	}
	for i := range agents {
		for _, b := range agents {
			if b.Node != agents[i].Node {
				agents[i].Watches = append(agents[i].Watches, b.Node)
			}
		}
	}
	return agents
}

// lose has each observer lose each subject that lost says it does.
func lose(agents []Agent, lost func(from, to Agent) bool) {
	for i, a := range agents {
		for _, b := range agents {
			if a.Node != b.Node && lost(a, b) {
				agents[i].Lost = append(agents[i].Lost, b.Node)
			}
		}
	}
}

func TestFindings(t *testing.T) {
	in := func(g ...string) func(Agent) bool {
		return func(a Agent) bool { return slices.Contains(g, a.Group) }
	}
	node := func(a Agent, names ...string) bool { return slices.Contains(names, a.Node) }
	r4 := in("r4")
	tests := []struct {
		name        string
		racks, size int
		lost        func(from, to Agent) bool
		mute        func(Agent) bool
		want        []string
	}{
		{"nothing", 4, 3, func(Agent, Agent) bool { return false }, nil, nil},
		{
			"uplink", 4, 3, func(a, b Agent) bool { return r4(a) != r4(b) }, nil,
			[]string{"rack r4 cut off from r1–r3: uplink, not hosts (its nodes hear each other)"},
		},
		{
			"uplink, and no API behind it", 4, 3, func(a, b Agent) bool { return !r4(a) && r4(b) }, nil,
			[]string{"rack r4 cut off from r1–r3: uplink or power, not single hosts (none of its nodes says anything of it)"},
		},
		{
			"uplink of two racks", 5, 3, func(a, b Agent) bool { return in("r4", "r5")(a) != in("r4", "r5")(b) }, nil,
			[]string{"rack r4 and r5 cut off from r1–r3: uplink, not hosts (its nodes hear each other)"},
		},
		{
			"path between two racks", 4, 3, func(a, b Agent) bool {
				return in("r2")(a) && in("r3")(b) || in("r3")(a) && in("r2")(b)
			}, nil,
			[]string{"rack r2 and r3 do not hear each other, though others hear both: the path between them, not hosts"},
		},
		{
			"switch inside a rack", 4, 3, func(a, b Agent) bool { return r4(a) && r4(b) }, nil,
			[]string{"inside rack r4 nodes do not hear each other, though others hear them: its switch, not hosts"},
		},
		{
			"port", 4, 3, func(Agent, Agent) bool { return true }, nil,
			[]string{"132 of 132 links are lost, all over the cluster: the agents' port is blocked or their network is down, not hosts (C12)"},
		},
		{
			"host without power", 4, 3, func(_, b Agent) bool { return node(b, "n5") }, nil,
			[]string{"n5 is lost by 11 of the 11 that watch it: down, hung or cut off alone, unless only its agent's port is blocked"},
		},
		{
			"host that reaches only the API", 4, 3, func(a, b Agent) bool { return node(a, "n5") != node(b, "n5") }, nil,
			[]string{"n5 is lost by 11 of the 11 that watch it: it hears 0 of 11 itself, and reaches the API: its own link, or its agent"},
		},
		{
			"host with a blocked port", 4, 3, func(a, b Agent) bool { return node(b, "n5") && a.Node != "n1" }, nil,
			[]string{"n5 is lost by 10 of the 11 that watch it: down, hung or cut off alone, unless only its agent's port is blocked"},
		},
		{
			"two hosts", 1, 5, func(a, b Agent) bool { return !node(a, "n2", "n4") && node(b, "n2", "n4") }, nil,
			[]string{
				"n2 is lost by 3 of the 3 that watch it: down, hung or cut off alone, unless only its agent's port is blocked",
				"n4 is lost by 3 of the 3 that watch it: down, hung or cut off alone, unless only its agent's port is blocked",
			},
		},
		{
			"single links", 1, 6, func(a, b Agent) bool {
				return node(a, "n1") && node(b, "n2") || node(a, "n2") && node(b, "n1") || node(a, "n3") && node(b, "n4")
			}, nil,
			[]string{
				"n1 and n2 do not hear each other, though others hear both: the path between them",
				"n3 does not hear n4, which 4 of its 5 watchers hear: the path between them",
			},
		},
		{
			"uplink and a host elsewhere", 4, 3, func(a, b Agent) bool { return r4(a) != r4(b) || node(b, "n5") }, nil,
			[]string{
				"rack r4 cut off from r1–r3: uplink, not hosts (its nodes hear each other)",
				"n5 is lost by 11 of the 11 that watch it: down, hung or cut off alone, unless only its agent's port is blocked",
			},
		},
		{
			"the word of the mute does not count", 1, 4, func(_, b Agent) bool { return node(b, "n2") },
			func(a Agent) bool { return node(a, "n1", "n3", "n4") }, nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			agents := racks(tt.racks, tt.size)
			lose(agents, tt.lost)
			for i, a := range agents {
				if tt.mute != nil && tt.mute(a) {
					agents[i].Mute = "old"
				}
			}
			var got []string
			for _, f := range New(agents).Findings("rack") {
				got = append(got, f.Text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever is lost, the findings explain all of it, end, and name only nodes
// and groups that exist; and nothing is found where nothing is lost.
func TestFindingsExplainEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agents := racks(rapid.IntRange(1, 4).Draw(t, "racks"), rapid.IntRange(1, 4).Draw(t, "size"))
		odds := rapid.IntRange(0, 10).Draw(t, "odds")
		lose(agents, func(Agent, Agent) bool { return rapid.IntRange(0, 9).Draw(t, "lost") < odds })
		m := New(agents)
		x := &explainer{Matrix: m, kind: "rack", left: make(map[pair]bool)}
		lost := 0
		for _, p := range m.pairs {
			if m.Sight(p.from, p.to) == Lost {
				lost++
			}
		}
		found := m.Findings("rack")
		if (lost == 0) != (len(found) == 0) {
			t.Fatalf("%d lost, findings %v", lost, found)
		}
		for _, p := range m.pairs {
			x.left[p] = m.Sight(p.from, p.to) == Lost
			if !x.left[p] {
				delete(x.left, p)
			}
		}
		for _, explain := range []func(){x.cluster, x.groups, x.paths, x.hosts, x.links} {
			explain()
		}
		if len(x.left) > 0 {
			t.Fatalf("left unexplained: %v", x.left)
		}
		for _, f := range found {
			for _, s := range f.Subjects {
				if !slices.Contains(m.Nodes(), s) && !slices.Contains(m.Groups(), s) {
					t.Fatalf("%q is about %q", f.Text, s)
				}
			}
		}
	})
}

// The word of a node that is lost and has not noticed is old.
func TestWordOfTheLostIsOld(t *testing.T) {
	agents := racks(1, 4)
	lose(agents, func(a, b Agent) bool { return a.Node != "n3" && b.Node == "n3" })
	m := New(agents)
	for _, tt := range []struct {
		from, to string
		want     Sight
	}{
		{"n1", "n3", Lost}, {"n1", "n2", Heard}, {"n3", "n1", Untold}, {"n1", "n1", Unwatched}, {"n9", "n1", Unwatched},
	} {
		if got := m.Sight(tt.from, tt.to); got != tt.want {
			t.Errorf("%s says of %s: %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
	if m.Mute("n3") == "" || m.Mute("n1") != "" {
		t.Errorf("mute: n3 %q, n1 %q", m.Mute("n3"), m.Mute("n1"))
	}
	if diff := cmp.Diff(Tally{Lost: 3}, m.About("n3")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Tally{Heard: 6, Lost: 3, Untold: 3}, m.Between("r1", "r1")); diff != "" {
		t.Error(diff)
	}
}

// sparse returns 200 agents in ten racks, of whom each watches eight.
func sparse(lost func(from, to Agent) bool) []Agent {
	agents := racks(10, 20)
	for i := range agents {
		agents[i].Watches = nil
		for k := range 8 {
			to := agents[(i+1+k*k*7)%len(agents)]
			agents[i].Watches = append(agents[i].Watches, to.Node)
			if lost(agents[i], to) {
				agents[i].Lost = append(agents[i].Lost, to.Node)
			}
		}
	}
	return agents
}

// In a large cluster a node watches few of those that watch it.
func TestFindingsInALargeCluster(t *testing.T) {
	r4 := func(a Agent) bool { return a.Group == "r4" }
	for _, tt := range []struct {
		name string
		lost func(from, to Agent) bool
		want []string
	}{
		{"nothing", func(Agent, Agent) bool { return false }, nil},
		{
			"uplink", func(a, b Agent) bool { return r4(a) != r4(b) },
			[]string{"rack r4 cut off from r1–r3 and r5–r10: uplink, not hosts (its nodes hear each other)"},
		},
		{
			"uplink, and no API behind it", func(a, b Agent) bool { return !r4(a) && r4(b) },
			[]string{"rack r4 cut off from r1–r3 and r5–r10: uplink or power, not single hosts (none of its nodes says anything of it)"},
		},
		{
			"host", func(a, b Agent) bool { return b.Node == "n70" },
			[]string{"n70 is lost by 8 of the 8 that watch it: down, hung or cut off alone, unless only its agent's port is blocked"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range New(sparse(tt.lost)).Findings("rack") {
				got = append(got, f.Text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{nil, ""},
		{[]string{"a"}, "a"},
		{[]string{"b", "a", "a"}, "a and b"},
		{[]string{"r10", "r2", "r9"}, "r2, r9 and r10"},
		{[]string{"r1", "r2", "r3", "r5"}, "r1–r3 and r5"},
		{[]string{"r8", "r9", "r10", "r11"}, "r8–r11"},
		{[]string{"n-01", "n-02", "n-03"}, "n-01–n-03"},
		{[]string{"a", "b", "c", "d", "e", "f", "g", "h"}, "a, b, c, d, e, f and 2 more"},
	} {
		if got := Names(tt.names); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.names, got, tt.want)
		}
	}
}

// BenchmarkFindings judges 5000 nodes of which each watches eight, with one rack
// cut off.
func BenchmarkFindings(b *testing.B) {
	var agents []Agent
	for i := range 5000 {
		a := Agent{Node: fmt.Sprintf("n%d", i), Group: fmt.Sprintf("r%d", i/50)}
		for k := range 8 {
			n := (i + 1 + k*617) % 5000
			a.Watches = append(a.Watches, fmt.Sprintf("n%d", n))
			if (n < 50) != (i < 50) {
				a.Lost = append(a.Lost, fmt.Sprintf("n%d", n))
			}
		}
		agents = append(agents, a)
	}
	for b.Loop() {
		New(agents).Findings("rack")
	}
}

// Nodes without a group are part of the cluster, and are not named as a group.
func TestNodesWithoutAGroupAreNotNamed(t *testing.T) {
	agents := racks(4, 3)
	for _, i := range []int{0, 4} {
		agents[i].Group = ""
	}
	lose(agents, func(a, b Agent) bool { return (a.Group == "r4") != (b.Group == "r4") })
	want := []Finding{{
		Scope: ScopeGroup, Subjects: []string{"r4"},
		Text: "rack r4 cut off from r1–r3: uplink, not hosts (its nodes hear each other)",
	}}
	if d := cmp.Diff(want, New(agents).Findings("rack")); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
}
