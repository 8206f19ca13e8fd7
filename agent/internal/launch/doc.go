// Package launch owns how picket-holder gets onto the host: it chooses the
// watchdog, places the binary and its configuration, and starts the holder as a
// service of the host's systemd, or as a child where there is none. It takes a
// watchdog from systemd where the policy says so, and gives it back. It keeps
// systemd from ever pinging the holder's: when the host reboots, and before that
// where systemd is to pet a watchdog and has none of its own.
//
// It refuses to open, set or ping a watchdog, and to touch a holder that gates:
// one that is armed, latched or coasting is left alone whatever has changed,
// and exchanged once the node is unarmed.
package launch
