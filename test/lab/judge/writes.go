package judge

import (
	"fmt"
	"time"

	"github.com/picket-dev/picket/test/lab/iscsi"
)

// A claim is by what right somebody uses a volume: the newest permit of its
// node, and within the node the newest boot.
type claim struct {
	permit time.Duration
	boot   time.Duration // its begin
	who    string
}

// stronger reports whether c takes the volume over from d.
func (c claim) stronger(d claim) bool {
	return c.permit > d.permit || c.permit == d.permit && c.boot > d.boot
}

// A guilt is a series of guilty writes of one connection for one reason.
type guilt struct {
	node, boot  string
	why         string
	first, last iscsi.Write
	count       int
}

// judgeWrites looks for second writers. A write is guilty
//
//   - if its node was fenced before, unless a new permit came after the taint,
//     and that not for a connection of the fenced boot from before the permit;
//   - if somebody with a stronger claim wrote to the volume before: a node that
//     was permitted later, or a later boot of the same node;
//   - if there is no permit for it, or nobody knows whose it is.
func (e *Evidence) judgeWrites(v *Verdict) {
	owners := make(map[uint16]claim)
	var guilty []*guilt
	open := make(map[string]*guilt)
	judged := make(map[uint64]bool) // commands found guilty: their data is no second write
	for _, w := range e.Writes {
		if w.Kind == iscsi.Sync {
			continue
		}
		node, boot, why := e.judgeWrite(w, owners)
		if why == "" || w.At < e.Since || judged[w.Of] {
			continue
		}
		judged[w.Seq] = true
		v.TwoWriters++
		if f, fenced := e.fence(node, w.At); fenced && f.Boot == boot {
			v.Late++
		}
		key := fmt.Sprint(w.Conn, w.LUN, why)
		g := open[key]
		if g == nil {
			g = &guilt{node: node, boot: boot, why: why, first: w}
			open[key] = g
			guilty = append(guilty, g)
		}
		g.last, g.count = w, g.count+1
	}
	for _, g := range guilty {
		v.find(TwoWriters, "%s (boot %s) wrote %d times to LUN %d, from %s (%s of %d blocks at %d) to %s: %s",
			g.node, g.boot, g.count, g.first.LUN, e.when(g.first.At), g.first.Op, g.first.Blocks, g.first.LBA, e.when(g.last.At), g.why)
	}
}

// judgeWrite says whose a write is and why it is guilty, empty if it is not,
// and keeps account of who owns each volume.
func (e *Evidence) judgeWrite(w iscsi.Write, owners map[uint16]claim) (node, boot, why string) {
	node = e.Nodes[w.Initiator]
	if node == "" {
		return w.Initiator, "unknown", "no node has this initiator"
	}
	b, ok := e.boot(node, w.Opened)
	if !ok {
		return node, "unknown", fmt.Sprintf("no boot of the node ran when its connection was opened, at %s", e.when(w.Opened))
	}
	permit, permitted := e.permit(node, w.LUN, w.At)
	if f, fenced := e.fence(node, w.At); fenced && e.Retained[w.LUN] != node {
		switch {
		case b.ID == f.Boot && (permit < f.Tainted || w.Opened < permit):
			return node, b.ID, fmt.Sprintf("this boot was fenced, and tainted at %s", e.when(f.Tainted))
		case permit < f.Tainted:
			return node, b.ID, fmt.Sprintf("boot %s of the node was fenced, and tainted at %s; nothing was bound to it since", f.Boot, e.when(f.Tainted))
		}
	}
	if !permitted {
		return node, b.ID, "no pod with this volume was bound to the node"
	}
	mine := claim{permit, b.Begin, fmt.Sprintf("%s (boot %s)", node, b.ID)}
	if owner := owners[w.LUN]; owner.stronger(mine) {
		return node, b.ID, fmt.Sprintf("%s had taken the volume over", owner.who)
	}
	owners[w.LUN] = mine
	return node, b.ID, ""
}

// judgeVolumes finds volumes that nobody wrote to: a log that is silent where
// there must be writes has not seen the others either.
func (e *Evidence) judgeVolumes(v *Verdict) {
	for _, lun := range e.Volumes {
		seen := false
		for _, w := range e.Writes {
			seen = seen || w.LUN == lun && w.Kind != iscsi.Sync && w.At >= e.Since
		}
		if !seen {
			v.find(Blind, "no write to LUN %d is in the log", lun)
		}
	}
}
