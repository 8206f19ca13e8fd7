package topology_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/picket-dev/picket/controller/topology"
)

func TestNeighboursOfSmallClusters(t *testing.T) {
	twice := append(cluster(3, nil, nil), topology.Node{Name: "node-0001", UID: "another"})
	for name, test := range map[string]struct {
		nodes []topology.Node
		want  map[string][]string
	}{
		"none": {nil, map[string][]string{}},
		"one":  {cluster(1, nil, nil), map[string][]string{"node-0000": nil}},
		"two": {cluster(2, nil, nil), map[string][]string{
			"node-0000": {"node-0001"}, "node-0001": {"node-0000"},
		}},
		"a name given twice counts once": {twice, map[string][]string{
			"node-0000": {"node-0001", "node-0002"},
			"node-0001": {"node-0000", "node-0002"},
			"node-0002": {"node-0000", "node-0001"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, topology.Neighbours(test.nodes)); diff != "" {
				t.Errorf("neighbours (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNeighboursChangeFromMeshToRingsAbove17(t *testing.T) {
	for n, want := range map[int]int{16: 15, 17: 16, 18: 8, 19: 8} {
		for node, watched := range topology.Neighbours(cluster(n, nil, nil)) {
			if len(watched) != want {
				t.Errorf("%d nodes: %s watches %d, want %d", n, node, len(watched), want)
			}
		}
	}
}

// The places on the rings are for ever: another result here means that an
// upgrade of the controller makes a whole cluster reconnect.
func TestNeighboursGolden(t *testing.T) {
	watched := topology.Neighbours(cluster(40, func(i int) string { return fmt.Sprint("rack-", i/4) }, nil))
	got := map[string][]string{}
	for _, node := range []string{"node-0000", "node-0007", "node-0039"} {
		got[node] = watched[node]
	}
	want := map[string][]string{
		"node-0000": {
			"node-0001", "node-0003", "node-0012", "node-0017", "node-0024", "node-0032", "node-0033", "node-0034",
		},
		"node-0007": {
			"node-0000", "node-0002", "node-0005", "node-0006", "node-0011", "node-0018", "node-0030", "node-0036",
		},
		"node-0039": {
			"node-0002", "node-0005", "node-0008", "node-0013", "node-0019", "node-0028", "node-0036", "node-0038",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("neighbours (-want +got):\n%s", diff)
	}
}

// The bounds are those measured, for every spread of domains that we know to be
// hard. A node with fewer than 3 watchers could be lost with two of them.
func TestWatchersAreSpreadEvenly(t *testing.T) {
	const n = 5000
	for name, test := range map[string]struct {
		domain      func(i int) string
		least, most int
	}{
		"one domain":           {nil, 7, 9},
		"three zones":          {func(i int) string { return fmt.Sprint(i % 3) }, 7, 9},
		"six zones":            {func(i int) string { return fmt.Sprint(i % 6) }, 7, 9},
		"seven zones":          {func(i int) string { return fmt.Sprint(i % 7) }, 3, 14},
		"twenty zones":         {func(i int) string { return fmt.Sprint(i % 20) }, 4, 12},
		"racks of 40":          {func(i int) string { return fmt.Sprint(i / 40) }, 6, 11},
		"racks of 2":           {func(i int) string { return fmt.Sprint(i / 2) }, 6, 10},
		"a domain for each":    {func(i int) string { return fmt.Sprint(i) }, 6, 10},
		"half in one":          {func(i int) string { return fmt.Sprint(max(0, i-n/2)) }, 4, 12},
		"nearly all in one":    {func(i int) string { return fmt.Sprint(max(0, i-n+100)) }, 5, 11},
		"a sixth in each of 6": {func(i int) string { return fmt.Sprint(i%6 + 6*max(0, i-n+10)) }, 3, 16},
	} {
		t.Run(name, func(t *testing.T) {
			least, most := n, 0
			for _, watchers := range topology.Watchers(topology.Neighbours(cluster(n, test.domain, nil))) {
				least, most = min(least, len(watchers)), max(most, len(watchers))
			}
			t.Logf("watchers of each node: %d to %d", least, most)
			if least < test.least || most > test.most {
				t.Errorf("watchers of each node: %d to %d, want %d to %d", least, most, test.least, test.most)
			}
		})
	}
}

// Racks fail as a whole: who is left must still watch those of the others, and
// each node must be watched from several racks.
func TestNeighboursLeaveTheirDomain(t *testing.T) {
	rack := func(i int) string { return fmt.Sprint(i / 40) }
	nodes := cluster(5000, rack, nil)
	domain := map[string]string{}
	for _, n := range nodes {
		domain[n.Name] = n.Domain
	}
	neighbours := topology.Neighbours(nodes)
	for node, watched := range neighbours {
		within := 0
		for _, w := range watched {
			if domain[w] == domain[node] {
				within++
			}
		}
		if within != 2 {
			t.Errorf("%s watches %d nodes of its own rack, want 2", node, within)
		}
	}
	for node, watchers := range topology.Watchers(neighbours) {
		racks := map[string]bool{}
		for _, w := range watchers {
			racks[domain[w]] = true
		}
		delete(racks, domain[node])
		if len(racks) < 4 {
			t.Errorf("%s is watched from %d other racks, want at least 4", node, len(racks))
		}
	}
}

func TestNeighboursAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := anyCluster(t, 5000)
		neighbours := topology.Neighbours(nodes)
		if len(neighbours) != len(nodes) {
			t.Fatalf("neighbours of %d nodes, want %d", len(neighbours), len(nodes))
		}
		want := 8
		if len(nodes) <= 17 {
			want = len(nodes) - 1
		}
		for node, watched := range neighbours {
			once := slices.IsSorted(watched) && len(slices.Compact(slices.Clone(watched))) == len(watched)
			if len(watched) != want || !once || slices.Contains(watched, node) {
				t.Fatalf("%s watches %v, want %d others, sorted and once each", node, watched, want)
			}
		}
		watchers := topology.Watchers(neighbours)
		first := nodes[0].Name
		if out, in := reached(neighbours, first), reached(watchers, first); out != len(nodes) || in != len(nodes) {
			t.Fatalf("%d nodes reach %s and it reaches %d, want %d: not strongly connected", in, first, out, len(nodes))
		}
		if diff := cmp.Diff(neighbours, topology.Watchers(watchers)); diff != "" {
			t.Fatalf("the inverse of the inverse (-want +got):\n%s", diff)
		}
	})
}

// reached counts the nodes that can be reached from one along the edges.
func reached(edges map[string][]string, from string) int {
	seen := map[string]bool{from: true}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range edges[queue[0]] {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return len(seen)
}

func TestNeighboursDoNotDependOnTheOrderOfNodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := anyCluster(t, 200)
		shuffled := rapid.Permutation(nodes).Draw(t, "shuffled")
		if diff := cmp.Diff(topology.Neighbours(nodes), topology.Neighbours(shuffled)); diff != "" {
			t.Fatalf("neighbours of the shuffled nodes (-want +got):\n%s", diff)
		}
	})
}

// One node that leaves must not redraw the graph: its 8 watchers choose another
// each, and few others are pushed along.
func TestNeighboursChangeLittleOnLeaveAndJoin(t *testing.T) {
	for name, domain := range map[string]func(int) string{
		"one domain":  nil,
		"three zones": func(i int) string { return fmt.Sprint(i % 3) },
		"racks":       func(i int) string { return fmt.Sprint(i / 20) },
	} {
		t.Run(name, func(t *testing.T) {
			nodes := cluster(1000, domain, nil)
			before := topology.Neighbours(nodes)
			r := rand.New(rand.NewPCG(1, 2))
			const trials = 50
			leave, join := 0, 0
			for range trials {
				gone := nodes[r.IntN(len(nodes))].Name
				after := topology.Neighbours(without(nodes, gone))
				leave += newEdges(before, after)
				join += newEdges(after, before)
			}
			perLeave, perJoin := float64(leave)/trials, float64(join)/trials
			t.Logf("new edges: %.1f per leave, %.1f per join", perLeave, perJoin)
			if perLeave < 7 || perLeave > 9 || perJoin < 15 || perJoin > 17 {
				t.Errorf("new edges: %.1f per leave, %.1f per join, want about 8 and 16", perLeave, perJoin)
			}
		})
	}
}

// newEdges counts the edges of after that before does not have.
func newEdges(before, after map[string][]string) int {
	edges := 0
	for node, watched := range after {
		for _, w := range watched {
			if !slices.Contains(before[node], w) {
				edges++
			}
		}
	}
	return edges
}

func TestWatchersListsNodesThatNobodyWatches(t *testing.T) {
	got := topology.Watchers(map[string][]string{"a": {"b"}, "b": nil, "c": {"b"}})
	want := map[string][]string{"a": nil, "b": {"a", "c"}, "c": nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("watchers (-want +got):\n%s", diff)
	}
}

func BenchmarkNeighbours(b *testing.B) {
	for _, n := range []int{50, 500, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			nodes := cluster(n, func(i int) string { return fmt.Sprint(i / 40) }, nil)
			for b.Loop() {
				topology.Neighbours(nodes)
			}
		})
	}
}
