// Package plan is the controller's core: rules C1 to C12 of PROTOCOL.md. The
// world as the controller knows it goes in, actions come out: every write with
// the version that it was decided upon.
//
// It is pure. One goroutine owns a Core; an adapter executes its actions and
// brings back what it read. What a Core remembers beyond the world is only what
// a new leader must find out again by itself: gates, acknowledgements, and the
// instants from which waits run.
//
// It refuses to taint a node on anything but a completed wait or a proof.
package plan
