package teardown

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// draw renders a tree, a line for each item.
func draw(items []Item, p Plan, indent string) []string {
	var all []string
	for _, i := range items {
		var does []string
		for _, n := range i.Steps {
			does = append(does, p.Steps[n].Op.String())
		}
		again := ""
		if i.Again {
			again = " again"
		}
		all = append(all, strings.TrimRight(fmt.Sprintf("%s%s %s (%s)%s %v %v %s [%s] %s", indent, i.Kind, short(i.Name), i.About, again,
			i.Owner, i.Standing, i.Volume, strings.Join(does, " "), i.Why), " "))
		all = append(all, draw(i.Items, p, indent+"  ")...)
	}
	return all
}

func TestTree(t *testing.T) {
	s := node()
	s.volume(multipath(s), volumeShape{pv: "pv-a", moved: true})
	s.keep(s.lun("sdd", "1", 5, "w5"))
	b := s.rbd(0, "b")
	s.keep(b)
	s.volume(b, volumeShape{pv: "pv-b", block: true})
	s.shown(num(0, 81), "nfs4", kubelet+"/pods/p/volumes/kubernetes.io~nfs/pv-n", "")
	s.api.Pods = append(s.api.Pods, "p")
	p := Make(s.inv, s.api, sameClean)
	want := []string{}
	if d := cmp.Diff(want, draw(p.Tree, p, "")); d != "" {
		t.Errorf("tree (-want +got):\n%s", d)
	}
}

// A tree of what is undecided says so, and reads well in JSON.
func TestTreeWithoutTheAPI(t *testing.T) {
	s := node()
	s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a"})
	p := Make(s.inv, Attachments{}, newBoot)
	for _, i := range p.Tree {
		if i.Kind != "rbd" {
			continue
		}
		got, err := json.Marshal(struct {
			Owner    Owner
			Standing Standing
			State    State
			Op       Op
			Kind     Kind
			Why      string
		}{i.Owner, i.Standing, p.State, Offline, RBD, i.Why})
		if err != nil {
			t.Fatal(err)
		}
		want := `{"Owner":"Kubernetes","Standing":"Unknown","State":"Blocked","Op":"Offline","Kind":"rbd","Why":"what is attached to this node could not be read"}`
		if d := cmp.Diff(want, string(got)); d != "" {
			t.Errorf("JSON (-want +got):\n%s", d)
		}
		return
	}
	t.Errorf("no image in %v", p.Tree)
}

// Every operation has a name of its own and a bound.
func TestOps(t *testing.T) {
	seen := map[string]bool{}
	for o := OpUnknown; int(o) < len(ops); o++ {
		if seen[o.String()] || o.String() == "" || (ops[o].bound <= 0) != (o == OpUnknown) {
			t.Errorf("operation %d: name %q, bound %v", o, o, ops[o].bound)
		}
		seen[o.String()] = true
	}
	if got := Op(len(ops)).String() + Op(-1).String() + Kind(-1).String() + Kind(len(kinds)).String(); got != "UnknownUnknownunknownunknown" {
		t.Errorf("out of range: %s", got)
	}
}
