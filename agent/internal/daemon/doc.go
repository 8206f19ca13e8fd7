// Package daemon runs the agent: it owns the goroutine in which agent/decide
// lives, brings it events from the API, the peers, the holder and the links,
// and carries out its verdicts.
//
// It decides nothing about safety itself. What a verdict wants to be remembered
// is stored before anything else of that verdict is done.
package daemon
