// Package clock reads the two clocks of this host that count for fencing. It
// is the one place where agent and holder learn the time of a deadline.
//
// It refuses to read the wall clock, which steps, and CLOCK_MONOTONIC, which a
// time daemon slews by up to 10 %.
package clock
