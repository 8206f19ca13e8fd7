// Package launch owns how picket-holder gets onto the host: it chooses the
// watchdog, places the binary and its configuration, and starts the holder as a
// service of the host's systemd, or as a child where there is none. It takes a
// watchdog from systemd where the policy says so, and gives it back. It keeps
// systemd from pinging the holder's: any when the host reboots, and while that
// runs all, where systemd is to pet one and has none.
//
// It refuses to open, set or ping a watchdog, and to touch a holder that gates:
// one that is armed, latched or coasting is left alone whatever has changed,
// and exchanged once the node is unarmed.
package launch
