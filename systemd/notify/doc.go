// Package notify owns what a service says to the service manager that started
// it: that it is ready, what it does, and which descriptors to keep for its
// successor. The first goes over go-systemd, the others never block.
//
// It refuses to know D-Bus: picket-holder links it, and must stay small enough
// to be locked in memory as a whole.
package notify
