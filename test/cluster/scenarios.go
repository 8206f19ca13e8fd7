package main

// scenarios lists all of them, in the order in which `make test` plays them.
func scenarios() []scenario {
	return []scenario{
		{name: "power-cut", about: "a node loses its power: its volume moves; later it comes back", run: powerCut},
		{name: "agent-killed", about: "the agent crashes: its supervisor restarts it, nobody resets", run: agentKilled},
		{name: "agent-holder-killed", about: "agent and holder die for good: the watchdog resets the node", run: agentHolderKilled},
		{name: "isolated-node", about: "a node loses API and peers: it resets itself, then it is tainted", run: isolatedNode},
		{name: "api-lost-on-one-node", about: "a node loses the API only: relays keep it alive", run: apiLostOnOneNode},
		{name: "api-server-down", about: "no API for 60 s, and a power cut meanwhile: nobody resets, the fence waits for the API", run: apiServerDown},
		{name: "api-answers-403", about: "the API answers 403 for 30 s: nobody resets", run: apiAnswers(403)},
		{name: "api-answers-429", about: "the API answers 429 for 30 s: nobody resets", run: apiAnswers(429)},
		{name: "api-answers-500", about: "the API answers 500 for 30 s: nobody resets", run: apiAnswers(500)},
		{name: "api-stalls", about: "the API accepts and never answers for 30 s: nobody resets", run: apiStalls},
		{name: "minority-partition", about: "2 of 5 nodes are cut off together: they reset, then they are tainted", run: minorityPartition},
		{name: "majority-without-api", about: "3 of 5 lose the API while a fence waits: nobody resets, QuorumBlocked", run: majorityWithoutAPI},
		{name: "false-suspicion", about: "an agent pauses for most of a roll's life: nobody resets", run: falseSuspicion},
		{name: "outage-during-suspicion", about: "the API goes while a suspicion is open: nobody resets", run: outageDuringSuspicion},
		{name: "suspected-again", about: "suspected again right after a refutation: nobody resets", run: suspectedAgain},
		{name: "fast-reboot", about: "the node boots anew during the wait: no taint", run: fastReboot},
		{name: "controller-killed", about: "the leader is killed at every step and replaced: the fence completes", run: controllerKilled},
		{name: "controller-paused", about: "the leader is paused just before its taint, and the node recovers: no taint", run: controllerPaused},
		{name: "two-fences", about: "two nodes lose their power at once", run: twoFences},
		{name: "storm-guard", about: "two die, one may be withheld at a time", setup: oneAtATime, run: stormGuard},
		{name: "agent-upgrade", about: "the agent stops in order and comes back: unarmed meanwhile, no reset", run: agentUpgrade},
		{name: "agent-port-blocked", about: "no agent reaches another: all become unarmed; then the API goes: nobody resets", run: agentPortBlocked},
		{name: "roll-deleted", about: "the Roll is deleted: nobody resets, fencing pauses until a human resumes it", run: rollDeleted},
		{name: "guards-deleted", about: "all NodeGuards are deleted: nobody resets, all arm again", run: guardsDeleted},
		{name: "fence-deleted", about: "a NodeFence is deleted during its wait: no wrong taint, the dead node is fenced all the same", run: fenceDeleted},
		{name: "crds-deleted", about: "the CRDs are deleted: nobody resets; applied again, all is well", run: crdsDeleted},
		{name: "etcd-restored", about: "etcd goes back to an older snapshot: nobody resets, fencing pauses", run: etcdRestored},
		{name: "shutdown-left-off", about: "a node shuts down in order and stays off: fenced after its long T", run: shutdownLeftOff},
		{name: "two-nodes", about: "two nodes: nobody arms, nobody is fenced", nodes: 2, run: twoNodes},
		{name: "foreign-taints", about: "somebody else adds and removes taints: never adopted, the quarantine restored", run: foreignTaints},
		{name: "pod-with-finalizer", about: "a pod's finalizer keeps the fence open, and is said to", run: podWithFinalizer},
		{name: "tolerating-pod", about: "a pod that tolerates the taint stays, and does not block the fence", run: toleratingPod},
	}
}
