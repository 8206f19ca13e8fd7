// Package proc runs the child processes of a cluster test: the control plane
// and the agents and holders of the simulated machines.
//
// It owns three guarantees. Every child can be ended together with all that it
// started, because it leads or joins a process group. No child outlives the
// test, even one that panics or is killed. And the output of each child is in
// a file of its own.
//
// It refuses to end anything by name: only groups that it started itself.
package proc
