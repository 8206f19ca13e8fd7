package doctor

import "github.com/picket-dev/picket/proto/finding"

// What can be found in a cluster. Each has its entry in deploy/RUNBOOK.md.
const (
	// CannotLook is a check that could not be made.
	CannotLook finding.ID = "CannotLook"

	// NotInstalled is a cluster without Picket.
	NotInstalled finding.ID = "NotInstalled"
	// ManifestMissing is an object of Picket's that is not there.
	ManifestMissing finding.ID = "ManifestMissing"
	// ManifestDiffers is one of another version.
	ManifestDiffers finding.ID = "ManifestDiffers"
	// InvalidPolicy is a FencingPolicy that is not in force.
	InvalidPolicy finding.ID = "InvalidPolicy"
	// FencingOff is a policy under which no fence begins.
	FencingOff finding.ID = "FencingOff"
	// HistoryBroken is a Roll that was seen to go back.
	HistoryBroken finding.ID = "HistoryBroken"
	// NoLeader is a cluster in which no controller leads.
	NoLeader finding.ID = "NoLeader"
	// ControllerAlone is a controller that nobody takes over from.
	ControllerAlone finding.ID = "ControllerAlone"
	// WitnessesMute is an epoch that could call no roll in an API outage.
	WitnessesMute finding.ID = "WitnessesMute"
	// TooFewNodes is a cluster in which nobody can witness.
	TooFewNodes finding.ID = "TooFewNodes"
	// AgentMissing is a node of which no agent speaks.
	AgentMissing finding.ID = "AgentMissing"
	// AgentVersionsDiffer are agents of several versions.
	AgentVersionsDiffer finding.ID = "AgentVersionsDiffer"
	// Unarmed is a node that nothing guards now.
	Unarmed finding.ID = "Unarmed"
	// WatchdogUntested is one that no self-test has seen reset its node.
	WatchdogUntested finding.ID = "WatchdogUntested"

	// KubernetesTooOld is an API server that lacks what Picket stands on.
	KubernetesTooOld finding.ID = "KubernetesTooOld"
	// ForceDetach is a controller manager that detaches by guess.
	ForceDetach finding.ID = "ForceDetach"
	// ControllerManagerUnseen is one whose flags are nowhere to be seen.
	ControllerManagerUnseen finding.ID = "ControllerManagerUnseen"
	// KubeletsUnseen are kubelets whose configuration may not be read.
	KubeletsUnseen finding.ID = "KubeletsUnseen"
	// MonitorGraceShort is a controller manager that is quicker than kubelets.
	MonitorGraceShort finding.ID = "MonitorGraceShort"
	// ShutdownGraceLong is a kubelet that shuts down longer than the watchdog lets it.
	ShutdownGraceLong finding.ID = "ShutdownGraceLong"
	// EvictedBeforeFence is a pod that Kubernetes replaces before the fence is done.
	EvictedBeforeFence finding.ID = "EvictedBeforeFence"
	// ToleratesOutOfService is a pod with volumes that no fence moves.
	ToleratesOutOfService finding.ID = "ToleratesOutOfService"
	// DriverWithoutAttach is storage that nothing but the fence protects.
	DriverWithoutAttach finding.ID = "DriverWithoutAttach"
	// StaleReads is an API that answered from the past.
	StaleReads finding.ID = "StaleReads"
	// DatastoreUnproven is a datastore that may answer from a replica.
	DatastoreUnproven finding.ID = "DatastoreUnproven"
	// EtcdVersionBad is an etcd that is known to lose or mix up data.
	EtcdVersionBad finding.ID = "EtcdVersionBad"
	// WebhookBlocks is a fail-closed webhook that dies with a node.
	WebhookBlocks finding.ID = "WebhookBlocks"
	// WebhookDown is a fail-closed webhook that nobody answers.
	WebhookDown finding.ID = "WebhookDown"
	// NetworkAgentEvicted is a network agent that the quarantine keeps away.
	NetworkAgentEvicted finding.ID = "NetworkAgentEvicted"
	// StoragePluginEvicted is a CSI node plugin that the quarantine keeps away.
	StoragePluginEvicted finding.ID = "StoragePluginEvicted"
)
