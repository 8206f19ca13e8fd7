// Package bench measures Picket against its budgets: API reads of a fleet,
// memory and CPU of agent and holder, the worst delay of a pet. Each benchmark
// prints RESULT lines and fails if a budget is broken.
//
// It owns the budgets' numbers. It refuses to need root, to leave the loopback
// interface, and to let anything run on after it.
package bench
