// Package host owns what an agent knows of its own machine and keeps on it:
// who the machine is, whether it may be fenced on time at all, the budget of
// reboots, and the memory of the newest Roll that a restarted agent needs.
//
// Everything lies below one configured root. It refuses to guess: an identity
// that is a vendor's placeholder is none, and what cannot be read keeps the
// node unarmed (A12) rather than armed. It never touches the watchdog.
package host
