// Package cli is what picket-agent shows on its own node: status, peers, why,
// watchdog. It asks the running agent over its admin socket and renders the
// answer; only the list of watchdogs it reads from the host itself.
//
// It refuses to judge: phases, reasons, choices and what happens next are the
// agent's words, or those of the packages that the agent decides by.
package cli
