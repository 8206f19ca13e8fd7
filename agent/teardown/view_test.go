package teardown

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
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
	s.session("3", target+"3", portalA)
	s.keep(s.lun("sdd", "3", 5, "w5"))
	b := s.rbd(0, "b")
	s.keep(b)
	s.volume(b, volumeShape{pv: "pv-b", block: true})
	s.shown(num(0, 81), "nfs4", kubelet+"/pods/p/volumes/kubernetes.io~nfs/pv-n", "")
	s.api.Pods = append(s.api.Pods, "p")
	p := Make(s.inv, s.api, sameClean)
	want := []string{
		"session iqn.2026-03.example:array (192.0.2.50:3260, session 1) Kubernetes Stale  [SetManual Logout] all that comes over it has moved",
		"  iscsi sdb (LUN 1) Kubernetes Stale pv-a [Offline Note] not attached to this node",
		"    multipath dm-10 (mpatha) Kubernetes Stale pv-a [Note FlushMultipath] not attached to this node",
		"      mount plugins/kubernetes.io/csi/csi.example/HASH/globalmount (ext4) Kubernetes Stale pv-a [Unmount] not attached to this node",
		"      mount pods/pod-pv-a/volumes/kubernetes.io~csi/pv-a/mount (ext4) Kubernetes Stale pv-a [ShutDown Freeze Kill Unmount] not attached to this node",
		"      mount /data (ext4) Kubernetes Stale pv-a [Freeze Kill] not attached to this node",
		"session iqn.2026-03.example:array (198.51.100.50:3260, session 2) Kubernetes Stale  [SetManual Logout] all that comes over it has moved",
		"  iscsi sdc (LUN 1) Kubernetes Stale pv-a [Offline] not attached to this node",
		"    multipath dm-10 (mpatha) again Kubernetes Stale pv-a [Note FlushMultipath] not attached to this node",
		"session iqn.2026-03.example:array3 (192.0.2.50:3260, session 3) Nobody Unclaimed  [] no volume is known for it",
		"  iscsi sdd (LUN 5) Nobody Unclaimed  [] no volume is known for it, and nothing uses it",
		"mount pods/p/volumes/kubernetes.io~nfs/pv-n (nfs4) Kubernetes Rightful pv-n [] used by a pod of this node",
		"disk sda (local-1) Host Unclaimed  [] sda is a disk of the host",
		"  partition sda1 () Host Unclaimed  [] sda is a disk of the host",
		"    mount /boot (ext4) Host Unclaimed  [] sda is a disk of the host",
		"  partition sda2 () Host Unclaimed  [] sda is a disk of the host",
		"    lv dm-0 (vg-root) Host Unclaimed  [] sda is a disk of the host",
		"      mount / (ext4) Host Unclaimed  [] sda is a disk of the host",
		"    lv dm-1 (vg-swap) Host Unclaimed  [] sda is a disk of the host",
		"    lv dm-2 (vg-local) Host Unclaimed  [] sda is a disk of the host",
		"      drbd drbd0 () Host Unclaimed  [] sda is a disk of the host",
		"disk sdzz () Host Unclaimed  [] sdzz is a disk of the host",
		"  md md0 () Host Unclaimed  [] sdzz is a disk of the host",
		"rbd rbd0 (rbd/b) Kubernetes Rightful pv-b [] attached to this node",
		"  loop loop102 () Kubernetes Rightful pv-b [] attached to this node",
		"  mount plugins/kubernetes.io/csi/volumeDevices/publish/pv-b/pod-pv-b (devtmpfs) Kubernetes Rightful pv-b [] attached to this node",
		"  mount pods/pod-pv-b/volumeDevices/kubernetes.io~csi/pv-b (devtmpfs) Kubernetes Rightful pv-b [] attached to this node",
		"disk nvme0n1 (local-2) Host Unclaimed  [] dm-3 is named by the host: ceph OSD",
		"  lv dm-3 (ceph--osd-block) Host Unclaimed  [] dm-3 is named by the host: ceph OSD",
	}
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
	for o := OpUnknown; int(o) < len(ops()); o++ {
		if seen[o.String()] || o.String() == "" || (ops()[o].bound <= 0) != (o == OpUnknown) {
			t.Errorf("operation %d: name %q, bound %v", o, o, ops()[o].bound)
		}
		seen[o.String()] = true
		text, _ := o.MarshalText()
		var back Op
		if err := back.UnmarshalText(text); err != nil || back != o {
			t.Errorf("%s comes back as %v: %v", text, back, err)
		}
	}
	if new(Op).UnmarshalText([]byte("Format")) == nil {
		t.Error("an operation that there is none of is read")
	}
	if got := Op(len(ops())).String() + Op(-1).String() + Kind(-1).String() + Kind(len(kinds())).String(); got != "UnknownUnknownunknownunknown" {
		t.Errorf("out of range: %s", got)
	}
}

// A step comes through JSON as it was: the executor's children read it there.
func TestStepsTravel(t *testing.T) {
	s := node()
	s.volume(s.over(Crypt, "dm-11", "luks-a", multipath(s)), volumeShape{pv: "pv-a", moved: true})
	s.volume(s.rbd(7, "b"), volumeShape{pv: "pv-b", block: true, moved: true})
	s.inv.Clients = append(s.inv.Clients, Client{Cluster: "fsid-b", ID: 5})
	want := Make(s.inv, s.api, sameClean).Steps
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got []Step
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(Client{})); d != "" {
		t.Errorf("steps through JSON (-want +got):\n%s", d)
	}
}
