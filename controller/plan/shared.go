package plan

import "cmp"

// An agent finds its boot in the Roll by the boot's ID alone: whatever is withheld
// from a node is withheld from every node that runs in a boot of that ID. Two do
// where a machine was cloned with its memory; and root on one node can claim the
// boot of another. A boot that two nodes name is therefore nobody's to fence (C9),
// and none of them is armed. Who of them tells the truth does not matter, and the
// planner cannot know.

// A claim is who names a boot: the first two nodes, in the order of their names. A
// node names what its Node says and what its NodeGuard says: a kubelet may be late,
// and a thief may have the agent's credentials alone. A NodeGuard without a Node
// claims nothing.
type claim struct{ first, second string }

// compareBoots finds out who names which boot. It is asked for only when some node
// names another one than before.
func (r *roster) compareBoots() {
	r.renamed = false
	clear(r.claims)
	for i := range r.members {
		m := &r.members[i]
		r.claim(m.Boot, m.Name)
		r.claim(m.guard.Status.Boot, m.Name)
	}
	for i := range r.members {
		m := &r.members[i]
		m.twin = cmp.Or(r.twin(m.Name, m.Boot), r.twin(m.Name, m.guard.Status.Boot))
	}
}

func (r *roster) claim(boot, node string) {
	c := r.claims[boot]
	switch {
	case boot == "" || c.first == node:
		return
	case c.first == "":
		c.first = node
	case c.second == "":
		c.second = node
	}
	r.claims[boot] = c
}

// twin returns another node than this one that names the boot, or nothing.
func (r *roster) twin(node, boot string) string {
	c := r.claims[boot]
	if c.first == node {
		return c.second
	}
	return c.first
}
