// Package vm runs one of the lab's machines: a QEMU process with a watchdog,
// two network cards and a disk that survives power cuts.
//
// It owns the power switch, the record of every power-up and reset, and a way to
// run commands inside that no cut of a network reaches. It refuses to know what
// runs in there.
package vm
