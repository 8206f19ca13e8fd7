// Package view says what picket-agent shows to people of the agent's one status
// message: how the node stands, its links, what they add up to, and why it
// decided as it did.
//
// It asks nobody and reads no clock; every field comes from that message, and
// proto/screen lays it out. It refuses to judge safety: what it calls degraded is
// for people and exit codes, and nothing is fenced on it.
package view
