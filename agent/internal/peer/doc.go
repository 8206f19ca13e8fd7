// Package peer owns the connections between agents: this boot's key, the pins
// of the other agents' keys, the server that answers heartbeats and statements,
// and the client that asks for them.
//
// It decides nothing: it reports each answer with the instant at which its
// question was sent, and leaves to the core what the answer is worth. It
// refuses to stamp evidence at its receipt, to talk to a key that is not
// pinned, and to answer a heartbeat of a node that is not among the callers.
package peer
