package daemon

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/agent/internal/peer"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// protocolVersion is the version of PROTOCOL.md that this agent speaks.
const protocolVersion = 1

// specOf says in the core's words what the controller told this agent.
func specOf(s v1alpha1.NodeGuardSpec) (decide.Spec, error) {
	profile := s.Timing.Resolve(timing.Standard())
	return decide.Spec{
		Neighbours: names(s.Neighbours),
		Witnesses:  names(s.Witnesses),
		Profile:    profile,
		ProbeEvery: max(s.ProbeEvery.Duration, profile.RollInterval),
		Unarmed:    s.Unarmed,
		FencedBoot: s.FencedBoot,
	}, profile.Validate()
}

// wantOf says in the launcher's words which watchdog the policy asks for.
func wantOf(p v1alpha1.WatchdogPolicy, profile timing.Profile) launch.Want {
	w := launch.Want{Softdog: p.Prefer == v1alpha1.PreferSoftdog, Device: p.Device, Profile: profile}
	if p.Systemd == v1alpha1.TakeOver {
		w.Systemd = watchdog.TakeOver
	}
	return w
}

// refuseVM folds into the controller's word that a virtual machine is not
// time-fenceable: whoever pauses it pauses its watchdog, and it writes on
// afterwards (A12). The policy, or a host that knows better, accepts it.
func (d *Daemon) refuseVM(s v1alpha1.NodeGuardSpec, spec *decide.Spec) {
	if d.hypervisor == "" || d.config.AcceptVM || s.Watchdog.AcceptVirtualMachines || spec.Unarmed != "" {
		return
	}
	spec.Unarmed = string(reasonVirtualMachine)
	spec.Because = d.hypervisor + "; to arm it all the same, set watchdog.acceptVirtualMachines in the FencingPolicy: " +
		"only where nobody pauses it, or where a storage fence covers that"
}

func names(peers []v1alpha1.Peer) []string {
	var all []string
	for _, p := range peers {
		all = append(all, p.Node)
	}
	return all
}

// peersOf returns the peers' addresses and pins.
func peersOf(s v1alpha1.NodeGuardSpec) peer.Peers {
	convert := func(from []v1alpha1.Peer) []peer.Peer {
		var to []peer.Peer
		for _, p := range from {
			to = append(to, peer.Peer{Node: p.Node, Addresses: p.Addresses, Fingerprint: p.Fingerprint, Zone: p.Zone, Rack: p.Rack})
		}
		return to
	}
	return peer.Peers{
		Neighbours: convert(s.Neighbours), Witnesses: convert(s.Witnesses), Callers: convert(s.Callers),
	}
}

// guidance is a NodeGuard's spec that the agent remembers over a restart.
type guidance struct{ v1alpha1.NodeGuardSpec }

// Validate returns an error for a spec that cannot be followed.
func (g guidance) Validate() error {
	_, err := specOf(g.NodeGuardSpec)
	return err
}

// statusOf puts the core's status and the host's facts into a NodeGuard's.
func (d *Daemon) statusOf(s decide.Status) v1alpha1.NodeGuardStatus {
	d.writes++
	status := v1alpha1.NodeGuardStatus{
		Protocol:    protocolVersion,
		Writes:      d.writes,
		BootID:      d.machine.BootID,
		MachineID:   d.machine.MachineID,
		SystemUUID:  d.machine.SystemUUID,
		Addresses:   d.config.addresses(),
		Fingerprint: d.identity.Fingerprint(),
		Phase:       s.Phase.String(),
		Reason:      string(s.Reason),
		Message:     s.Message,
		Promise:     v1alpha1.PromiseOf(s.Promise),
		Acked:       v1alpha1.Acked{History: s.History, Serial: s.Serial, Fences: s.Fences, Streak: s.Streak},
		Refutes:     s.Refutes,
		Lost:        s.Lost,
		Storage:     d.steward.storage(),
		APIEndpoint: d.api.Endpoint(),
		Version:     d.version,
		Conditions: []metav1.Condition{
			d.condition(v1alpha1.ConditionPeersLost, s.PeersLost, ""),
			d.condition(v1alpha1.ConditionHistoryBroken, s.HistoryBroken != "", s.HistoryBroken),
			d.condition(v1alpha1.ConditionStorageUnreachable, s.StorageUnreachable, ""),
		},
	}
	if w := d.keeper.status.Load(); w != nil {
		status.Watchdog = v1alpha1.Watchdog{
			Device: d.device(), Driver: w.Device.Driver, Kind: w.Device.Kind.String(), NoWayOut: w.Device.Nowayout,
		}
		status.Watchdog.Verified, _ = d.tests.verified(w.Device)
	}
	return status
}

// device is the kernel's name of the device that the launcher gave the holder.
func (d *Daemon) device() string { return d.launcher.Report().Device }

// launchProblem is why the holder is not the one that is wanted, or nothing.
func (d *Daemon) launchProblem() string { return d.launcher.Report().Problem }

// condition returns a condition of the NodeGuard, with the time of its last
// change.
func (d *Daemon) condition(kind string, on bool, message string) metav1.Condition {
	last, ok := d.conditions[kind]
	if !ok || on != (last.Status == metav1.ConditionTrue) {
		last = metav1.Condition{
			Type: kind, Status: metav1.ConditionFalse, Reason: "AsExpected",
			LastTransitionTime: metav1.Now().Rfc3339Copy(),
		}
		if on {
			last.Status, last.Reason = metav1.ConditionTrue, kind
		}
	}
	last.Message = message
	d.conditions[kind] = last
	return last
}
