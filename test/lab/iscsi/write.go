package iscsi

import "time"

// Kind says what a record is about.
type Kind string

const (
	// Command is a command that changes the medium, with the data that came in
	// the same PDU.
	Command Kind = "write"
	// Data is the end of a sequence of further data for such a command: it
	// arrives later than the command, and so may be too late where the command
	// was not.
	Data Kind = "data"
	// Sync is a command that makes earlier writes durable. It changes nothing.
	Sync Kind = "sync"
)

// A Write is one line of the log: something that a host sent, and that a
// target may have carried out.
type Write struct {
	// Seq numbers the records from 1 in the order of arrival.
	Seq uint64 `json:"seq"`
	// At is when all of the PDU had arrived, in raw monotonic time of the lab's
	// host (test/cluster/rawclock).
	At time.Duration `json:"at"`

	Kind Kind   `json:"kind"`
	Op   string `json:"op"` // as SBC names it, WRITE(10)
	// Of is the Seq of the command that Data belongs to.
	Of uint64 `json:"of,omitempty"`

	// Initiator is the name that the host logged in with. A node has the same
	// one in each boot; Conn and Opened tell boots apart.
	Initiator string `json:"initiator"`
	// Conn numbers the connections from 1, Opened is when the proxy accepted
	// it, and ISID what the initiator calls its session, in hex.
	Conn   uint64        `json:"conn"`
	Opened time.Duration `json:"opened"`
	ISID   string        `json:"isid"`

	Target string `json:"target"`
	LUN    uint16 `json:"lun"`
	LBA    uint64 `json:"lba"`
	// Blocks are the logical blocks from LBA on; 0 where the command does not
	// say (see extent).
	Blocks uint32 `json:"blocks"`
}
