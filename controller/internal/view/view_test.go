package view

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// ago returns an instant that long before now.
func ago(d time.Duration) metav1.Time { return metav1.Time{Time: now.Add(-d)} }

func aNode(name string) corev1.Node {
	n := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	n.Status.NodeInfo.BootID = "boot-" + name
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	return n
}

// aGuard is the guard of an armed node that watches a, b and c.
func aGuard(name string) v1alpha1.NodeGuard {
	g := v1alpha1.NodeGuard{ObjectMeta: metav1.ObjectMeta{Name: name}}
	at := ago(time.Minute)
	g.ManagedFields = []metav1.ManagedFieldsEntry{{Subresource: "status", Time: &at}}
	for _, n := range []string{"a", "b", "c"} {
		if n != name {
			g.Spec.Neighbours = append(g.Spec.Neighbours, v1alpha1.Peer{Node: n})
		}
	}
	g.Spec.Timing = v1alpha1.TimingOf(timing.Standard())
	g.Status.BootID = "boot-" + name
	g.Status.Phase = "Armed"
	g.Status.Promise = v1alpha1.PromiseOf(timing.Promise{
		Armed: true, RollLife: 5 * time.Second, PetDelay: time.Second, Timeout: 10 * time.Second, Kappa: 1020,
	})
	g.Status.Acked = v1alpha1.Acked{History: "h", Serial: 7}
	return g
}

// armed is a cluster of three nodes in which all is well.
func armed() *Snapshot {
	s := &Snapshot{Now: now, Domains: "zone"}
	for _, n := range []string{"a", "b", "c"} {
		s.Nodes = append(s.Nodes, aNode(n))
		s.Guards = append(s.Guards, aGuard(n))
	}
	s.Roll = &v1alpha1.Roll{Spec: v1alpha1.RollSpec{
		History: "h", Serial: 7,
		Epochs: []v1alpha1.Epoch{{Number: 1, State: v1alpha1.EpochActive, Witnesses: []string{"a", "b", "c"}}},
	}}
	s.Leader = &coordinationv1.Lease{}
	s.Leader.Spec.HolderIdentity = new("controller-1")
	s.Leader.Spec.RenewTime = &metav1.MicroTime{Time: now.Add(-time.Second)}
	return s
}

