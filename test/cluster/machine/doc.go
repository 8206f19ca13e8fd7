// Package machine simulates the hardware of a bare-metal node: power, boots,
// the watchdog and a file system that the node's processes take for their
// host's.
//
// It owns the node's holder and agent, which are real processes in one process
// group, and tells the stub kubelet and the node's links when power comes and
// goes. It plays the watchdog device: the holder's test device writes what it
// would tell the hardware into a file, and the machine resets itself when the
// dog has not been pinged for κ·T. It plays systemd too, in that the device
// stays open when the holder dies: a killed holder neither pings nor closes.
//
// It refuses to touch this computer's own watchdog, /proc or /sys: every path
// lies below the machine's directory.
package machine
