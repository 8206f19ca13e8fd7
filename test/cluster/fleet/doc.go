// Package fleet puts Picket on a test's control plane: its programs, manifests,
// policy and controllers, and on a stage an agent and a holder on each machine.
//
// It owns how they are built, configured and started. It refuses to break
// anything, and to judge: scenarios and benchmarks do.
package fleet
