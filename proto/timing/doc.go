// Package timing owns Picket's time arithmetic: instants on clocks that neither
// step nor slew, the timing profile, and the wait W after which a withheld boot
// provably cannot write. PROTOCOL.md §5 holds the argument for each term.
//
// It is pure: it reads no clock, and refuses to guess a value that a node did
// not promise.
package timing
