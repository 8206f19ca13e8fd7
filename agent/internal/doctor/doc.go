// Package doctor looks whether a host can be guarded: its watchdogs, its kernel,
// its service manager, and what the running agent says of its peers and API
// servers. Read collects facts, Examine judges them.
//
// Examine is pure: facts in, findings out. Read opens no watchdog, writes
// nothing, and above all never opens sysrq-trigger: it only asks whether it could
// be written. Nothing is fenced, armed or refused on what a doctor says.
package doctor
