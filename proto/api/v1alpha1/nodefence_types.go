package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeFence is one attempt to prove that one boot of a node cannot write any
// more, and what followed from it. Picket makes them on its own; people and
// medik8s' node-healthcheck-operator make them to ask for a fence.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=nf
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Deadline",type=string,JSONPath=`.status.deadline`
// +kubebuilder:printcolumn:name="Waits for",type=string,JSONPath=`.status.waitsFor`
// +kubebuilder:printcolumn:name="Boot",type=string,JSONPath=`.status.bootID`,priority=1
// +kubebuilder:printcolumn:name="Requester",type=string,JSONPath=`.spec.requester`,priority=1
// +kubebuilder:printcolumn:name="Blockers",type=string,JSONPath=`.status.blockers`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeFence struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is the question.
	// +kubebuilder:default={}
	// +optional
	Spec NodeFenceSpec `json:"spec,omitempty"`
	// Status is how far the answer has come.
	// +optional
	Status NodeFenceStatus `json:"status,omitempty"`
}

// NodeFenceSpec says which node to fence and why.
//
// +kubebuilder:validation:XValidation:rule="has(self.node) == has(oldSelf.node) && (!has(self.node) || self.node == oldSelf.node)",message="a fence cannot change its node: make a new NodeFence"
type NodeFenceSpec struct {
	// Node is the node's name. Empty means the name of this object, or the
	// annotation remediation.medik8s.io/node-name.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Node string `json:"node,omitempty"`
	// Reason is one CamelCase word: PeersLost, KubeletSilent, Requested.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	Reason string `json:"reason,omitempty"`
	// Requester says who asked.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Requester string `json:"requester,omitempty"`
	// Proof is somebody's word that the boot is dead; the wait ends at once. To
	// set it takes the RBAC verb "prove" on nodefences.
	// +optional
	Proof *Proof `json:"proof,omitempty"`
}

// Reasons of a NodeFence.
const (
	ReasonPeersLost     = "PeersLost"
	ReasonKubeletSilent = "KubeletSilent"
	ReasonRequested     = "Requested"
)

// Proof is positive evidence from outside that a boot cannot write any more.
type Proof struct {
	// BootID is the boot that is proven dead; it must be the fenced one.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	BootID string `json:"bootID"`
	// Kind says what was seen.
	// +kubebuilder:validation:Enum=Confirmed;PowerOff;InstanceGone;StorageFenced
	Kind string `json:"kind"`
	// By says who saw it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	By string `json:"by"`
}

// NodeFencePhase is how far a fence has come.
type NodeFencePhase string

// The phases of a NodeFence, in order; Refuted and Blocked are side exits.
const (
	FencePending   NodeFencePhase = "Pending"
	FenceSuspected NodeFencePhase = "Suspected"
	FenceRefuted   NodeFencePhase = "Refuted"
	FenceWithheld  NodeFencePhase = "Withheld"
	FenceFenced    NodeFencePhase = "Fenced"
	FenceDetached  NodeFencePhase = "Detached"
	FenceRecovered NodeFencePhase = "Recovered"
	FenceBlocked   NodeFencePhase = "Blocked"
)

// NodeFenceStatus is the controller's account of a fence.
type NodeFenceStatus struct {
	// Node and the fields after it name the boot that is fenced.
	// +optional
	Node string `json:"node,omitempty"`
	// +optional
	NodeUID string `json:"nodeUID,omitempty"`
	// +optional
	BootID string `json:"bootID,omitempty"`
	// +optional
	MachineID string `json:"machineID,omitempty"`
	// +optional
	SystemUUID string `json:"systemUUID,omitempty"`
	// Fence is the ID under which the Roll lists this fence.
	// +optional
	Fence string `json:"fence,omitempty"`
	// +optional
	Phase NodeFencePhase `json:"phase,omitempty"`
	// WaitsFor says what must happen next, with the rule's number.
	// +optional
	WaitsFor string `json:"waitsFor,omitempty"`
	// Deadline is when the wait is expected to end, by the controller's wall
	// clock: for people; the wait itself runs on a raw clock.
	// +optional
	Deadline *metav1.Time `json:"deadline,omitempty"`
	// Acknowledged lists the witnesses that have acknowledged the withholding.
	// +listType=set
	// +optional
	Acknowledged []string `json:"acknowledged,omitempty"`
	// Blockers name what keeps the fence from going on.
	// +listType=atomic
	// +optional
	Blockers []string `json:"blockers,omitempty"`
	// Timeline lists each step and when it happened.
	// +listType=atomic
	// +optional
	Timeline []Step `json:"timeline,omitempty"`
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Step is one entry of a fence's timeline.
type Step struct {
	// At is the controller's wall clock: for people.
	At metav1.MicroTime `json:"at"`
	// Rule is the number of the rule that was followed, such as C5.
	Rule string `json:"rule"`
	// What happened, in words.
	What string `json:"what"`
}

// Conditions of a NodeFence. Processing and Succeeded are the contract with
// medik8s' node-healthcheck-operator.
const (
	ConditionProcessing    = "Processing"
	ConditionSucceeded     = "Succeeded"
	ConditionQuorumBlocked = "QuorumBlocked"
)

// NodeFenceList is a list of NodeFences.
//
// +kubebuilder:object:root=true
type NodeFenceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeFence `json:"items"`
}

// NodeFenceTemplate is what medik8s' node-healthcheck-operator copies a
// NodeFence from.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,shortName=nft
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.template.spec.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeFenceTemplate struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec holds the template.
	Spec NodeFenceTemplateSpec `json:"spec"`
}

// NodeFenceTemplateSpec wraps the template.
type NodeFenceTemplateSpec struct {
	// Template is what each new NodeFence starts from.
	Template NodeFenceTemplateResource `json:"template"`
}

// NodeFenceTemplateResource holds the spec that a new NodeFence gets.
//
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.node) && !has(self.spec.proof)",message="a template names no node and proves nothing: remove node and proof, whoever makes a NodeFence from it adds the node"
type NodeFenceTemplateResource struct {
	// Spec is copied as it is; it may be empty.
	// +optional
	Spec NodeFenceSpec `json:"spec,omitempty"`
}

// NodeFenceTemplateList is a list of NodeFenceTemplates.
//
// +kubebuilder:object:root=true
type NodeFenceTemplateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeFenceTemplate `json:"items"`
}
