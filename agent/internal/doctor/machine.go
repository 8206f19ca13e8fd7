package doctor

import "github.com/picket-dev/picket/proto/finding"

// machine judges whether the node may be armed at all (A12), and whether its next
// boot can prove this one dead.
func machine(f Facts) (string, []finding.Finding) {
	m := f.Machine
	saw := "a machine of its own"
	var found []finding.Finding
	switch {
	case m.SharedKernel != "":
		saw = "a container"
		found = append(found, finding.Finding{
			ID: SharedKernel, Severity: finding.Error, What: m.SharedKernel,
			Why: "a reset would take along everybody who shares the kernel, so this node is never armed (A12)",
			Fix: "# in a pod: run the agent's DaemonSet as deploy/base has it, with hostPID and the host's /proc",
		})
	case m.Hypervisor != "":
		saw = "a virtual machine"
		found = append(found, virtual(f))
	}
	if m.BreakGlass != "" {
		found = append(found, finding.Finding{
			ID: BreakGlass, Severity: finding.Warning, What: m.BreakGlass,
			Why: "a person has disarmed this node (A12): it is not guarded until the mark is gone and the agent has started anew",
			Fix: lines("rm /etc/picket/unarmed    # or start the kernel without picket.arm",
				"kubectl -n picket delete pod --field-selector spec.nodeName="+f.Node+" -l app.kubernetes.io/name=picket-agent"),
		})
	}
	if (!m.HasMachineID || !m.HasUUID) && m.SharedKernel == "" {
		what, fix := "the firmware gives no UUID of its own", "# dmidecode -s system-uuid shows none, or a placeholder of the vendor's: set one with its firmware tool"
		if !m.HasMachineID {
			what, fix = "/etc/machine-id holds no ID", "systemd-machine-id-setup"
		}
		found = append(found, finding.Finding{
			ID: NoMachineIdentity, Severity: finding.Warning, What: what,
			Why: "a new boot ends the wait of the old one's fence only if both IDs show that it is the same machine: this node's fences always wait in full",
			Fix: fix,
		})
	}
	return saw, found
}

// virtual judges a virtual machine: one that is armed has been accepted.
func virtual(f Facts) finding.Finding {
	x := finding.Finding{
		ID: VirtualMachine, Severity: finding.Error, What: "the node is a virtual machine, which is not armed: " + f.Machine.Hypervisor,
		Why: "whoever pauses it pauses its watchdog with it, and it writes on when it wakes: no wait proves it dead (A12)",
		Fix: lines("# only where nobody pauses, snapshots or migrates it live, or a fence on the storage side covers it:",
			`kubectl patch fencingpolicy default --type merge -p '{"spec":{"watchdog":{"acceptVirtualMachines":true}}}'`),
	}
	if s := f.Agent.Status; s.GetPhase() == "Armed" {
		x.Severity = finding.Warning
		x.What = "the node is a virtual machine, and the policy accepts that: " + f.Machine.Hypervisor
		x.Fix = "# see that nobody pauses, snapshots or migrates it live; a fence on the storage side covers what remains"
	}
	return x
}
