// Package cli is what picket-agent shows on its own node: status, peers, matrix,
// why, top, devices, watchdog, doctor and the support bundle; and the two things that
// people have an agent do, the watchdog's self-test and a new key. It asks the running
// agent over its admin socket, once for each screen, and package view says what to show
// of the answer; only the list of watchdogs, what the doctor looks at, and what a
// support bundle adds, it reads from the host itself. What it shows needs no API server.
//
// It refuses to judge: phases, reasons, choices and what happens next are the
// agent's words, or those of the packages that the agent decides by.
package cli
