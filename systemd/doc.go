// Package systemd owns what Picket asks of the host's service manager and of
// logind, over D-Bus: the transient service of the holder, the manager's own
// watchdogs and the drop-in that takes them from it, the state of the system,
// the unit of the gate, and the inhibitors that make a shutdown wait and forbid
// sleep. It goes over go-systemd, and over godbus for what go-systemd lacks:
// writing a property, and a bus at a path of one's own.
//
// It refuses to decide anything: it carries messages. Every socket comes from
// its caller, so that no test reaches the manager of the machine that it runs
// on. Where there is no systemd it says so, and its callers go on without. What
// a service says to the manager that started it is package notify.
package systemd
