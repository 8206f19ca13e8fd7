// Package hold owns what agent and holder agree on: the messages between them
// with their codec, the client that the agent calls, the configuration of the
// holder, the marker that it leaves for its successor, and the Machine that
// decides when the device may be pinged.
//
// The Machine is pure: calls and instants in, one action at a time out. It
// does no I/O, starts no goroutine and reads no clock; picket-holder carries
// its actions out.
//
// The package refuses to know why a deadline was granted: rolls, witnesses and
// the API are the agent's business. The holder enforces one number, petUntil.
package hold
