// Package clock reads the two clocks of this host on which the controller
// waits. The agent has its own copy: the two share types, and no code that
// touches a host.
//
// It refuses to read the wall clock, which steps, and CLOCK_MONOTONIC, which a
// time daemon slews by up to 10 %.
package clock