func aFence(node string, phase v1alpha1.NodeFencePhase) v1alpha1.NodeFence {
	f := v1alpha1.NodeFence{ObjectMeta: metav1.ObjectMeta{Name: node + "-x", CreationTimestamp: ago(time.Minute)}}
	f.Spec.Node = node
	f.Status = v1alpha1.NodeFenceStatus{Node: node, BootID: "boot-" + node, Phase: phase}
	return f
}

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*Snapshot)
		state    Health
		problems []string // the beginning of each
	}{
		{"fine", func(*Snapshot) {}, Fine, nil},
		{"a node without a guard", func(s *Snapshot) { s.Nodes = append(s.Nodes, aNode("d")) }, Degraded, []string{"1 node unarmed, NoGuard: d"}},
		{"an agent that has not spoken", func(s *Snapshot) {
			s.Guards[0].Status = v1alpha1.NodeGuardStatus{}
		}, Degraded, []string{"1 node unarmed, NoAgent: a (its agent has not spoken yet"}},
		{"an agent that has not spoken in this boot", func(s *Snapshot) {
			s.Nodes[0].Status.NodeInfo.BootID = "next"
		}, Degraded, []string{"1 node unarmed, OldBoot: a"}},
		{"an agent that is silent", func(s *Snapshot) {
			at := ago(7 * time.Minute)
			s.Guards[0].ManagedFields[0].Time = &at
		}, Degraded, []string{"1 node unarmed, Silent: a (its agent has said nothing for 7 min)"}},
		{"an unarmed node says why", func(s *Snapshot) {
			st := &s.Guards[1].Status
			st.Phase, st.Reason, st.Message, st.Promise = "Unarmed", "NoWatchdog", "no device", v1alpha1.Promise{}
		}, Degraded, []string{"1 node unarmed, NoWatchdog: b (no device)"}},
		{"a promise that no agent makes arms nobody", func(s *Snapshot) {
			s.Guards[1].Status.Promise.Kappa = 1
		}, Degraded, []string{"1 node unarmed, Armed: b"}},
		{"a guard of a node that left", func(s *Snapshot) { s.Nodes = s.Nodes[1:] }, Fine, nil},
		{"nodes that may not be read", func(s *Snapshot) {
			s.Nodes, s.Gaps = nil, []Gap{{Kind: KindNodes}}
		}, Fine, nil},
		{"nobody leads", func(s *Snapshot) {
			s.Leader.Spec.RenewTime.Time = now.Add(-time.Minute)
		}, Degraded, []string{"no picket-controller leads"}},
		{"who leads may not be read", func(s *Snapshot) {
			s.Leader, s.Gaps = nil, []Gap{{Kind: KindLeases}}
		}, Fine, nil},
		{"no Roll", func(s *Snapshot) { s.Roll = nil }, Degraded, []string{"there is no Roll"}},
		{"paused", func(s *Snapshot) {
			s.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Pause: &v1alpha1.Pause{Reason: "switch"}}}
		}, Degraded, []string{"fencing is off: paused: switch"}},
		{"a pause that is over", func(s *Snapshot) {
			until := ago(time.Second)
			s.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Pause: &v1alpha1.Pause{Reason: "switch", Until: &until}}}
		}, Fine, nil},
		{"Observe", func(s *Snapshot) {
			s.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Mode: v1alpha1.Observe}}
		}, Degraded, []string{"fencing is off: the policy's mode is Observe"}},
		{"Uninstall", func(s *Snapshot) {
			s.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Mode: v1alpha1.Uninstall}}
			st := &s.Guards[1].Status
			st.Phase, st.Reason, st.Promise = "Unarmed", v1alpha1.ReasonUninstalled, v1alpha1.Promise{}
		}, Degraded, []string{"fencing is off: the policy's mode is Uninstall", "1 node unarmed, Uninstalled: b"}},
		{"a policy that is not in force", func(s *Snapshot) {
			s.Policy = &v1alpha1.FencingPolicy{}
			s.Policy.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Message: "misses ≥ 2"}}
		}, Degraded, []string{"the FencingPolicy is not in force: misses ≥ 2"}},
		{"a broken history", func(s *Snapshot) { s.Roll.Spec.Broken = "the Roll was deleted" }, Degraded, []string{"fencing is off: the Roll's history is broken"}},
		{"a broken history that was resumed", func(s *Snapshot) {
			s.Roll.Spec.Broken = "the Roll was deleted"
			s.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{ResumeHistory: "h"}}
		}, Fine, nil},
		{"witnesses of another history cannot speak", func(s *Snapshot) {
			s.Guards[0].Status.Acked.History, s.Guards[1].Status.Acked.History = "old", "old"
		}, Degraded, []string{"only 1 of the 3 witnesses of epoch 1 can speak, 2 must"}},
		{"suspected", func(s *Snapshot) {
			s.Fences = []v1alpha1.NodeFence{aFence("a", v1alpha1.FenceSuspected)}
		}, Counting, []string{"a is being fenced (Requested): withheld in a few seconds"}},
		{"withheld", func(s *Snapshot) {
			f := aFence("a", v1alpha1.FenceWithheld)
			f.Status.Deadline = &metav1.Time{Time: now.Add(12 * time.Second)}
			s.Fences = []v1alpha1.NodeFence{f}
		}, Counting, []string{"a is being fenced (Requested): tainted out-of-service in 12 s"}},
		{"withheld, and acknowledged by too few", func(s *Snapshot) {
			f := aFence("a", v1alpha1.FenceWithheld)
			f.Status.Fence, f.Status.WaitsFor = "f", "C5: acknowledgements"
			s.Fences = []v1alpha1.NodeFence{f}
			s.Guards[0].Status.Acked.Fences, s.Guards[1].Status.Acked.Fences = []string{"f"}, []string{"f"} // a's own does not count
		}, Counting, []string{"a is being fenced (Requested): waits for C5: acknowledgements"}},
		{"withheld, and acknowledged, though the fence does not say so", func(s *Snapshot) {
			f := aFence("a", v1alpha1.FenceWithheld)
			f.Status.Fence, f.Status.WaitsFor = "f", "C5: acknowledgements"
			s.Fences = []v1alpha1.NodeFence{f}
			s.Guards[1].Status.Acked.Fences, s.Guards[2].Status.Acked.Fences = []string{"f"}, []string{"f"}
		}, Counting, []string{"a is being fenced (Requested): enough witnesses have acknowledged: tainted out-of-service within 21.2 s"}},
		{"blocked", func(s *Snapshot) {
			f := aFence("a", v1alpha1.FenceBlocked)
			f.Status.WaitsFor = "C9: NotArmed"
			s.Fences = []v1alpha1.NodeFence{f}
		}, Degraded, []string{"a is Blocked: does not go on: C9: NotArmed"}},
		{"detached", func(s *Snapshot) {
			s.Fences = []v1alpha1.NodeFence{aFence("a", v1alpha1.FenceDetached)}
		}, Degraded, []string{"a is Detached: volumes have moved", "1 node unarmed, Dead: a"}},
		{"detached, and back under a new boot", func(s *Snapshot) {
			s.Fences = []v1alpha1.NodeFence{aFence("a", v1alpha1.FenceDetached)}
			s.Nodes[0].Status.NodeInfo.BootID, s.Guards[0].Status.BootID = "next", "next"
		}, Degraded, []string{"a is Detached: volumes have moved"}},
		{"over", func(s *Snapshot) {
			s.Fences = []v1alpha1.NodeFence{aFence("a", v1alpha1.FenceRecovered), aFence("b", v1alpha1.FenceRefuted)}
		}, Fine, nil},
		{"lost", func(s *Snapshot) {
			s.Guards[0].Status.Lost, s.Guards[1].Status.Lost = []string{"c"}, []string{"c"}
		}, Degraded, []string{"c is lost by 2 of the 2 that watch it"}},
		{"a condition", func(s *Snapshot) {
			s.Guards[0].Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStorageUnreachable, Status: metav1.ConditionTrue}}
		}, Degraded, []string{"StorageUnreachable on a"}},
		{"nothing at all", func(s *Snapshot) { s.Nodes, s.Guards, s.Roll.Spec.Epochs = nil, nil, nil }, Degraded, []string{"there is no node"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := armed()
			tt.change(s)
			v := s.Status()
			if v.State != tt.state {
				t.Errorf("state %v, want %v", v.State, tt.state)
			}
			if len(v.Problems) != len(tt.problems) {
				t.Fatalf("problems %q, want %q", v.Problems, tt.problems)
			}
			for i, want := range tt.problems {
				if !strings.HasPrefix(v.Problems[i], want) {
					t.Errorf("problem %q, want %q", v.Problems[i], want)
				}
			}
		})
	}
}

