package view

// RuleText returns in one sentence what a rule of the controller says, as in
// PROTOCOL.md §10; "" for an unknown one.
func RuleText(rule string) string {
	switch rule {
	case "C1":
		return "a majority of the nodes that watch it report it lost, and it is armed: it is suspected, and has the time to speak for itself before anything is withheld"
	case "C2":
		return "its kubelet is NotReady for longer than the policy's notReadyAfter, though its agent answers: a deliberate reboot"
	case "C3":
		return "somebody else asked for the fence"
	case "C4":
		return "its boot is withheld from the roll: it may not pet its watchdog any more; no new pods, and its pods leave their Services"
	case "C5":
		return "once witnesses have acknowledged that, and W has passed since, it provably cannot write: it is tainted out-of-service"
	case "C6":
		return "its pods are deleted, and Kubernetes detaches its volumes; no finalizer is ever stripped"
	case "C7":
		return "nothing of it is attached any more: the out-of-service taint goes, the quarantine stays"
	case "C8":
		return "a new boot, clean and with a Ready kubelet, gets its quarantine lifted"
	case "C9":
		return "something forbids to fence on time: an unarmed node, too few witnesses, the storm guard, a pause"
	case "C10":
		return "the controller's own observation had a gap: every running wait begins again"
	case "C11":
		return "somebody else changed Picket's taints, entries or fences"
	case "C12":
		return "many agents reach nobody: a blocked port, not hosts"
	}
	return ""
}
