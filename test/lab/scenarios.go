package main

// scenarios lists all, in the order in which they are played.
func scenarios() []scenario {
	return []scenario{
		{"power-cut", "a node loses power, and gets it back", powerCut},
		{"fast-reboot", "a node loses power for a moment", fastReboot},
		{"isolated-cluster-network", "a node is cut off from API and peers; its storage stays", isolatedCluster},
		{"isolated-everything", "both of a node's networks are cut", isolatedEverything},
		{"one-way-cut", "a node hears everything and is not heard", oneWay},
		{"kernel-panic", "a kernel panics and reboots", kernelPanic},
		{"kernel-hang", "a kernel panics and stays there: the watchdog resets it", kernelHang},
		{"holder-killed", "picket-holder is killed; systemd starts it again", holderKilled},
		{"agent-stopped", "the agent's processes stop, and do not come back", agentStopped},
		{"kubelet-stopped", "a kubelet stops: no fence while the agent answers", kubeletStopped},
		{"containerd-stopped", "containerd stops: no fence while the agent answers", containerdStopped},
		{"planned-reboot", "systemctl reboot", plannedReboot},
	}
}