// The numbers are those that the controller waits by.
func TestExplainWait(t *testing.T) {
	s := armed()
	w, err := s.ExplainWait("a")
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Guards[0].Status.Promise.Pure()
	if err != nil {
		t.Fatal(err)
	}
	if w.Wait.Duration != timing.Wait(p, timing.Standard()) || w.Failover.Duration != timing.Failover(p, timing.Standard()) {
		t.Errorf("W %v, failover %v", w.Wait, w.Failover)
	}
	if sum := w.LostAfter.Duration + w.Gate.Duration + w.Wait.Duration + w.RejoinGuard.Duration; sum != w.Failover.Duration {
		t.Errorf("the parts make %v, the whole is %v", sum, w.Failover)
	}
	if want := "  = (5 s + 1 s + (1+0)·(10.2 s + 3 s) + 2 s) · 1.001 = 21.22 s"; w.Numbers != want {
		t.Errorf("%q, want %q", w.Numbers, want)
	}
	s.Guards[0].Status.Promise = v1alpha1.Promise{}
	s.Guards[0].Status.Reason = "NoWatchdog"
	if w, err = s.ExplainWait("a"); err != nil || w.Health() != Degraded || !strings.Contains(w.Unarmed, "NoWatchdog") {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestWhere(t *testing.T) {
	device := func(path, volume string) v1alpha1.Storage {
		return v1alpha1.Storage{State: v1alpha1.StorageDirty, Devices: []v1alpha1.Device{{Path: path, Volume: volume}}}
	}
	attachment := func(node, volume string) storagev1.VolumeAttachment {
		a := storagev1.VolumeAttachment{}
		a.Spec.NodeName, a.Spec.Source.PersistentVolumeName, a.Status.Attached = node, &volume, true
		return a
	}
	once := &corev1.PersistentVolume{Spec: corev1.PersistentVolumeSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}}}
	for _, tt := range []struct {
		name     string
		question Question
		change   func(*Snapshot)
		places   []Place
		warnings int
	}{
		{"nowhere", Question{Volume: "v"}, nil, []Place{}, 0},
		{"mapped and attached", Question{Volume: "v", PV: once, Attachments: []storagev1.VolumeAttachment{attachment("a", "v"), attachment("b", "w")}},
			func(s *Snapshot) { s.Guards[0].Status.Storage = device("/dev/rbd0", "v") },
			[]Place{{"v", "a", "/dev/rbd0", true, "Armed", ""}}, 0},
		{"attached, not mapped yet", Question{Volume: "v", PV: once, Attachments: []storagev1.VolumeAttachment{attachment("a", "v")}},
			nil, []Place{{"v", "a", "", true, "Armed", ""}}, 0},
		{"mapped, not attached", Question{Volume: "v", PV: once},
			func(s *Snapshot) { s.Guards[0].Status.Storage = device("/dev/rbd0", "v") },
			[]Place{{"v", "a", "/dev/rbd0", false, "Armed", ""}}, 1},
		{"on two nodes", Question{Volume: "v", PV: once, Attachments: []storagev1.VolumeAttachment{attachment("a", "v"), attachment("b", "v")}},
			func(s *Snapshot) {
				s.Guards[0].Status.Storage, s.Guards[1].Status.Storage = device("/dev/rbd0", "v"), device("/dev/rbd1", "v")
			},
			[]Place{{"v", "a", "/dev/rbd0", true, "Armed", ""}, {"v", "b", "/dev/rbd1", true, "Armed", ""}}, 1},
		{"attachments may not be read", Question{Volume: "v", PV: once, Unread: "you may not"},
			func(s *Snapshot) { s.Guards[0].Status.Storage = device("/dev/rbd0", "v") },
			[]Place{{"v", "a", "/dev/rbd0", false, "Armed", ""}}, 1},
		{"what is on a fenced node", Question{Node: "a"},
			func(s *Snapshot) {
				s.Guards[0].Status.Storage = device("/dev/rbd0", "v")
				s.Fences = []v1alpha1.NodeFence{aFence("a", v1alpha1.FenceWithheld)}
			},
			[]Place{{"v", "a", "/dev/rbd0", false, "fence Withheld: its word is from before", ""}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := armed()
			if tt.change != nil {
				tt.change(s)
			}
			v := s.Where(tt.question)
			if diff := cmp.Diff(tt.places, v.Places); diff != "" {
				t.Error(diff)
			}
			if len(v.Warnings) != tt.warnings {
				t.Errorf("warnings %q", v.Warnings)
			}
		})
	}
}

