package teardown

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// drawShape returns a host with a few volumes of all kinds, some of which have
// moved; what stays and what is the host's is protected.
func drawShape(t *rapid.T) *shape {
	s := node()
	if rapid.Bool().Draw(t, "root on iSCSI") {
		rootOnISCSI(s)
	} else {
		s.session("1", target, portalA)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "volumes") {
		drawVolume(t, s, i)
	}
	s.forgets = rapid.Bool().Draw(t, "forgets")
	if rapid.IntRange(0, 4).Draw(t, "lost metadata") == 0 {
		s.inv.Volumes = nil
	}
	return s
}

// drawVolume adds one volume with its devices.
func drawVolume(t *rapid.T, s *shape, i int) {
	name := func(what string) string { return fmt.Sprintf("%s%d", what, i) }
	v := volumeShape{
		pv:    name("pv-"),
		moved: rapid.Bool().Draw(t, "moved"),
		block: rapid.Bool().Draw(t, "block"),
		fs:    rapid.SampledFrom([]string{"ext4", "xfs", "ext3"}).Draw(t, "fs"),
		pod:   name("pod-"),
	}
	if i > 0 && rapid.IntRange(0, 3).Draw(t, "same pod") == 0 && !v.moved {
		v.pod = "pod-shared" // only of volumes that stay: with others it would be killed
	}
	from := len(s.inv.Devices)
	sessions := len(s.inv.Sessions)
	var top Number
	own := func(count int) (paths []Number) {
		for j := range count {
			id := fmt.Sprint(10 + 2*i + j)
			s.session(id, "iqn.2026-03.example:"+name("t"), fmt.Sprintf("192.0.2.%d:3260", 60+j))
			paths = append(paths, s.lun(name("sd")+string(rune('a'+j)), id, 1, name("w")))
		}
		return paths
	}
	kind := rapid.SampledFrom([]string{"shared", "own", "multipath", "luks", "rbd", "luks on rbd", "back", "back with LVM", "local", "no session", "no units"}).Draw(t, "kind")
	switch kind {
	case "shared":
		top = s.lun(name("sd"), "1", uint64(i+1), name("w"))
		if !v.moved {
			s.standing["1"] = true
		}
	case "own":
		top = own(1)[0]
	case "multipath", "luks":
		top = s.over(Multipath, name("dm-3"), name("mpath"), own(2)...)
		s.dev(name("dm-3")).Queueing = rapid.Bool().Draw(t, "queueing")
		if kind == "luks" {
			top = s.over(Crypt, name("dm-4"), name("luks"), top)
		}
	case "rbd":
		top = s.rbd(i, name("image"))
	case "luks on rbd":
		top = s.over(Crypt, name("dm-4"), name("luks"), s.rbd(i, name("image")))
	case "back", "back with LVM":
		top = own(1)[0]
		v.bare, v.identity = true, Identity{WWID: name("w")}
		if kind == "back with LVM" {
			s.over(LogicalVolume, name("dm-5"), name("guest"), top)
		}
	case "no session", "no units":
		v.bare, v.identity = true, Identity{Target: "iqn.2026-03.example:" + name("t"), LUN: 1}
		s.session(fmt.Sprint(10+2*i), v.identity.Target, portalB)
		if kind == "no session" {
			s.inv.Sessions = s.inv.Sessions[:sessions]
		}
		if !v.moved {
			s.wanted[v.identity.Target] = true
		}
	case "local":
		top = num(253, 20+uint32(i))
		s.host(Device{Number: top, Name: name("dm-6"), Kind: LogicalVolume, Map: name("vg-lv"), Slaves: []Number{{8, 2}}})
	}
	for j := from; j < len(s.inv.Devices); j++ {
		d := &s.inv.Devices[j]
		if d.Kind == ISCSI {
			d.Lost = rapid.IntRange(0, 4).Draw(t, "session lost") == 0
		}
		if d.Kind == ISCSI || d.Kind == RBD {
			d.InFlight = rapid.SampledFrom([]int{0, 0, 0, 2, -1}).Draw(t, "in flight")
		}
		if !v.moved {
			s.keep(d.Number)
		}
	}
	if !v.moved {
		for _, session := range s.inv.Sessions[sessions:] {
			s.standing[session.ID] = true
		}
	}
	s.volume(top, v)
}

func aims(t *rapid.T) Aim {
	return rapid.SampledFrom([]Aim{sameClean, {Rejoin: RejoinClean}, newBoot}).Draw(t, "aim")
}

// Whatever the host: nothing that is the host's or may stay is touched, nothing
// is written back, nothing is busy, each plan is the rest of the one before,
// and it ends, Clean or with what is blocked.
func TestPlansAreSafeAndEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		aim := aims(t)
		first := Make(s.inv, s.api, aim)
		last := carryOut(t, s, aim)
		switch {
		case last.State == Work:
			t.Errorf("ends %v: %s", last.State, last.Why)
		case first.State == Work && len(first.Blockers) == 0 && last.State != Clean:
			t.Errorf("ends %v: %s", last.State, last.Why)
		case (first.State == Clean) != (len(first.Steps) == 1 && first.Steps[0].Op == Attest):
			t.Errorf("%v with %v", first.State, lines(first.Steps))
		case (first.State == Blocked || first.State == Reset) && len(first.Steps) > 0:
			t.Errorf("%v with steps: %v", first.State, lines(first.Steps))
		}
	})
}

