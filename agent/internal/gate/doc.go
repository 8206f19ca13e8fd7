// Package gate holds a booting kubelet back while the fence of the node's
// previous boot is undecided. It runs as a systemd unit ordered before the
// kubelet, reads the node's own taints with the kubelet's credentials, answers an
// undecided fence by writing the new boot's ID into the Node's status, which the
// kubelet would do later, and lets go as soon as a read shows that the old pods can
// no longer be started here, or that their volumes will not be moved.
//
// Nothing rests on it: it closes a window that the rejoin guard and the last look
// before the taint are for, too (PROTOCOL.md §11). So it refuses to be a reason for
// a node to stay out: every wait is bounded, and trouble of its own lets go. Beside
// that ID it writes nothing, to the API or to the host, and that one only over a
// Node that names this machine. It does not touch the watchdog.
package gate
