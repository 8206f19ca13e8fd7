package judge

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/test/lab/iscsi"
	"github.com/picket-dev/picket/test/lab/workload"
)

// Evidence is all that a scenario left behind. It may begin earlier, with what
// earlier scenarios left: what happened before Since explains, and is not
// judged again.
type Evidence struct {
	Since time.Duration

	// Writes is the storage's log, in its order.
	Writes []iscsi.Write
	// Nodes names the node of each initiator.
	Nodes map[string]string
	// Volumes are the LUNs that somebody must have written to since Since.
	Volumes []uint16
	// Retained are the volumes that stay where they are when their node is
	// fenced, with that node: their pod is told to stay.
	Retained map[uint16]string

	Boots   []Boot
	Fences  []Fence
	Permits []Permit

	// Tenures are what the collector heard of the workload.
	Tenures []workload.Tenure
	// Records are what the workload's file holds in the end; nil where nobody
	// looked.
	Records []workload.Record
}

// A Boot is one run of a node's kernel.
type Boot struct {
	Node string
	ID   string // empty where it never spoke
	// Begin is when the machine was switched on or reset into this boot, End
	// when it was cut off or reset out of it; 0 while it runs.
	Begin, End time.Duration
	// Cause is why it ended, in words.
	Cause string
	// Doomed is set where the scenario asked for the end, or for what must lead
	// to it.
	Doomed bool
}

// A Fence says since when a node carried the out-of-service taint by which a
// boot of it was fenced.
type Fence struct {
	Node    string
	Boot    string
	Tainted time.Duration
}

// A Permit says since when Kubernetes allowed a node to use a volume: since a
// pod with it was bound there. It is withdrawn by a fence, and by the permit
// of another node as soon as that one uses it.
type Permit struct {
	Node string
	LUN  uint16
	From time.Duration
}

// boot finds the boot that opened a connection.
func (e *Evidence) boot(node string, opened time.Duration) (Boot, bool) {
	at := slices.IndexFunc(e.Boots, func(b Boot) bool {
		return b.Node == node && b.Begin <= opened && (b.End == 0 || opened < b.End)
	})
	if at < 0 {
		return Boot{}, false
	}
	return e.Boots[at], true
}

// fence finds the newest fence of a node whose taint a write came after.
func (e *Evidence) fence(node string, at time.Duration) (Fence, bool) {
	var newest Fence
	for _, f := range e.Fences {
		if f.Node == node && f.Tainted < at && f.Tainted >= newest.Tainted {
			newest = f
		}
	}
	return newest, newest.Node != ""
}

// permit finds since when a node is allowed to use a volume, at a moment; the
// newest permit counts.
func (e *Evidence) permit(node string, lun uint16, at time.Duration) (time.Duration, bool) {
	newest, found := time.Duration(0), false
	for _, p := range e.Permits {
		if p.Node == node && p.LUN == lun && p.From <= at && (!found || p.From > newest) {
			newest, found = p.From, true
		}
	}
	return newest, found
}
