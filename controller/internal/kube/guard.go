package kube

import (
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// guardOf returns what the planner knows of a NodeGuard. A promise that no
// agent makes counts as none: such a node cannot be fenced on time.
func guardOf(g *v1alpha1.NodeGuard) plan.Guard {
	s := g.Status
	promise, err := s.Promise.Pure()
	if err != nil {
		promise = timing.Promise{}
	}
	return plan.Guard{
		Name:    g.Name,
		Version: g.ResourceVersion,
		Spec:    guardSpecOf(g.Spec),
		Status: plan.GuardStatus{
			Writes:        s.Writes,
			Boot:          s.BootID,
			MachineID:     s.MachineID,
			SystemUUID:    s.SystemUUID,
			Addresses:     clone(s.Addresses),
			Fingerprint:   s.Fingerprint,
			Promise:       promise,
			Gated:         Gated(s.Phase),
			Verified:      s.Watchdog.Verified,
			History:       s.Acked.History,
			Serial:        s.Acked.Serial,
			Fences:        clone(s.Acked.Fences),
			Streak:        s.Acked.Streak,
			Refutes:       s.Refutes,
			Lost:          clone(s.Lost),
			PeersLost:     meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionPeersLost),
			HistoryBroken: historyBroken(s.Conditions),
			Clean:         s.Storage.State == v1alpha1.StorageClean && s.Storage.FencedBoot == g.Spec.FencedBoot,
		},
	}
}

// Gated reports whether a boot in this phase may live by rolls. What it promises
// does not say so: it publishes that it is unarmed before it becomes it.
func Gated(phase string) bool { return phase == "Arming" || phase == "Armed" || phase == "Leaving" }

// historyBroken returns what the agent saw of a Roll that went back, or
// nothing.
func historyBroken(conditions []metav1.Condition) string {
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionHistoryBroken)
	switch {
	case c == nil || c.Status != metav1.ConditionTrue:
		return ""
	case c.Message != "":
		return c.Message
	}
	return fmt.Sprintf("the agent gives no message (%s)", c.Reason)
}

func guardSpecOf(s v1alpha1.NodeGuardSpec) plan.GuardSpec {
	return plan.GuardSpec{
		NodeUID:     s.NodeUID,
		Neighbours:  peersOf(s.Neighbours),
		Witnesses:   peersOf(s.Witnesses),
		Callers:     peersOf(s.Callers),
		Profile:     s.Timing.Resolve(timing.Profile{}),
		ProbeEvery:  s.ProbeEvery.Duration,
		Watchdog:    watchdogOf(s.Watchdog),
		Unarmed:     s.Unarmed,
		FencedBoot:  s.FencedBoot,
		RejoinClean: s.Rejoin == v1alpha1.RejoinClean,
		Place:       plan.Place{Zone: s.Zone, Rack: s.Rack},
	}
}

// apiGuardSpec is the inverse of guardSpecOf.
func apiGuardSpec(s plan.GuardSpec) v1alpha1.NodeGuardSpec {
	spec := v1alpha1.NodeGuardSpec{
		NodeUID:    s.NodeUID,
		Neighbours: apiPeers(s.Neighbours),
		Witnesses:  apiPeers(s.Witnesses),
		Callers:    apiPeers(s.Callers),
		Timing:     v1alpha1.TimingOf(s.Profile),
		ProbeEvery: metav1.Duration{Duration: s.ProbeEvery},
		Watchdog:   apiWatchdog(s.Watchdog),
		Unarmed:    s.Unarmed,
		FencedBoot: s.FencedBoot,
		Zone:       s.Place.Zone,
		Rack:       s.Place.Rack,
	}
	if s.RejoinClean {
		spec.Rejoin = v1alpha1.RejoinClean
	}
	return spec
}

func watchdogOf(w v1alpha1.WatchdogPolicy) plan.Watchdog {
	return plan.Watchdog{
		PreferSoftdog: w.Prefer == v1alpha1.PreferSoftdog,
		Device:        w.Device,
		TakeOver:      w.Systemd == v1alpha1.TakeOver,
		AcceptVM:      w.AcceptVirtualMachines,
	}
}

// apiWatchdog is the inverse of watchdogOf.
func apiWatchdog(w plan.Watchdog) v1alpha1.WatchdogPolicy {
	p := v1alpha1.WatchdogPolicy{
		Prefer: v1alpha1.PreferHardware, Device: w.Device, Systemd: v1alpha1.Cooperate, AcceptVirtualMachines: w.AcceptVM,
	}
	if w.PreferSoftdog {
		p.Prefer = v1alpha1.PreferSoftdog
	}
	if w.TakeOver {
		p.Systemd = v1alpha1.TakeOver
	}
	return p
}

func peersOf(peers []v1alpha1.Peer) []plan.Peer {
	var list []plan.Peer
	for _, p := range peers {
		list = append(list, plan.Peer{
			Node: p.Node, Addresses: clone(p.Addresses), Fingerprint: p.Fingerprint, Place: plan.Place{Zone: p.Zone, Rack: p.Rack},
		})
	}
	return list
}

func apiPeers(peers []plan.Peer) []v1alpha1.Peer {
	var list []v1alpha1.Peer
	for _, p := range peers {
		list = append(list, v1alpha1.Peer{
			Node: p.Node, Addresses: clone(p.Addresses), Fingerprint: p.Fingerprint, Zone: p.Place.Zone, Rack: p.Place.Rack,
		})
	}
	return list
}

// sameGuard reports whether a change of a guard can wait for the next plan: it
// only says that the agent lives.
func sameGuard(a, b plan.Guard) bool {
	a.Version, a.Status.Writes = b.Version, b.Status.Writes
	return reflect.DeepEqual(a, b)
}

// clone copies a list; an empty one becomes nil, since the planner compares
// what it wants with what it has and the API does not tell the two apart.
func clone(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	return slices.Clone(list)
}
