package topology

import (
	"cmp"
	"crypto/sha512"
	"encoding/binary"
	"slices"
)

// A Node is what the topology needs to know of a node of the cluster.
type Node struct {
	Name string // unique; of two Nodes with one name, only one counts
	// UID is that of the Node object. It alone decides the node's place on the
	// rings, so that a node that was made anew takes another place.
	UID string
	// Domain names what fails together: a zone, a rack, any label. Nodes
	// without one share the domain "", since nothing says that they fail apart.
	Domain string
	// APIHost says that the node runs a kube-apiserver: its death may be the
	// API's.
	APIHost bool
}

// A member is a Node with its places on the rings.
type member struct {
	Node
	places [rings]uint64
	domain int // index of its domain, from 0
}

// enrol returns the members sorted by name, each once and still without places,
// and the number of nodes in each domain.
func enrol(nodes []Node) ([]member, []int) {
	sorted := slices.SortedFunc(slices.Values(nodes), func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID), cmp.Compare(a.Domain, b.Domain))
	})
	sorted = slices.CompactFunc(sorted, func(a, b Node) bool { return a.Name == b.Name })
	members := make([]member, len(sorted))
	index := make(map[string]int)
	var sizes []int
	for i, n := range sorted {
		d, known := index[n.Domain]
		if !known {
			d = len(sizes)
			index[n.Domain] = d
			sizes = append(sizes, 0)
		}
		sizes[d]++
		members[i] = member{Node: n, domain: d}
	}
	return members, sizes
}

// place gives the members their places on the rings, which only those need who
// choose among them.
func place(members []member) {
	for i := range members {
		members[i].places = places(members[i].UID)
	}
}

// places returns the UID's place on each ring: the big-endian words of its
// SHA-512, of which there are as many as rings. It must never change: agents
// of a whole cluster would exchange their connections at once.
func places(uid string) (p [rings]uint64) {
	sum := sha512.Sum512([]byte(uid))
	for r := range p {
		p[r] = binary.BigEndian.Uint64(sum[8*r:])
	}
	return p
}
