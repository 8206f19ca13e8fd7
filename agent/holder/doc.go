// Command picket-holder keeps the node's watchdog from firing while the agent
// says so, and resets the node as soon as it must not live any longer.
//
// It owns the device, the sysrq file and the marker, and carries out what
// hold.Machine decides. One locked thread does all of that: it waits in one
// poll for the next deadline, the agent's socket and signals, so no other
// thread has to run for a pet or a reset. Between the check of the deadline and
// the ping there is no log, no file and no allocation.
//
// It refuses to talk to the API or to peers, to judge evidence, and to touch a
// device about which it cannot tell whose it is.
package main
