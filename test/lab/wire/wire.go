// Package wire is what the lab and the program inside its virtual machines say
// to each other: one JSON message per line, over a virtio-serial port, which no
// cut of a network reaches.
//
// It owns the messages. It refuses to be fast, and to be safe against a hostile
// guest: the guest is ours.
package wire

import "time"

// Port is the name of the virtio-serial port.
const Port = "dev.picket.lab"

// Limit is the largest number of bytes of output that a Reply carries of each
// stream; what was written before that is dropped.
const Limit = 1 << 20

// Request asks the guest to run a command.
type Request struct {
	// ID comes back in the Reply.
	ID uint64 `json:"id"`
	// Command is a script for sh.
	Command string `json:"command"`
	// Stdin is what the script reads.
	Stdin []byte `json:"stdin,omitempty"`
	// Timeout ends the script and all that it started.
	Timeout time.Duration `json:"timeout"`
}

// Reply is what came of a Request, or, without ID, the guest's greeting.
type Reply struct {
	ID uint64 `json:"id,omitempty"`
	// Boot is the boot ID of the guest's kernel, in every message.
	Boot string `json:"boot"`
	// Exit is the script's exit code; -1 if a signal or the timeout ended it.
	Exit int `json:"exit"`
	// Out and Err are what the script wrote.
	Out []byte `json:"out,omitempty"`
	Err []byte `json:"err,omitempty"`
}
