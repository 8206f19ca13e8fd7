package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Timing is timing.Profile on the wire; a missing field means the profile's
// own value. The schema bounds each time alone; how they bound each other
// depends on the profile, and is checked by timing.Profile.Validate.
type Timing struct {
	// Heartbeat is how often an agent asks each neighbour for a sign of life.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 500ms or 1m30s"
	// +optional
	Heartbeat *metav1.Duration `json:"heartbeat,omitempty"`
	// Misses is after how many unanswered heartbeats a neighbour counts as lost:
	// at least 2, so that one lost packet accuses nobody.
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=100
	// +optional
	Misses *int32 `json:"misses,omitempty"`
	// RollInterval is how often an agent reads the Roll in a small cluster.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 500ms or 1m30s"
	// +optional
	RollInterval *metav1.Duration `json:"rollInterval,omitempty"`
	// RollLife is L: how old a roll may be while it lets an agent pet.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 500ms or 1m30s"
	// +optional
	RollLife *metav1.Duration `json:"rollLife,omitempty"`
	// RealTimeout bounds the real time from the last pet to the reset.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 500ms or 1m30s"
	// +optional
	RealTimeout *metav1.Duration `json:"realTimeout,omitempty"`
	// GateReads is r: how many consecutive reads of the witnesses must have shown
	// a suspicion before it may become a withholding.
	// +kubebuilder:validation:Minimum=5
	// +kubebuilder:validation:Maximum=100
	// +optional
	GateReads *int32 `json:"gateReads,omitempty"`
	// PetDelay bounds the time from the holder's check to the completed pet.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 500ms or 1m30s"
	// +optional
	PetDelay *metav1.Duration `json:"petDelay,omitempty"`
	// ResetLatency is how long after its watchdog expired a machine may still run.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 500ms or 1m30s"
	// +optional
	ResetLatency *metav1.Duration `json:"resetLatency,omitempty"`
	// Drain is how long a write that left the host may take to reach the storage.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 500ms or 1m30s"
	// +optional
	Drain *metav1.Duration `json:"drain,omitempty"`
	// RejoinGuard lies between the quarantine and the last look for life.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 500ms or 1m30s"
	// +optional
	RejoinGuard *metav1.Duration `json:"rejoinGuard,omitempty"`
	// ShutdownTimeout is the watchdog timeout under which a host shuts down.
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9.]+(ns|us|µs|ms|s|m|h))+$') && duration(self) > duration('0s') && duration(self) <= duration('24h')",message="write a time above 0 and up to 24h, such as 500ms or 1m30s"
	// +optional
	ShutdownTimeout *metav1.Duration `json:"shutdownTimeout,omitempty"`
}
