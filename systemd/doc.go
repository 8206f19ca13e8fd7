// Package systemd owns what Picket says to systemd and hears from it, over
// go-systemd, plus what go-systemd lacks: handing file descriptors to the
// service manager's FD store.
//
// It refuses to decide anything: it carries messages. Where there is no
// systemd it says so, and its callers go on without.
package systemd
