package v1alpha1

// The word and the answer by which Picket leaves a cluster.
const (
	// Uninstall is the mode that takes Picket off every host: nothing is armed,
	// nothing is fenced, and a NodeGuard's spec.unarmed is this word.
	Uninstall Mode = "Uninstall"
	// ReasonUninstalled of a NodeGuard says that the agent has stopped its watchdog
	// and has left nothing on its host.
	ReasonUninstalled = "Uninstalled"
	// ReasonHolderStays says that the node is unarmed, but that something is left
	// on its host; the message says what, and what to do.
	ReasonHolderStays = "HolderStays"
)
