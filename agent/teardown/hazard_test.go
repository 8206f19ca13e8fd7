package teardown

import (
	"slices"
	"testing"
)

// The measured ways to have dirty data reach the storage after all (YES in the table
// of hazards), and what a plan makes of each: it does not go that way.
func TestMeasuredHazards(t *testing.T) {
	image := func(s *shape) { s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", moved: true}) }
	luks := func(s *shape) {
		s.volume(s.over(Crypt, "dm-10", "luks-a", s.rbd(0, "a")), volumeShape{pv: "pv-a", moved: true})
	}
	inFlight := func(put func(*shape)) func(*shape) {
		return func(s *shape) { put(s); s.dev("rbd0").InFlight = 1 }
	}
	unit := func(s *shape) {
		s.session("1", target, portalA)
		s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true})
		s.dev("sdb").InFlight = 3
	}
	queueing := func(s *shape) {
		s.volume(multipath(s), volumeShape{pv: "pv-a", moved: true})
		s.dev("dm-10").Queueing = true
	}
	tests := []struct {
		name  string
		shape func(*shape)
		state State
		// Each of these operations comes before the next in the plan.
		order []Op
	}{
		{"B1: an image, cut off with requests in flight, is not unmapped by force", inFlight(image), Reset, nil},
		{"D2: nor is the map on it given an error table", inFlight(luks), Reset, nil},
		{"S: no file system is told to shut down before it is cut off", luks, Work, []Op{CutMap, ShutDown, Kill, Unmount, CloseCrypt, UnmapRBD}},
		{"S: nor on an image without a map", image, Work, []Op{UnmapRBD, ShutDown, Kill, Unmount}},
		{"iSCSI, in flight: the session ends before it can recover", unit, Work, []Op{Offline, SetManual, Logout, ShutDown, Kill, Unmount}},
		{"multipath that queues: nothing logs in again while the map is there", queueing, Work, []Op{SetManual, Logout, FailQueue, Unmount, FlushMultipath}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := node()
			tt.shape(s)
			p := Make(s.inv, s.api, sameClean)
			if p.State != tt.state || p.Stuck != Reset {
				t.Errorf("%v (%s), stuck becomes %v; want %v", p.State, p.Why, p.Stuck, tt.state)
			}
			for i := 1; i < len(tt.order); i++ {
				last := -1
				for j, step := range p.Steps {
					if step.Op == tt.order[i-1] {
						last = j
					}
				}
				first := slices.IndexFunc(p.Steps, func(step Step) bool { return step.Op == tt.order[i] })
				if last < 0 || first < last {
					t.Errorf("%v does not come before all of %v: %v", tt.order[i-1], tt.order[i], lines(p.Steps))
				}
			}
		})
	}
}

// A4: a blocklist that is lifted while the image is still mounted lets all that is dirty
// through. No plan trusts in one: what is idle is cut off at once, and with requests in
// flight only a reset is safe.
func TestMeasuredHazards_A4ABlocklistThatIsLifted(t *testing.T) {
	for _, moved := range []func(*shape) Number{
		func(s *shape) Number { return s.rbd(0, "a") },
		func(s *shape) Number { return s.over(Crypt, "dm-10", "luks-a", s.rbd(0, "a")) },
	} {
		s := node()
		s.volume(moved(s), volumeShape{pv: "pv-a", moved: true})
		idle := Make(s.inv, s.api, sameClean)
		first := slices.IndexFunc(idle.Steps, func(step Step) bool { return step.Op != Note })
		if first < 0 || idle.Steps[first].Op != UnmapRBD && idle.Steps[first].Op != CutMap {
			t.Errorf("idle: %v (%s): %v", idle.State, idle.Why, lines(idle.Steps))
		}
		s.dev("rbd0").InFlight = 2
		if waits := Make(s.inv, s.api, sameClean); waits.State != Reset {
			t.Errorf("with requests in flight: %v (%s)", waits.State, waits.Why)
		}
	}
}