// A proof is about the fenced boot, and about none that runs on.
func TestDoom(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Snapshot)
		boot   string
		fence  bool
		err    string
	}{
		{"no fence", func(*Snapshot) {}, "boot-a", false, ""},
		{"an open fence", func(s *Snapshot) { s.Fences = []v1alpha1.NodeFence{aFence("a", v1alpha1.FenceWithheld)} }, "boot-a", true, ""},
		{"one that is over", func(s *Snapshot) { s.Fences = []v1alpha1.NodeFence{aFence("a", v1alpha1.FenceRefuted)} }, "boot-a", false, ""},
		{"a new fence that names no boot yet", func(s *Snapshot) {
			f := aFence("a", "")
			f.Status.BootID = ""
			s.Fences = []v1alpha1.NodeFence{f}
		}, "boot-a", true, ""},
		{"a new boot", func(s *Snapshot) {
			s.Fences = []v1alpha1.NodeFence{aFence("a", v1alpha1.FenceWithheld)}
			s.Nodes[0].Status.NodeInfo.BootID = "next"
		}, "", false, "booted anew"},
		{"dead already", func(s *Snapshot) { s.Fences = []v1alpha1.NodeFence{aFence("a", v1alpha1.FenceDetached)} }, "", false, "proven dead already"},
		{"proven already", func(s *Snapshot) {
			f := aFence("a", v1alpha1.FenceWithheld)
			f.Spec.Proof = &v1alpha1.Proof{BootID: "boot-a", By: "bea", Kind: "PowerOff"}
			s.Fences = []v1alpha1.NodeFence{f}
		}, "", false, "bea has said already"},
		{"a proof about another boot", func(s *Snapshot) {
			f := aFence("a", v1alpha1.FenceBlocked)
			f.Spec.Proof = &v1alpha1.Proof{BootID: "other", By: "bea", Kind: "PowerOff"}
			s.Fences = []v1alpha1.NodeFence{f}
		}, "boot-a", true, ""},
		{"no boot known", func(s *Snapshot) {
			s.Nodes[0].Status.NodeInfo.BootID, s.Guards[0].Status.BootID = "", ""
		}, "", false, "no boot of a is known"},
		{"no node", func(s *Snapshot) { s.Nodes, s.Guards = s.Nodes[1:], s.Guards[1:] }, "", false, "there is no node"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := armed()
			tt.change(s)
			x, err := s.Doom("a")
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || x.BootID != tt.boot || (x.Fence != nil) != tt.fence {
				t.Errorf("%+v, %v", x, err)
			}
		})
	}
}

// Every rule that the controller cites is explained.
func TestRulesAreExplained(t *testing.T) {
	for _, r := range []string{"C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "C10", "C11", "C12"} {
		if RuleText(r) == "" {
			t.Errorf("%s is not", r)
		}
	}
	if RuleText("C13") != "" || RuleText("") != "" {
		t.Error("a rule that does not exist is explained")
	}
}
