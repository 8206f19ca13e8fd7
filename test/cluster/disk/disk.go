// Package disk plays the block storage of a cluster test: one log per volume
// of who wrote to it, in arrival order, and the judges that look for a second
// writer.
//
// It refuses nothing that is written to it, exactly as RBD or iSCSI without a
// storage fence: what keeps two writers apart is what the test tests.
package disk

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// Writer is who writes: one run of a pod, on one boot of a node.
type Writer struct {
	Node string
	Boot string // boot ID
	Pod  string // UID
}

// Run is an unbroken series of writes of one writer.
type Run struct {
	Writer
	Count       int64
	First, Last time.Duration // raw monotonic time
}

// Disks are all volumes of a cluster.
type Disks struct {
	mu   sync.Mutex
	runs map[string][]Run
}

// New returns empty disks.
func New() *Disks { return &Disks{runs: make(map[string][]Run)} }

// Write records one write to a volume, which exists from its first write on.
func (d *Disks) Write(volume string, w Writer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := rawclock.Now() // under the lock: times are in arrival order
	runs := d.runs[volume]
	if n := len(runs); n > 0 && runs[n-1].Writer == w {
		runs[n-1].Count++
		runs[n-1].Last = now
		return
	}
	d.runs[volume] = append(runs, Run{Writer: w, Count: 1, First: now, Last: now})
}

// Runs returns the log of a volume, oldest first.
func (d *Disks) Runs(volume string) []Run {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.runs[volume])
}

// Volumes returns the names of all volumes that were written to, sorted.
func (d *Disks) Volumes() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.runs))
}

// Writes returns how many writes all volumes have seen.
func (d *Disks) Writes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var n int64
	for _, runs := range d.runs {
		for _, r := range runs {
			n += r.Count
		}
	}
	return n
}

// LastWriter returns who wrote to a volume last, and when; false for a volume
// without writes.
func (d *Disks) LastWriter(volume string) (Run, bool) {
	runs := d.Runs(volume)
	if len(runs) == 0 {
		return Run{}, false
	}
	return runs[len(runs)-1], true
}