// In every plan all that cuts comes before all that could write back, sessions of
// units in use end before it, too (27), children come before parents, and Attest
// is the last of a plan that blocks nothing.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		p := Make(s.inv, s.api, aims(t))
		phase := func(step Step) int {
			switch step.Op {
			case Offline, CutMap:
				return 0
			case Note:
				if step.Name[:3] == "rbd" { // before its map's error table
					return -1
				}
				return 1
			case FailQueue:
				return 1
			case ShutDown:
				return 2
			case Freeze:
				return 3
			case Kill:
				return 4
			case Unmount:
				return 5
			case CloseCrypt, Deactivate, RemoveMap, FlushMultipath:
				return 6
			case DeleteSCSI, Disconnect, UnmapNBD:
				return 7
			case Verify:
				return 8
			case Attest:
				return 9
			case OpUnknown, Wait, UnmapRBD, SetManual, Logout, DetachLoop: // more than one place
			}
			return -1
		}
		last := 0
		used := s.used()
		logout := func(session string) bool {
			return slices.ContainsFunc(s.inv.Devices, func(d Device) bool { return d.Session == session && used[d.Number] })
		}
		for i, step := range p.Steps {
			if step.Op == Logout && last > 1 && logout(step.Session) {
				t.Errorf("%s of units in use comes late: %v", line(step), lines(p.Steps))
			}
			if n := phase(step); n >= 0 {
				if n < last {
					t.Errorf("%s after what must follow it: %v", line(step), lines(p.Steps))
				}
				last = n
			}
			if step.Op == Attest && (i != len(p.Steps)-1 || len(p.Blockers) > 0) {
				t.Errorf("Attest too early: %v %v", lines(p.Steps), p.Blockers)
			}
		}
	})
}

// A plan does not depend on the order in which the host was read.
func TestPlansDoNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		aim := aims(t)
		want := Make(s.inv, s.api, aim)
		c := s.copy()
		c.inv.Mounts = rapid.Permutation(c.inv.Mounts).Draw(t, "mounts")
		c.inv.Devices = rapid.Permutation(c.inv.Devices).Draw(t, "devices")
		c.inv.Sessions = rapid.Permutation(c.inv.Sessions).Draw(t, "sessions")
		c.inv.Records = rapid.Permutation(c.inv.Records).Draw(t, "records")
		c.inv.Namespaces = rapid.Permutation(c.inv.Namespaces).Draw(t, "namespaces")
		c.inv.Pods = rapid.Permutation(c.inv.Pods).Draw(t, "pods")
		c.inv.Processes = rapid.Permutation(c.inv.Processes).Draw(t, "processes")
		if len(c.inv.Volumes) > 0 {
			c.inv.Volumes = rapid.Permutation(c.inv.Volumes).Draw(t, "volumes")
		}
		if len(c.api.Volumes) > 0 {
			c.api.Volumes = rapid.Permutation(c.api.Volumes).Draw(t, "attachments")
		}
		got := Make(c.inv, c.api, aim)
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(Client{})); d != "" {
			t.Errorf("another order makes another plan (-first +second):\n%s", d)
		}
	})
}

// Whatever could not be read, or was not there to be read, no device of the host
// is touched, no session that serves one is left, and an unknown is never Clean.
func TestUnknownTouchesNothingOfTheHost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := node()
		rootOnISCSI(s)
		hosts := map[Number]bool{}
		for n := range s.protected {
			hosts[n] = true
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "volumes") {
			drawVolume(t, s, i)
		}
		for _, d := range s.inv.Devices {
			if d.Kind == LogicalVolume && slices.Contains(d.Slaves, num(8, 2)) {
				hosts[d.Number] = true
			}
		}
		drop(t, "mounts", &s.inv.Mounts)
		drop(t, "namespaces", &s.inv.Namespaces)
		drop(t, "sessions", &s.inv.Sessions)
		drop(t, "records", &s.inv.Records)
		drop(t, "volumes", &s.inv.Volumes)
		drop(t, "pods", &s.inv.Pods)
		drop(t, "processes", &s.inv.Processes)
		drop(t, "attachments", &s.api.Volumes)
		wide, narrow := false, false
		for range rapid.IntRange(0, 2).Draw(t, "unknowns") {
			u := Unknown{What: "something", Why: "timeout"}
			if rapid.Bool().Draw(t, "narrow") {
				u.Device = rapid.SampledFrom(s.inv.Devices).Draw(t, "device").Number
				narrow = true
			} else {
				wide = true
			}
			s.inv.Unknown = append(s.inv.Unknown, u)
		}
		p := Make(s.inv, s.api, aims(t))
		for _, step := range p.Steps {
			if hosts[step.Device] || step.Session == "1" || step.Target == target {
				t.Errorf("%s touches the host: %v", line(step), lines(p.Steps))
			}
		}
		if wide && (p.State == Clean || p.State == Work) {
			t.Errorf("%v, though something is unknown of the whole host", p.State)
		}
		unknown := map[Number]bool{}
		for _, u := range s.inv.Unknown {
			unknown[u.Device] = narrow
		}
		for _, step := range p.Steps {
			if unknown[step.Device] && step.Device != (Number{}) {
				t.Errorf("%s touches what could not be read", line(step))
			}
		}
	})
}

// drop takes some elements out of the list.
func drop[T any](t *rapid.T, what string, list *[]T) {
	var kept []T
	for _, x := range *list {
		if rapid.IntRange(0, 4).Draw(t, "drop of "+what) > 0 {
			kept = append(kept, x)
		}
	}
	*list = kept
}
