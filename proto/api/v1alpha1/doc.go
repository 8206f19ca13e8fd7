// Package v1alpha1 holds the Kubernetes types of the group picket.dev: what the
// controller and the agents tell each other through the API server, and what
// people read and write. DESIGN: every object is cluster-scoped, has printer
// columns and is validated by its schema.
//
// The package converts between these types and the pure ones of proto/roll and
// proto/timing. It refuses to convert what does not validate.
//
// +kubebuilder:object:generate=true
// +groupName=picket.dev
package v1alpha1
