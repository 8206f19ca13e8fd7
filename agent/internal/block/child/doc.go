// Package child does one piece of work in a process of its own, with a bound.
//
// A system call below a dead mount, or on a device whose storage is gone, can
// sleep where no signal reaches it. A timeout in the same process is an
// illusion then: the thread stays, and exec's own wait comes back when the
// child does. So the work runs in a disposable child, the agent's own binary
// anew; one that does not die of SIGKILL is abandoned, counted, and never
// waited for by a caller.
//
// It refuses to start more children once too many are stuck, and to know what
// the work is.
package child
