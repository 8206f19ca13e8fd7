// Package hostile attacks an agent's port: with what is no TLS, TLS of other
// versions, what is no HTTP/2, requests that are no messages or too large, and
// connections that are never finished, by strangers and under a neighbour's key.
//
// It owns the attack alone, bounds it in number and time, and counts it. It refuses
// to judge what became of the agent, and to reach anything but loopback.
package hostile
