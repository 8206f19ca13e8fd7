package topology_test

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"github.com/picket-dev/picket/controller/topology"
)

// cluster returns n nodes; domain and api tell the failure domain and whether
// the API runs there, by number. Nil means none.
func cluster(n int, domain func(i int) string, api func(i int) bool) []topology.Node {
	nodes := make([]topology.Node, n)
	for i := range nodes {
		nodes[i] = topology.Node{Name: fmt.Sprintf("node-%04d", i), UID: fmt.Sprintf("uid-%04d", i)}
		if domain != nil {
			nodes[i].Domain = domain(i)
		}
		if api != nil {
			nodes[i].APIHost = api(i)
		}
	}
	return nodes
}

// anyCluster draws a cluster of at most the given size with any mix of domains:
// from one for all to one each, even or skewed.
func anyCluster(t *rapid.T, most int) []topology.Node {
	n := rapid.IntRange(2, most).Draw(t, "nodes")
	domains := rapid.IntRange(1, n).Draw(t, "domains")
	skewed := rapid.Bool().Draw(t, "skewed")
	salt := rapid.Uint32().Draw(t, "salt")
	nodes := cluster(n, func(i int) string {
		if skewed && i%3 != 0 {
			return "large"
		}
		return fmt.Sprint(i % domains)
	}, func(i int) bool { return i%7 == 3 })
	for i := range nodes {
		nodes[i].UID = fmt.Sprintf("%d-%d", salt, i)
	}
	return nodes
}

// without returns the nodes but the one of that name.
func without(nodes []topology.Node, name string) []topology.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n topology.Node) bool { return n.Name == name })
}
