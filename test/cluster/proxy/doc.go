// Package proxy puts faults between the processes of a cluster test: API is an
// HTTP reverse proxy in front of the API server, one per node and one per
// controller; Mesh forwards the agents' TCP connections to each other.
//
// It owns what a network owns: which bytes arrive, when, and in which
// direction. A cut link loses nothing that TCP would not lose: bytes wait, as
// in the sender's retransmission queue, and arrive once the link is healed; a
// machine without power neither sends a FIN nor answers with a reset.
//
// It refuses to understand what it forwards between agents, whose TLS it could
// not read; only the API proxy ends TLS, with a certificate of the cluster's
// CA, because scenarios must answer, count and hold single requests.
package proxy
