// Package gate holds a booting kubelet back while the fence of the node's
// previous boot is undecided. It runs as a systemd unit ordered before the
// kubelet, reads the node's own taints with the kubelet's credentials, and lets
// go as soon as they say that the old pods can no longer be started here.
//
// Nothing rests on it: it closes a window that the rejoin guard and the last look
// before the taint are for, too (PROTOCOL.md §11). So it refuses to be a reason for
// a node to stay out: every wait is bounded, trouble of its own lets go, and it
// writes nothing, neither to the API nor to the host. It does not touch the
// watchdog.
package gate
