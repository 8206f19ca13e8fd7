// Package swarm runs hundreds of agents in one process, to see what all of them
// together ask of the API.
//
// Real are the agents' cores, their clock, their reads of the Roll, their
// NodeGuard watches and their status writes, with a ServiceAccount's token bound
// to each Node. Simulated are the holders, which obey at once, and the network
// between agents: a heartbeat takes the neighbour's best roll with its age, a
// question to a witness its memory, both without delay or loss.
//
// It refuses to measure: whoever runs a swarm counts at the proxy.
package swarm
