// Package decide is the agent's core: rules A1 to A14 of PROTOCOL.md. Events
// and instants go in, a verdict comes out; until when the watchdog may be
// petted, what the NodeGuard must say, whom to ask.
//
// It is pure. One goroutine owns a Core; adapters bring it events and carry
// out its verdicts. It refuses to extend a deadline on anything but a roll,
// and to become harder to fence before the API server has acknowledged that.
package decide
