// Package daemon runs the agent: it owns the goroutine in which agent/decide
// lives, brings it events from the API, the peers, the holder and the links,
// and carries out its verdicts.
//
// Beside it a steward looks after the node's volumes: it says what the node has,
// and after a fence rids it of what has moved. The core waits for nothing of that.
//
// It decides nothing about safety itself. What a verdict wants to be remembered
// is stored before anything else of that verdict is done.
package daemon
