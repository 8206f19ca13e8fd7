package teardown

import "testing"

// A target from which only volumes come that have moved is not logged in to again,
// and a session without units, which are on their way, ends.
func TestTargetsOfMovedVolumes(t *testing.T) {
	tracked := func(s *shape, pv string, moved bool, lun uint64) {
		s.volume(Number{}, volumeShape{pv: pv, bare: true, moved: moved, identity: Identity{Target: target, LUN: lun, WWID: "w-" + pv}})
	}
	entry := func(s *shape, startup string) {
		s.inv.Records = append(s.inv.Records, Record{Target: target, Portal: portalA, Interface: "default", Startup: startup})
	}
	idle := func(s *shape, id, portal string) {
		s.inv.Sessions = append(s.inv.Sessions, Session{ID: id, Target: target, Portal: portal})
	}
	forget := []string{"SetManual " + target + " " + portalA, "Verify", "Attest"}
	both := []string{"SetManual " + target + " " + portalA, "Logout session 1", "Verify", "Attest"}
	tests := []struct {
		name  string
		shape func(*shape)
		aim   Aim
		state State
		why   string
		steps []string
	}{
		{"no session yet", func(s *shape) { tracked(s, "pv-a", true, 1); entry(s, "automatic") }, newBoot, Work, "", forget},
		{"no session, the fenced boot", func(s *shape) { tracked(s, "pv-a", true, 1); entry(s, "automatic") }, sameClean, Work, "", forget},
		{"only the API tells that it comes from there", func(s *shape) {
			tracked(s, "pv-a", true, 1)
			s.inv.Volumes[0].Identity = Identity{}
			entry(s, "automatic")
		}, newBoot, Work, "", forget},
		{"a volume of which nothing is here", func(s *shape) { tracked(s, "pv-a", true, 1); s.inv.Volumes = nil; entry(s, "automatic") }, newBoot, Clean, "", []string{"Attest"}},
		{"a session without units", func(s *shape) { tracked(s, "pv-a", true, 1); entry(s, "automatic"); idle(s, "1", portalA) }, newBoot, Work, "", both},
		{"a session without units, a manual record", func(s *shape) { tracked(s, "pv-a", true, 1); entry(s, "manual"); idle(s, "1", portalA) }, newBoot, Work, "", []string{"Logout session 1", "Verify", "Attest"}},
		{"a session with units and one without", func(s *shape) {
			entry(s, "automatic")
			idle(s, "1", portalA)
			idle(s, "2", portalB)
			s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1"}, moved: true})
		}, newBoot, Work, "", []string{"Offline sdb", "SetManual " + target + " " + portalA, "Logout session 2", "Logout session 1", "Verify", "Attest"}},
		{"a manual record", func(s *shape) { tracked(s, "pv-a", true, 1); entry(s, "manual") }, newBoot, Clean, "", []string{"Attest"}},
		{"the host boots from it", func(s *shape) { tracked(s, "pv-a", true, 1); entry(s, "automatic"); entry(s, "onboot") }, newBoot, Clean, "", []string{"Attest"}},
		{"nothing names it", func(s *shape) { entry(s, "automatic"); idle(s, "1", portalA) }, newBoot, Clean, "", []string{"Attest"}},
		{"a volume that stays comes from it, too", func(s *shape) {
			tracked(s, "pv-a", true, 1)
			tracked(s, "pv-b", false, 2)
			entry(s, "automatic")
			idle(s, "1", portalA)
		}, newBoot, Clean, "", []string{"Attest"}},
		{"a unit that stays comes from it, too", func(s *shape) {
			tracked(s, "pv-a", true, 1)
			entry(s, "automatic")
			idle(s, "1", portalA)
			s.volume(s.lun("sdb", "1", 2, "w2"), volumeShape{pv: "pv-b", bare: true, identity: Identity{WWID: "w2"}})
		}, newBoot, Clean, "", []string{"Attest"}},
		{"a session that serves a tape", func(s *shape) {
			tracked(s, "pv-a", true, 1)
			entry(s, "automatic")
			idle(s, "1", portalA)
			s.inv.Sessions[0].Others = []string{"unit 3:0:0:4 (SCSI type 1)"}
		}, newBoot, Clean, "", []string{"Attest"}},
		{"what is attached could not be read", func(s *shape) { tracked(s, "pv-a", true, 1); entry(s, "automatic"); s.api.Known = false }, newBoot, Blocked, "what is attached to this node could not be read", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := node()
			tt.shape(s)
			expect(t, s, tt.aim, tt.state, tt.why, tt.steps)
		})
	}
}

// A logout and a disconnection name what goes with them.
func TestStepsNameTheUnitsThatGo(t *testing.T) {
	s := node()
	s.session("1", target, portalA)
	bare := func(pv, wwid string) volumeShape {
		return volumeShape{pv: pv, bare: true, moved: true, identity: Identity{WWID: wwid}}
	}
	s.volume(s.lun("sdb", "1", 1, "w1"), bare("pv-a", "w1"))
	s.volume(s.lun("sdc", "1", 2, "w2"), bare("pv-b", "w2"))
	s.volume(s.device(Device{Name: "nvme1n1", Kind: NVMeFabric, NQN: "nqn.a", WWID: "u1"}), bare("pv-c", "u1"))
	s.volume(s.device(Device{Name: "nvme1n2", Kind: NVMeFabric, NQN: "nqn.a", WWID: "u2"}), bare("pv-d", "u2"))
	s.lun("sdd", "2", 1, "w3")
	for _, st := range Make(s.inv, s.api, newBoot).Steps {
		want := map[Op]string{
			Logout:     s.dev("sdb").Number.String() + "=w1 " + s.dev("sdc").Number.String() + "=w2",
			Disconnect: s.dev("nvme1n1").Number.String() + "=u1 " + s.dev("nvme1n2").Number.String() + "=u2",
		}[st.Op]
		if st.Units != want {
			t.Errorf("%s with %q, want %q", line(st), st.Units, want)
		}
	}
}
