// Package cli is what picket-agent shows on its own node: status, peers, why.
// It asks the running agent over its admin socket and renders the answer.
//
// It refuses to judge: phases, reasons and what happens next are the agent's
// words.
package cli
