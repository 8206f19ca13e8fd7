// Package world is a cluster that lives in virtual time: machines with their
// disks, watchdogs, holders and kubelets, a network, an API server, and people
// who do silly things. Its agents and controllers are the real cores,
// agent/decide and controller/plan, and its holders the real machine of
// picket-holder; only their adapters are played here.
//
// All of it follows from one number, the seed. The judge sees what nobody in
// the world can see, and holds PROTOCOL.md's two promises against it: no write
// after the taint (P1), no needless reset (P2); and at the end, when all faults
// are over, that everything came to its end (live).
//
// It refuses to be kinder than PROTOCOL.md's assumptions, and to be crueller.
package world
