package topology_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/picket-dev/picket/controller/topology"
)

func TestWitnessesAreTheLargestOddNumberUpTo9(t *testing.T) {
	for n, want := range []int{0, 1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 9, 9} {
		if got := topology.Witnesses(cluster(n, nil, nil), nil, nil); len(got) != want {
			t.Errorf("%d nodes: %d witnesses %v, want %d", n, len(got), got, want)
		}
	}
	if got := topology.Witnesses(cluster(5000, nil, nil), nil, nil); len(got) != 9 {
		t.Errorf("5000 nodes: %d witnesses, want 9", len(got))
	}
}

// A case lists how many witnesses may be where.
func TestWitnessesAreSpread(t *testing.T) {
	third := func(i int) string { return fmt.Sprint(i % 3) }
	first := func(n int) func(int) bool { return func(i int) bool { return i < n } }
	for name, test := range map[string]struct {
		nodes   []topology.Node
		api     int            // on API hosts
		domains map[string]int // by domain
	}{
		"evenly over three zones": {
			cluster(12, third, nil), 0, map[string]int{"0": 3, "1": 3, "2": 3},
		},
		"3 nodes in 3 zones, each an API host": {
			cluster(3, third, first(3)), 3, map[string]int{"0": 1, "1": 1, "2": 1},
		},
		"the worker alone where there is one seat": {
			cluster(2, nil, first(1)), 0, map[string]int{"": 1},
		},
		"no API host where 9 others exist": {
			cluster(12, nil, first(3)), 0, map[string]int{"": 9},
		},
		"as many API hosts as n−H, not more": {
			cluster(9, nil, first(4)), 4, map[string]int{"": 9},
		},
		"more API hosts where too few others exist": {
			cluster(9, nil, first(5)), 5, map[string]int{"": 9},
		},
		"a zone of API hosts": {
			cluster(20, func(i int) string { return fmt.Sprint(min(i/5, 1)) }, first(5)),
			4, map[string]int{"0": 4, "1": 5},
		},
		"two zones cannot both be within n−H": {
			cluster(20, func(i int) string { return fmt.Sprint(i % 2) }, nil), 0, map[string]int{"0": 4, "1": 5},
		},
		"a large zone and a small one": {
			cluster(20, func(i int) string { return fmt.Sprint(max(0, i-17)) }, nil),
			0, map[string]int{"0": 7, "1": 1, "2": 1},
		},
		"a rack each": {
			cluster(9, func(i int) string { return fmt.Sprint(i / 3) }, nil), 0, map[string]int{"0": 3, "1": 3, "2": 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			api, domains := 0, map[string]int{}
			for _, w := range topology.Witnesses(test.nodes, nil, nil) {
				n := byName(test.nodes, w)
				domains[n.Domain]++
				if n.APIHost {
					api++
				}
			}
			if api != test.api {
				t.Errorf("%d witnesses on API hosts, want %d", api, test.api)
			}
			if diff := cmp.Diff(test.domains, domains); diff != "" {
				t.Errorf("witnesses by domain (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWitnessesChangeOnlyWhenTheyMust(t *testing.T) {
	zone := func(i int) string { return fmt.Sprint(i % 3) }
	for name, test := range map[string]struct {
		nodes      []topology.Node
		ineligible string
		current    []string
		want       []string
	}{
		"the present ones stay, whoever else could be": {
			cluster(6, zone, nil), "", names(0, 1, 2, 3, 4), names(0, 1, 2, 3, 4),
		},
		"a member that is gone is replaced from its zone": {
			cluster(7, zone, nil), "node-0001", names(0, 1, 2, 3, 5), names(0, 2, 3, 4, 5),
		},
		"names that are no nodes do not count": {
			cluster(3, zone, nil), "", []string{"gone", "lost", "node-0002"}, names(0, 1, 2),
		},
		"the set grows by two": {
			cluster(5, zone, nil), "", names(0, 1, 2), names(0, 1, 2, 3, 4),
		},
		"the set shrinks to an odd number": {
			cluster(5, zone, nil), "node-0002", names(0, 1, 2, 3, 4), names(0, 1, 3),
		},
		"a limit that can be kept at last": {
			cluster(6, func(i int) string { return fmt.Sprint(max(0, i-2)) }, nil), "",
			names(0, 1, 2, 3, 4), names(0, 1, 3, 4, 5),
		},
		"API hosts give way to workers": {
			cluster(6, nil, func(i int) bool { return i < 3 }), "", names(0, 1, 2, 3, 4), names(0, 1, 3, 4, 5),
		},
		"of five API hosts one goes, and nobody else": {
			cluster(40, nil, func(i int) bool { return i < 5 }), "",
			names(0, 1, 2, 3, 4, 5, 6, 7, 8), names(0, 1, 2, 3, 5, 6, 7, 8, 23),
		},
		"of five in a zone one goes, and nobody else": {
			cluster(40, func(i int) string { return fmt.Sprint(min(i/10, 2)) }, nil), "",
			names(0, 1, 2, 3, 4, 10, 11, 20, 21), names(0, 1, 2, 3, 10, 11, 20, 21, 23),
		},
		"of six API hosts in one zone those two go that serve both limits": {
			cluster(40, func(i int) string { return fmt.Sprint(min(i/10, 2)) }, func(i int) bool { return i < 5 || i == 20 }), "",
			names(0, 1, 2, 3, 4, 5, 10, 20, 21), names(0, 1, 3, 5, 10, 15, 20, 21, 23),
		},
		"within the limits, API hosts stay though workers exist": {
			cluster(12, zone, func(i int) bool { return i < 4 }), "",
			names(0, 1, 2, 3, 4, 5, 6, 7, 8), names(0, 1, 2, 3, 4, 5, 6, 7, 8),
		},
	} {
		t.Run(name, func(t *testing.T) {
			eligible := func(node string) bool { return node != test.ineligible }
			got := topology.Witnesses(test.nodes, eligible, test.current)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("witnesses (-want +got):\n%s", diff)
			}
		})
	}
}

// Like the rings, the choice is for ever: another result means that an upgrade
// of the controller changes the epochs of whole clusters.
func TestWitnessesGolden(t *testing.T) {
	got := topology.Witnesses(cluster(40, func(i int) string { return fmt.Sprint(i % 4) }, nil), nil, nil)
	want := names(0, 8, 15, 23, 31, 33, 34, 37, 38)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("witnesses (-want +got):\n%s", diff)
	}
}

// Against every other set of that size: none exceeds the limits by less, and of
// those that exceed them as little, none keeps more of the present members.
func TestWitnessesAreTheBestOfAllSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := smallCluster(t)
		var current []string
		for _, n := range nodes {
			if rapid.Bool().Draw(t, "member") {
				current = append(current, n.Name)
			}
		}
		got := judge(nodes, topology.Witnesses(nodes, nil, current), current)
		var best verdict
		for i, set := range subsets(nodes, min(9, len(nodes)-(len(nodes)+1)%2)) {
			if v := judge(nodes, set, current); i == 0 || v.better(best) {
				best = v
			}
		}
		if best.better(got) {
			t.Fatalf("got %+v, possible is %+v", got, best)
		}
	})
}

func TestWitnessesAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := anyCluster(t, 5000)
		eligible := func(node string) bool { return node[len(node)-1] != '1' }
		set := topology.Witnesses(nodes, eligible, nil)
		if len(set)%2 != 1 || len(set) > 9 || !slices.IsSorted(set) || slices.ContainsFunc(set, func(w string) bool { return !eligible(w) }) {
			t.Fatalf("witnesses %v: want an odd number of eligible nodes, at most 9, sorted", set)
		}
		if again := topology.Witnesses(nodes, eligible, set); !slices.Equal(set, again) {
			t.Fatalf("the set does not stay: %v, then %v", set, again)
		}
		slices.Reverse(nodes)
		if reversed := topology.Witnesses(nodes, eligible, nil); !slices.Equal(set, reversed) {
			t.Fatalf("the set depends on the order of nodes: %v, and %v reversed", set, reversed)
		}
		if len(nodes) < 12 {
			return
		}
		gone := rapid.SampledFrom(set).Draw(t, "gone")
		kept := 0
		for _, w := range topology.Witnesses(without(nodes, gone), eligible, set) {
			if slices.Contains(set, w) {
				kept++
			}
		}
		if kept < len(set)-2 {
			t.Fatalf("of %v without %s, only %d stay", set, gone, kept)
		}
	})
}

// A verdict on a set, the smaller the better; kept counts present members.
type verdict struct{ api, domain, kept int }

func (v verdict) better(w verdict) bool {
	switch {
	case v.api != w.api:
		return v.api < w.api
	case v.domain != w.domain:
		return v.domain < w.domain
	}
	return v.kept > w.kept
}

// judge states the limits once more, from the text of the design.
func judge(nodes []topology.Node, set, current []string) verdict {
	h := len(set)/2 + 1
	limit := len(set) - h
	var v verdict
	domains := map[string]int{}
	for _, w := range set {
		n := byName(nodes, w)
		if n.APIHost {
			v.api++
		}
		if slices.Contains(current, w) {
			v.kept++
		}
		domains[n.Domain]++
	}
	v.api = max(0, v.api-limit)
	for _, seats := range domains {
		v.domain += max(0, seats-limit)
	}
	return v
}

func smallCluster(t *rapid.T) []topology.Node {
	n := rapid.IntRange(1, 14).Draw(t, "nodes")
	nodes := cluster(n, nil, nil)
	for i := range nodes {
		nodes[i].Domain = rapid.SampledFrom([]string{"a", "b", "b", "b", "c", "d"}).Draw(t, "domain")
		nodes[i].APIHost = rapid.Bool().Draw(t, "api")
	}
	return nodes
}

// subsets returns the names of each choice of size nodes.
func subsets(nodes []topology.Node, size int) [][]string {
	if size == 0 {
		return [][]string{nil}
	}
	var sets [][]string
	for i := range nodes {
		for _, rest := range subsets(nodes[i+1:], size-1) {
			sets = append(sets, append([]string{nodes[i].Name}, rest...))
		}
	}
	return sets
}

func byName(nodes []topology.Node, name string) topology.Node {
	return nodes[slices.IndexFunc(nodes, func(n topology.Node) bool { return n.Name == name })]
}

// names returns the names of the nodes with these numbers.
func names(numbers ...int) []string {
	var all []string
	for _, i := range numbers {
		all = append(all, fmt.Sprintf("node-%04d", i))
	}
	return all
}

func BenchmarkWitnesses(b *testing.B) {
	zone := func(i int) string { return fmt.Sprint(i % 3) }
	api := func(i int) bool { return i < 9 }
	for name, current := range map[string][]string{
		"new":   nil,
		"keep":  names(9, 10, 11, 12, 13, 14, 15, 16, 17),
		"worst": names(0, 1, 2, 3, 4, 5, 6, 7, 8),
	} {
		b.Run(name, func(b *testing.B) {
			nodes := cluster(5000, zone, api)
			for b.Loop() {
				topology.Witnesses(nodes, nil, current)
			}
		})
	}
}
