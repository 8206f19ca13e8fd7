// Package stage sets up a whole cluster for a scenario: control plane, storage,
// machines with kubelets, and the network between them.
//
// It owns the order of setting up and tearing down, the addresses, and the
// readers that scenarios ask: who writes, who is tainted since when, which boot
// runs where. Picket's own processes come from the scenario, as commands for
// each machine.
//
// It refuses to judge: a scenario says what must hold.
package stage
