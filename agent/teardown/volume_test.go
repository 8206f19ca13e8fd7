package teardown

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	cephFile    = kubelet + "/plugins/kubernetes.io/csi/ceph.example/0a1b"
	cephStaged  = cephFile + "/globalmount"
	cephMounted = kubelet + "/pods/p/volumes/kubernetes.io~csi/pv-c/mount"
)

// shared puts on the host a volume of CephFS, which nothing attaches, with what is
// mounted of it.
func shared(s *shape, points ...string) *Attachment {
	s.inv.Volumes = append(s.inv.Volumes, Volume{File: cephFile + "/vol_data.json", Dir: cephFile, Driver: "ceph.example", Handle: "h", PV: "pv-c"})
	for _, p := range points {
		s.shown(num(0, 77), "ceph", p, "")
	}
	s.api.Volumes = append(s.api.Volumes, Attachment{PV: "pv-c", Driver: "ceph.example", Handle: "h"})
	return &s.api.Volumes[len(s.api.Volumes)-1]
}

// No boot leaves a mount to the next: what a later boot than the fenced one has in
// use of a volume that nothing attaches is a pod's of this boot. Its pods start and
// end without a reset, and whoever cannot be told is left to the kubelet. The fenced
// boot has no such excuse.
func TestAVolumeThatNothingAttaches(t *testing.T) {
	const left = "in use, though no pod of this node has it any more: its kubelet unmounts it, or a person must"
	tests := []struct {
		name        string
		shape       func(s *shape)
		later, same State
		why         string // of the first blocker in a later boot
	}{
		{"its pod runs", func(s *shape) { shared(s, cephStaged, cephMounted); s.api.Pods = append(s.api.Pods, "p") }, Clean, Clean, ""},
		{"staged for a pod that is to start", func(s *shape) { shared(s, cephStaged).Wanted = true }, Clean, Reset, ""},
		{"its pod has ended, or is being deleted", func(s *shape) { shared(s, cephStaged, cephMounted); s.api.Leaving = []string{"p"} }, Clean, Reset, ""},
		{"its pod is gone", func(s *shape) { shared(s, cephStaged, cephMounted) }, Blocked, Reset, left},
		{"only staged, its pod is gone", func(s *shape) { shared(s, cephStaged) }, Blocked, Reset, left},
		{"a file outlasts a reset: a pod that has ended is no excuse for what came back", func(s *shape) {
			s.session("1", target, portalA)
			s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", moved: true, bare: true, identity: Identity{WWID: "w1"}})
			s.api.Volumes[0].Gated = false
			s.api.Leaving = []string{"pod-pv-a"}
		}, Work, Work, ""},
		{"a unit in use whose pod is gone is left to the kubelet, too", func(s *shape) {
			s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", moved: true})
			s.api.Volumes[0].Gated = false
		}, Blocked, Work, left},
		{"an in-tree directory is of the volume in its place, and of no other", func(s *shape) {
			s.session("1", target, portalA)
			id, dir := Identity{Target: target, LUN: 2}, kubelet+"/plugins/kubernetes.io/iscsi/iface-default/x"
			s.lun("sdb", "1", 2, "w")
			s.inv.Volumes = append(s.inv.Volumes, Volume{File: dir, Dir: dir, Identity: id})
			s.api.Volumes = append(s.api.Volumes, Attachment{PV: "pv-1", Gated: true, Attached: true, Identity: Identity{Target: target, LUN: 1}},
				Attachment{PV: "pv-2", Gated: true, Identity: id})
		}, Work, Work, ""},
		{"beside one that an attachment places elsewhere", func(s *shape) {
			shared(s, cephStaged)
			s.volume(s.rbd(0, "a"), volumeShape{pv: "pv-a", moved: true})
		}, Reset, Reset, left},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := node()
			tt.shape(s)
			p := Make(s.inv, s.api, newBoot)
			why := ""
			if len(p.Blockers) > 0 {
				why = p.Blockers[0].Why
			}
			if p.State != tt.later || why != tt.why {
				t.Errorf("a later boot: %v (%s), %q; want %v, %q", p.State, p.Why, why, tt.later, tt.why)
			}
			if p := Make(s.inv, s.api, sameClean); p.State != tt.same {
				t.Errorf("the fenced boot: %v (%s), want %v", p.State, p.Why, tt.same)
			}
		})
	}
}

