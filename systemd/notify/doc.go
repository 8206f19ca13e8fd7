// Package notify owns what a service says to the service manager that started
// it: that it is ready, and which descriptors to keep for its successor. The
// first goes over go-systemd, the second is what go-systemd lacks.
//
// It refuses to know D-Bus: picket-holder links it, and must stay small enough
// to be locked in memory as a whole.
package notify
