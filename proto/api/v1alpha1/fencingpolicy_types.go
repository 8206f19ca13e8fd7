package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PolicyName is the name of the one FencingPolicy.
const PolicyName = "default"

// FencingPolicy is what people decide about fencing. There is one, named
// "default"; without it the defaults below hold.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=fp
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Profile",type=string,JSONPath=`.spec.profile`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Paused",type=string,JSONPath=`.spec.pause.reason`
// +kubebuilder:printcolumn:name="Until",type=string,JSONPath=`.spec.pause.until`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name == 'default'",message="there is one FencingPolicy, and its name is default: rename it"
type FencingPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec is what people decide.
	// +kubebuilder:default={}
	// +optional
	Spec FencingPolicySpec `json:"spec,omitempty"`
	// Status is what the controller makes of it.
	// +optional
	Status FencingPolicyStatus `json:"status,omitempty"`
}

// FencingPolicySpec is the policy.
type FencingPolicySpec struct {
	// Mode is Enforce, or Observe: watch and report, arm nothing, fence nothing; or
	// Uninstall: the same, and agents take everything off their hosts.
	// +kubebuilder:validation:Enum=Enforce;Observe;Uninstall
	// +kubebuilder:default=Enforce
	// +optional
	Mode Mode `json:"mode,omitempty"`
	// Pause stops new fences; running ones finish.
	// +optional
	Pause *Pause `json:"pause,omitempty"`
	// Profile is standard, fast or patient.
	// +kubebuilder:validation:Enum=standard;fast;patient
	// +kubebuilder:default=standard
	// +optional
	Profile string `json:"profile,omitempty"`
	// Overrides replace single times of the profile. The result must hold all
	// inequalities of the protocol, or the controller keeps the last good one
	// and says which inequality fails.
	// +optional
	Overrides Timing `json:"overrides,omitempty"`
	// Storm limits how much Picket itself may take away at once.
	// +optional
	Storm Storm `json:"storm,omitempty"`
	// Triggers say what makes Picket fence beside lost peers.
	// +optional
	Triggers Triggers `json:"triggers,omitempty"`
	// Pods says what happens to the pods of a fenced node.
	// +optional
	Pods PodPolicy `json:"pods,omitempty"`
	// Watchdog says which watchdog guards a node.
	// +optional
	Watchdog WatchdogPolicy `json:"watchdog,omitempty"`
	// Rejoin says what becomes of a node whose boot was fenced to the end and still
	// runs. Reset resets it at once. Clean first cuts off and tears down what it
	// has of volumes that have moved, and resets it where that cannot be done or
	// proven; either way its quarantine stays until it boots anew.
	// +kubebuilder:validation:Enum=Reset;Clean
	// +kubebuilder:default=Reset
	// +optional
	Rejoin Rejoin `json:"rejoin,omitempty"`
	// AcceptTwoNodes arms clusters of fewer than three nodes, in which every
	// API outage that also cuts the peers resets nodes.
	// +optional
	AcceptTwoNodes bool `json:"acceptTwoNodes,omitempty"`
	// RequireVerified fences on time only nodes whose watchdog passed a
	// self-test.
	// +optional
	RequireVerified bool `json:"requireVerified,omitempty"`
	// ResumeHistory names the Roll's history after it was broken: a human's
	// word that fencing may go on.
	// +optional
	ResumeHistory string `json:"resumeHistory,omitempty"`
}

// Mode is whether Picket acts.
type Mode string

// The modes.
const (
	Enforce Mode = "Enforce"
	Observe Mode = "Observe"
)

// Rejoin is what becomes of a node whose fenced boot still runs.
type Rejoin string

// The ways of a rejoin. What is not RejoinClean is a reset.
const (
	RejoinReset Rejoin = "Reset"
	RejoinClean Rejoin = "Clean"
)

// Pause stops new fences for a while.
type Pause struct {
	// Reason says why, for whoever finds fencing paused.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason"`
	// Until ends the pause; without it a human must.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}

// Storm is the storm guard.
type Storm struct {
	// MaxWithheldPercent is the largest part of the nodes that may be withheld
	// and not yet detached at once; one is always allowed.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=49
	// +optional
	MaxWithheldPercent *int32 `json:"maxWithheldPercent,omitempty"`
}

// Triggers say what makes Picket fence beside lost peers.
type Triggers struct {
	// NotReadyAfter fences a node whose kubelet has been NotReady for so long
	// although its agent answers (rule C2). Off if missing.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 5m; leave the field out to switch the trigger off"
	// +optional
	NotReadyAfter *metav1.Duration `json:"notReadyAfter,omitempty"`
}

// PodPolicy says what happens to the pods of a fenced node.
type PodPolicy struct {
	// KeepReady leaves the pods' Ready condition alone while the wait runs.
	// +optional
	KeepReady bool `json:"keepReady,omitempty"`
}

// FencingPolicyStatus is the controller's answer to the policy.
type FencingPolicyStatus struct {
	// Conditions holds Accepted: whether the spec of observedGeneration is in
	// force, or why an older one still is.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConditionAccepted of a FencingPolicy is false while the controller keeps the
// last good policy because this one breaks an inequality, which it names.
const ConditionAccepted = "Accepted"

// FencingPolicyList is a list of FencingPolicies.
//
// +kubebuilder:object:root=true
type FencingPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []FencingPolicy `json:"items"`
}