// Whatever volumes a later boot has that nothing attaches: it is not reset for them,
// not even for a step that is stuck, and nothing that is in use is cut or killed.
func TestALaterBootIsNotResetForWhatNothingAttaches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawShape(t)
		for i := range s.api.Volumes {
			s.api.Volumes[i].Gated, s.api.Volumes[i].Attached = false, false
		}
		for _, aim := range []Aim{newBoot, {Rejoin: RejoinClean}} {
			p := Make(s.inv, s.api, aim)
			if p.State == Reset || p.Stuck == Reset {
				t.Errorf("%v, stuck %v: %s", p.State, p.Stuck, p.Why)
			}
			for _, step := range p.Steps {
				if slices.Contains([]Op{ShutDown, Freeze, Kill, Unmount}, step.Op) {
					t.Errorf("%s: %v", line(step), lines(p.Steps))
				}
			}
		}
	})
}

// C6: what has yet to be detached keeps a later boot from being Clean, by its name,
// and is left alone until it is detached. What a pod here has a use for does not.
func TestC6_WhatHasYetToBeDetached(t *testing.T) {
	const held = "VolumeAttachment csi-1"
	tests := []struct {
		name    string
		shape   func(s *shape, a *Attachment)
		aim     Aim
		state   State
		blocker string
	}{
		{"for nobody", func(*shape, *Attachment) {}, newBoot, Blocked, "pv-a: " + held},
		{"for nobody, nothing of it on the host", func(s *shape, _ *Attachment) { s.inv.Volumes, s.inv.Devices = nil, nil }, newBoot, Blocked, "pv-a: " + held},
		{"being detached: what is here of it goes", func(_ *shape, a *Attachment) { a.Attached = false }, newBoot, Work, "pv-a: " + held},
		{"for a pod that is to start", func(_ *shape, a *Attachment) { a.Wanted = true }, newBoot, Clean, ""},
		{"for a pod that ends, and has it mounted", func(s *shape, _ *Attachment) {
			s.shown(s.dev("sdb").Number, "ext4", kubelet+"/pods/p/volumes/kubernetes.io~csi/pv-a/mount", "")
			s.api.Leaving = []string{"p"}
		}, newBoot, Clean, ""},
		{"for a pod that is to go, of the fenced boot", func(s *shape, _ *Attachment) { s.api.Leaving = []string{"pod-pv-a"} }, newBoot, Blocked, "pv-a: " + held},
		{"by two names", func(s *shape, a *Attachment) {
			s.api.Volumes = append(s.api.Volumes, Attachment{Driver: a.Driver, Handle: a.Handle, Held: "the Node"})
		}, newBoot, Blocked, "pv-a: the Node"},
		{"in the fenced boot, of a pod that is left alone", func(*shape, *Attachment) {}, sameClean, Clean, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := node()
			s.session("1", target, portalA)
			s.volume(s.lun("sdb", "1", 1, "w1"), volumeShape{pv: "pv-a", bare: true, identity: Identity{WWID: "w1"}})
			s.api.Volumes[0].Held = held
			tt.shape(s, &s.api.Volumes[0])
			p := Make(s.inv, s.api, tt.aim)
			var got []string
			for _, b := range p.Blockers {
				got = append(got, b.Volume+": "+strings.TrimPrefix(b.Why, "no pod of this node uses it, and it has yet to be detached from here: "))
			}
			var want []string
			if tt.blocker != "" {
				want = []string{tt.blocker}
			}
			if d := cmp.Diff(want, got); d != "" || p.State != tt.state {
				t.Errorf("%v (%s), want %v; blockers (-want +got):\n%s", p.State, p.Why, tt.state, d)
			}
			if p.State == Blocked && !strings.Contains(p.Why, "C6") {
				t.Errorf("it says: %s", p.Why)
			}
			if slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Op == Attest }) != (p.State == Clean) {
				t.Errorf("%v", lines(p.Steps))
			}
		})
	}
}
