package main

import "slices"

// suites are the scenarios by what they are about: how nodes are fenced, and how
// they come back.
func suites() map[string][]scenario {
	return map[string][]scenario{"fencing": fencing(), "rejoin": rejoining()}
}

// scenarios lists all, in the order in which they are played.
func scenarios() []scenario { return slices.Concat(fencing(), rejoining()) }

func fencing() []scenario {
	return []scenario{
		{"power-cut", "a node loses power, and gets it back", powerCut},
		{"power-cut-keep-ready", "a power cut, and C4 leaves the pods in their services", powerCutKeepReady},
		{"fast-reboot", "a node is back inside the wait: nothing moves", fastReboot},
		{"isolated-cluster-network", "a node is cut off from API and peers; its storage stays", isolatedCluster},
		{"isolated-everything", "both of a node's networks are cut", isolatedEverything},
		{"eyes", "a node is cut off, and each command shows it", eyes},
		{"one-way-cut", "a node hears everything and is not heard", oneWay},
		{"kernel-panic", "a kernel panics and reboots", kernelPanic},
		{"kernel-hang", "a kernel panics and stays there: the watchdog resets it", kernelHang},
		{"holder-killed", "picket-holder is killed; systemd starts it again", holderKilled},
		{"agent-stopped", "the agent's processes stop, and do not come back", agentStopped},
		{"kubelet-stopped", "a kubelet stops: no fence while the agent answers", kubeletStopped},
		{"containerd-stopped", "containerd stops: no fence while the agent answers", containerdStopped},
		{"planned-reboot", "systemctl reboot", plannedReboot},
		{"agent-deleted", "an agent's pod is deleted: its holder pets on", agentDeleted},
		{"agents-rolled", "the agents are upgraded, one node after the other", agentRolled},
		{"image-missing", "the agents are rolled to an image that no node has", imageMissing},
		{"pressure", "processor, memory and disk of a healthy node are taken for 5 min", pressure},
		{"fork-bomb", "a pod forks for ever", forkBomb},
		{"full-disk", "a root disk is full", fullDisk},
		{"softdog", "softdog instead of the hardware, and nobody pets it any more", softdogFires},
		{"systemd-holds", "systemd holds the hardware's watchdog: it keeps it, then must give it up", systemdHolds},
		{"api-stopped", "the API server is stopped for a minute", apiStopped},
		{"shutdown-hangs", "a shutdown hangs on a dead volume: the watchdog ends it", shutdownHangs},
		{"self-test", "a drained node tests its watchdog", selfTest},
		{"uninstall", "Picket is taken off, and put on again", uninstalled},
		{"machines-refused", "the default policy: virtual machines are not armed, and not fenced", machinesRefused},
	}
}

func rejoining() []scenario {
	return []scenario{
		{"auto-login", "a node logs in again to a target whose volume has moved, by itself, as it boots", autoLogin},
		{"auto-login-shared", "the same, and a pod that stays needs the session", autoLoginShared},
		{"auto-login-reused", "the same, and a file says that its unit is another: it stays until a person has looked", autoLoginReused},
		{"rejoin-ext4", "a fenced node was not reset: a dirty file system of the kubelet's own iSCSI", rejoinExt4},
		{"rejoin-block", "the same, a dirty raw device", rejoinBlock},
		{"rejoin-shared", "the same, beside a volume that stays, over one session: a reset", rejoinShared},
		{"rejoin-multipath", "the same, on two paths, both gone, and requests that wait for one", rejoinMultipath},
		{"rejoin-luks", "the same, with LUKS on it", rejoinLUKS},
		{"rejoin-deaf", "the same, over a session that notices nothing", rejoinDeaf},
		{"rejoin-hung", "the same, and nothing ends the session: what hangs ends in a reset", rejoinHung},
		{"rejoin-shared-with-host", "the same, over a session that the host needs: a reset", rejoinSharedWithHost},
		{"rejoin-blocklisted", "the same, on krbd, whose cluster has shut the node out", rejoinBlocklisted},
		{"rejoin-wanted", "the same, and the image is wanted on the node again: not before it is clean", rejoinWanted},
		{"rejoin-ceph-gone", "the same, on krbd, whose cluster stays out of reach: a reset", rejoinCephGone},
		{"rejoin-pinned", "the same, and a pod that stays holds copies of its mounts", rejoinPinned},
		{"rejoin-agent-killed", "the same, and the agent is killed in the midst of cleaning", rejoinAgentKilled},
		{"rejoin-kubelet-restarted", "the same, and the kubelet is restarted meanwhile", rejoinKubeletRestarted},
	}
}
