package v1alpha1

// WatchdogPolicy says which watchdog guards a node. The FencingPolicy holds
// people's word; the controller copies it into every NodeGuard.
type WatchdogPolicy struct {
	// Prefer says what to take where a node has both: Hardware, which resets a
	// machine whose kernel is dead, or Softdog, a timer of the kernel. Where
	// there is none of the preferred kind, the other is taken.
	// +kubebuilder:validation:Enum=Hardware;Softdog
	// +kubebuilder:default=Hardware
	// +optional
	Prefer WatchdogPreference `json:"prefer,omitempty"`
	// Device is the kernel's name of the one device to take, such as watchdog1;
	// a node that has none of that name stays unarmed. Empty: the agent chooses.
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^(watchdog[0-9]+)?$')",message="write the kernel's name of the device, such as watchdog1, without /dev/; leave the field out to let the agent choose"
	// +optional
	Device string `json:"device,omitempty"`
	// Systemd says what happens where systemd holds the hardware watchdog
	// (RuntimeWatchdogSec): Cooperate leaves it that one and takes another
	// device, softdog in the end; TakeOver sets RuntimeWatchdogSec to 0 and
	// takes the device, which systemd gets back when Picket gives it up.
	// +kubebuilder:validation:Enum=Cooperate;TakeOver
	// +kubebuilder:default=Cooperate
	// +optional
	Systemd SystemdStance `json:"systemd,omitempty"`
	// AcceptVirtualMachines arms nodes that are virtual machines. A hypervisor
	// that pauses one stops its watchdog with it, and lets it write afterwards:
	// accept that only where nobody pauses them or migrates them live, or where
	// a storage fence covers it.
	// +optional
	AcceptVirtualMachines bool `json:"acceptVirtualMachines,omitempty"`
}

// WatchdogPreference is the kind of watchdog to take where there is a choice.
type WatchdogPreference string

// The preferences; an unknown or empty one means PreferHardware.
const (
	PreferHardware WatchdogPreference = "Hardware"
	PreferSoftdog  WatchdogPreference = "Softdog"
)

// SystemdStance is what to do about a watchdog that systemd holds.
type SystemdStance string

// The stances; an unknown or empty one means Cooperate.
const (
	Cooperate SystemdStance = "Cooperate"
	TakeOver  SystemdStance = "TakeOver"
)
