package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RollName is the name of the one Roll.
const RollName = "cluster"

// RollFinalizer keeps a deleted Roll readable until the controller has seen
// the deletion and started a new history.
const RollFinalizer = "picket.dev/roll"

// Roll is the object by which the controller withdraws a boot's right to run.
// There is one, named "cluster"; only the controller writes it, every agent
// reads it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=rc
// +kubebuilder:printcolumn:name="Serial",type=integer,JSONPath=`.spec.serial`
// +kubebuilder:printcolumn:name="Withheld",type=string,JSONPath=`.spec.entries[?(@.state=="Withheld")].node`
// +kubebuilder:printcolumn:name="Suspected",type=string,JSONPath=`.spec.entries[?(@.state=="Suspected")].node`
// +kubebuilder:printcolumn:name="Broken",type=string,JSONPath=`.spec.broken`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'cluster'",message="there is one Roll, and its name is cluster: only the controller makes it"
type Roll struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the roll itself.
	Spec RollSpec `json:"spec"`
}

// RollSpec is the content of the Roll at one serial.
//
// +kubebuilder:validation:XValidation:rule="self.history != oldSelf.history || self == oldSelf || self.serial == oldSelf.serial + 1",message="a write that changes the Roll adds one to its serial, or starts a new history"
type RollSpec struct {
	// History identifies an unbroken line of serials. A Roll that was deleted
	// or restored from a backup goes on under a new one.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	History string `json:"history"`
	// Serial grows by one with each write.
	// +kubebuilder:validation:Minimum=1
	Serial int64 `json:"serial"`
	// Broken says why the previous history ended. While it is set, fencing is
	// paused until the policy's spec.resumeHistory names this history.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Broken string `json:"broken,omitempty"`
	// PollEvery is how often each agent without other duties reads the Roll.
	PollEvery metav1.Duration `json:"pollEvery"`
	// Epochs are the sets of witnesses, by number.
	// +kubebuilder:validation:MaxItems=8
	// +listType=map
	// +listMapKey=number
	// +optional
	Epochs []Epoch `json:"epochs,omitempty"`
	// Entries are the boots that are suspected or withheld.
	// +kubebuilder:validation:MaxItems=10000
	// +listType=map
	// +listMapKey=bootID
	// +optional
	Entries []RollEntry `json:"entries,omitempty"`
}

// Epoch is a numbered set of witnesses.
type Epoch struct {
	// Number is given to one set of witnesses only, within one history.
	// +kubebuilder:validation:Minimum=1
	Number int64 `json:"number"`
	// State says whether witnesses may still speak for the epoch.
	// +kubebuilder:validation:Enum=Active;Retiring
	State EpochState `json:"state"`
	// Witnesses are node names, sorted.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=99
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.isSorted()",message="sort the witnesses by name"
	// +listType=set
	Witnesses []string `json:"witnesses"`
}

// EpochState says whether witnesses may still speak for an epoch.
type EpochState string

// The states of an epoch.
const (
	EpochActive   EpochState = "Active"
	EpochRetiring EpochState = "Retiring"
)

// RollEntry holds something against one boot. Agents match it by boot ID
// alone.
type RollEntry struct {
	// Node is the node's name.
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`
	// NodeUID is the UID of the Node object.
	// +kubebuilder:validation:MaxLength=64
	NodeUID string `json:"nodeUID"`
	// BootID is the kernel's boot ID.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	BootID string `json:"bootID"`
	// Fence identifies the fence; it is never used again.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Fence string `json:"fence"`
	// State is Suspected, which asks the boot to speak, or Withheld, which
	// ends its right to run.
	// +kubebuilder:validation:Enum=Suspected;Withheld
	State string `json:"state"`
}

// RollList is a list of Rolls.
//
// +kubebuilder:object:root=true
type RollList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Roll `json:"items"`
}
