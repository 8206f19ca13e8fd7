package topology

import (
	"cmp"
	"slices"
)

// maxWitnesses bounds a witness set: nine survive four deaths, and more would
// only make each question dearer.
const maxWitnesses = 9

// Witnesses returns the nodes that should be the witnesses now, sorted by name:
// the largest odd number of eligible nodes, at most 9; one of two; none of none.
// A nil eligible lets every node be one. The caller must keep it steady: a
// member that is not eligible is replaced at once.
//
// As far as the nodes allow, at most n−H = (n−1)/2 of the n are on API hosts,
// and at most so many in one failure domain: a failure that takes the API or a
// domain with it must leave H witnesses. Where both limits cannot hold, the one
// on API hosts goes first. Within them, the members of current stay; a member
// that keeps its place stays even if a newcomer would spread the set more
// evenly. New ones come from the domains that have the fewest, by their places
// on a ring.
func Witnesses(nodes []Node, eligible func(name string) bool, current []string) []string {
	members, sizes := enrol(nodes)
	if eligible != nil {
		members = slices.DeleteFunc(members, func(m member) bool { return !eligible(m.Name) })
	}
	if len(members) == 0 {
		return nil
	}
	p := panel{members: members, domains: len(sizes), n: largestOdd(min(maxWitnesses, len(members)))}
	names := make([]string, 0, p.n)
	if p.n < len(members) {
		members = p.elect(current)
	}
	for i := range members {
		names = append(names, members[i].Name)
	}
	slices.Sort(names)
	return names
}

// largestOdd returns the largest odd number that is at most n, for n > 0.
func largestOdd(n int) int { return n - (n+1)%2 }

// A panel has n seats for witnesses; members are the candidates.
type panel struct {
	members []member
	domains int // number of domains, those without candidates included
	n       int
}

// An excess counts the seats beyond the limits: on API hosts, and in domains.
type excess struct{ api, domain int }

func (e excess) compare(f excess) int {
	return cmp.Or(cmp.Compare(e.api, f.api), cmp.Compare(e.domain, f.domain))
}

// elect returns those who get a seat, where there are more candidates than seats.
func (p panel) elect(current []string) []member {
	place(p.members)
	var keep []int
	for i := range p.members {
		if slices.Contains(current, p.members[i].Name) {
			keep = append(keep, i)
		}
	}
	elected := make([]member, 0, p.n)
	for _, i := range p.seat(keep) {
		elected = append(elected, p.members[i])
	}
	return elected
}

// seat fills the panel. It keeps whom it can: it gives up a member only while
// there are too many, or while another choice would exceed the limits by less,
// and then the one whose going helps most.
func (p panel) seat(keep []int) []int {
	_, least := p.fill(nil)
	seats, e := p.fill(keep)
	for len(keep) > p.n || e.compare(least) > 0 {
		keep = p.giveUp(keep)
		seats, e = p.fill(keep)
	}
	return seats
}

// giveUp returns keep without one member: the one without whom the panel
// exceeds the limits least, and among equals the last on the ring.
func (p panel) giveUp(keep []int) []int {
	var best []int
	var least excess
	for _, i := range p.byPlace(keep) {
		rest := slices.DeleteFunc(slices.Clone(keep), func(k int) bool { return k == i })
		if _, e := p.fill(rest); best == nil || e.compare(least) <= 0 {
			best, least = rest, e
		}
	}
	return best
}

// byPlace returns the members in the order of the first ring.
func (p panel) byPlace(members []int) []int {
	return slices.SortedFunc(slices.Values(members), func(i, j int) int {
		return cmp.Or(cmp.Compare(p.members[i].places[0], p.members[j].places[0]), cmp.Compare(i, j))
	})
}
