package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeGuard is where a node and the controller meet: the spec is the
// controller's word to the agent, the status the agent's word to the
// controller. There is one for each node, with the node's name.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ng
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Watchdog",type=string,JSONPath=`.status.watchdog.driver`
// +kubebuilder:printcolumn:name="Timeout",type=string,JSONPath=`.status.promise.timeout`
// +kubebuilder:printcolumn:name="Lost",type=string,JSONPath=`.status.lost`
// +kubebuilder:printcolumn:name="Armed",type=boolean,JSONPath=`.status.promise.armed`,priority=1
// +kubebuilder:printcolumn:name="Verified",type=boolean,JSONPath=`.status.watchdog.verified`,priority=1
// +kubebuilder:printcolumn:name="Storage",type=string,JSONPath=`.status.storage.state`,priority=1
// +kubebuilder:printcolumn:name="API",type=string,JSONPath=`.status.apiEndpoint`,priority=1
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`,priority=1
// +kubebuilder:printcolumn:name="Rack",type=string,JSONPath=`.spec.rack`,priority=1
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeGuard struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the controller's word.
	Spec NodeGuardSpec `json:"spec"`
	// Status is the agent's word.
	// +optional
	Status NodeGuardStatus `json:"status,omitempty"`
}

// NodeGuardSpec is what the controller tells an agent.
type NodeGuardSpec struct {
	// NodeUID is the UID of the Node object that this guard is for.
	NodeUID string `json:"nodeUID"`
	// Neighbours are the nodes whose health this agent watches.
	// +listType=map
	// +listMapKey=node
	// +optional
	Neighbours []Peer `json:"neighbours,omitempty"`
	// Witnesses are the witnesses of all epochs that the Roll lists.
	// +listType=map
	// +listMapKey=node
	// +optional
	Witnesses []Peer `json:"witnesses,omitempty"`
	// Callers are the nodes whose heartbeats this agent answers.
	// +listType=map
	// +listMapKey=node
	// +optional
	Callers []Peer `json:"callers,omitempty"`
	// Timing is the profile in force, with all overrides resolved.
	Timing Timing `json:"timing"`
	// ProbeEvery is how often the agent asks each witness for a statement when
	// it has no need of one, to know that it could.
	ProbeEvery metav1.Duration `json:"probeEvery"`
	// Watchdog says which watchdog the agent takes, and from whom.
	// +optional
	Watchdog WatchdogPolicy `json:"watchdog,omitempty"`
	// Unarmed, if not empty, tells the agent to stay unarmed, and why: Observe
	// mode, an excluded node, too few nodes.
	// +optional
	Unarmed string `json:"unarmed,omitempty"`
	// FencedBoot is a boot of this node that was fenced to the end: its
	// volumes have moved. An agent that runs in this boot must not go on.
	// +optional
	FencedBoot string `json:"fencedBoot,omitempty"`
	// Rejoin says how an agent that runs in FencedBoot does not go on: by a reset,
	// or, if it is Clean, by tearing down what has moved. Empty means Reset.
	// +kubebuilder:validation:Enum=Reset;Clean
	// +optional
	Rejoin Rejoin `json:"rejoin,omitempty"`
	// Zone and Rack say what fails together with this node, by its Node's labels:
	// for people.
	// +optional
	Zone string `json:"zone,omitempty"`
	// +optional
	Rack string `json:"rack,omitempty"`
}

// Peer is another node's agent, as the controller hands it on.
type Peer struct {
	// Node is the node's name.
	Node string `json:"node"`
	// Addresses are host:port, the preferred one first.
	// +listType=atomic
	// +optional
	Addresses []string `json:"addresses,omitempty"`
	// Fingerprint is the SHA-256 of the agent's public key (SPKI), in hex.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
	// Zone and Rack say what fails together with the node, by its Node's labels:
	// for people.
	// +optional
	Zone string `json:"zone,omitempty"`
	// +optional
	Rack string `json:"rack,omitempty"`
}

// NodeGuardStatus is what an agent says about its node. It is written on
// change, and at least every five minutes. Its schema holds no enumerations: a
// word that an older CRD does not know must not keep a node from speaking.
type NodeGuardStatus struct {
	// Protocol is the version of the protocol that the agent speaks.
	// +optional
	Protocol int32 `json:"protocol,omitempty"`
	// Writes counts the status writes of this boot: a change of it is a sign
	// of life.
	// +optional
	Writes int64 `json:"writes,omitempty"`
	// BootID is the kernel's boot ID.
	// +optional
	BootID string `json:"bootID,omitempty"`
	// MachineID and SystemUUID tell whether a new boot is one of the same
	// machine.
	// +optional
	MachineID string `json:"machineID,omitempty"`
	// +optional
	SystemUUID string `json:"systemUUID,omitempty"`
	// Addresses are where peers reach this agent, host:port.
	// +listType=atomic
	// +optional
	Addresses []string `json:"addresses,omitempty"`
	// Fingerprint is the SHA-256 of the agent's public key (SPKI), in hex.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
	// Phase is Unarmed, Arming, Armed, Leaving or Latched.
	// +optional
	Phase string `json:"phase,omitempty"`
	// Reason says why the node is in its phase: one CamelCase word.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message says it for people.
	// +optional
	Message string `json:"message,omitempty"`
	// Promise bounds how long this boot can outlive its last roll.
	// +optional
	Promise Promise `json:"promise,omitempty"`
	// Watchdog describes the device.
	// +optional
	Watchdog Watchdog `json:"watchdog,omitempty"`
	// Acked is what the agent remembers of the Roll it last read from the API.
	// +optional
	Acked Acked `json:"acked,omitempty"`
	// Refutes is the fence whose suspicion this boot denies by being alive.
	// +optional
	Refutes string `json:"refutes,omitempty"`
	// Lost are the neighbours that stopped answering.
	// +listType=set
	// +optional
	Lost []string `json:"lost,omitempty"`
	// Storage says which volumes are mounted or mapped, and whether they may be.
	// +optional
	Storage Storage `json:"storage,omitempty"`
	// APIEndpoint is the API server that answered last.
	// +optional
	APIEndpoint string `json:"apiEndpoint,omitempty"`
	// Version is the agent's version.
	// +optional
	Version string `json:"version,omitempty"`
	// Conditions hold what is not as it should be.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Conditions of a NodeGuard.
const (
	// ConditionPeersLost is true while fewer than a quorum of witnesses answer.
	ConditionPeersLost = "PeersLost"
	// ConditionHistoryBroken is true after the agent saw the Roll go back.
	ConditionHistoryBroken = "HistoryBroken"
	// ConditionStorageUnreachable is true while only the storage network is lost.
	ConditionStorageUnreachable = "StorageUnreachable"
)

// Promise is timing.Promise on the wire.
type Promise struct {
	// Armed says that time-based fencing is allowed; an unarmed node promises
	// nothing.
	Armed bool `json:"armed"`
	// RollLife is L: how old a roll may be while the node pets.
	// +optional
	RollLife metav1.Duration `json:"rollLife,omitempty"`
	// PetDelay bounds the time from the holder's check to the completed pet.
	// +optional
	PetDelay metav1.Duration `json:"petDelay,omitempty"`
	// Timeout is T, the watchdog's nominal timeout.
	// +optional
	Timeout metav1.Duration `json:"timeout,omitempty"`
	// Kappa is the real time to a reset over the nominal one, times 1000.
	// +optional
	Kappa int32 `json:"kappa,omitempty"`
	// Ungated is how many pings may reach the device without a roll.
	// +optional
	Ungated int32 `json:"ungated,omitempty"`
}

// Watchdog describes the device that resets this node.
type Watchdog struct {
	// Device is the kernel's name of the device, such as watchdog0; empty where
	// the holder was not started by the agent.
	// +optional
	Device string `json:"device,omitempty"`
	// Driver is the kernel driver's name.
	// +optional
	Driver string `json:"driver,omitempty"`
	// Kind is hardware, softdog or file (tests).
	// +optional
	Kind string `json:"kind,omitempty"`
	// NoWayOut says that closing the device cannot stop the watchdog.
	// +optional
	NoWayOut bool `json:"nowayout,omitempty"`
	// Verified says that a self-test has seen this watchdog reset the node.
	// +optional
	Verified bool `json:"verified,omitempty"`
}

// Acked is an agent's memory of the Roll.
type Acked struct {
	// History is the line of serials that Serial belongs to.
	// +optional
	History string `json:"history,omitempty"`
	// Serial is the one of the newest Roll that the agent has itself read.
	// +optional
	Serial int64 `json:"serial,omitempty"`
	// Fences are the fences that were Withheld in that Roll, sorted.
	// +listType=set
	// +optional
	Fences []string `json:"fences,omitempty"`
	// Streak counts the consecutive fresh reads at the gate's pace, while a
	// fence is open; a failed or late read starts it again.
	// +optional
	Streak int64 `json:"streak,omitempty"`
}

// Storage is the state of the node's volumes.
type Storage struct {
	// State is Clean, InUse, Dirty or Unknown.
	// +optional
	State string `json:"state,omitempty"`
	// FencedBoot is that of the spec for which State was found: nothing of what
	// has moved since that boot was fenced is left on a node that is Clean of it.
	// Empty while no fence has come to its end.
	// +optional
	FencedBoot string `json:"fencedBoot,omitempty"`
	// Message says for people what is Dirty, or why nothing is known.
	// +optional
	Message string `json:"message,omitempty"`
	// Devices are the mounted or mapped ones; those that must not stay come first.
	// +listType=atomic
	// +optional
	Devices []Device `json:"devices,omitempty"`
	// Omitted counts the devices that are left out where there are very many.
	// +optional
	Omitted int32 `json:"omitted,omitempty"`
}

// The states of Storage.
const (
	// StorageClean says that nothing is left of volumes that have moved since
	// FencedBoot was fenced; without one, that there are no volumes at all.
	StorageClean = "Clean"
	// StorageInUse says that the node has volumes, and no reason to give them up.
	StorageInUse = "InUse"
	// StorageDirty says that something is left of volumes that have moved.
	StorageDirty = "Dirty"
	// StorageUnknown says that the node could not look, or has not yet.
	StorageUnknown = "Unknown"
)

// Device is a block device or mount that belongs to a volume, or may.
type Device struct {
	// Path is the device node or mount point.
	Path string `json:"path"`
	// Volume is the PersistentVolume's name; its CSI handle where no name is known.
	// +optional
	Volume string `json:"volume,omitempty"`
	// Standing is Stale for one that has moved, Stuck for one that can be neither
	// left nor torn down, else empty.
	// +optional
	Standing string `json:"standing,omitempty"`
}

// NodeGuardList is a list of NodeGuards.
//
// +kubebuilder:object:root=true
type NodeGuardList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeGuard `json:"items"`
}
