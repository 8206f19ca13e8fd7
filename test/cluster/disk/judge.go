package disk

import (
	"fmt"
	"time"
)

// Fence says that a boot was fenced: its node carried the out-of-service taint
// from Tainted on, in raw monotonic time.
type Fence struct {
	Node    string
	Boot    string
	Tainted time.Duration
}

// Violation is a write that must not be.
type Violation struct {
	Volume string
	Run    Run
	Why    string
}

// String is for test failures.
func (v Violation) String() string {
	return fmt.Sprintf("volume %s: pod %s on %s (boot %s) wrote %d times, %.3f s to %.3f s: %s",
		v.Volume, v.Run.Pod, v.Run.Node, v.Run.Boot, v.Run.Count,
		v.Run.First.Seconds(), v.Run.Last.Seconds(), v.Why)
}

// Judge looks for second writers on all disks: by TwoWriters, and by
// AfterTaint for each fence.
func (d *Disks) Judge(fences ...Fence) []Violation {
	var found []Violation
	for _, volume := range d.Volumes() {
		runs := d.Runs(volume)
		found = append(found, TwoWriters(volume, runs)...)
		for _, f := range fences {
			found = append(found, AfterTaint(volume, runs, f)...)
		}
	}
	return found
}

// TwoWriters finds writers that wrote again after another one had: a volume
// that moves never comes back to the same run of a pod. A pod that moves in
// order, and later returns to a node that did not reboot, returns as a new
// pod.
func TwoWriters(volume string, runs []Run) []Violation {
	var found []Violation
	seen := make(map[Writer]bool)
	for _, r := range runs {
		if seen[r.Writer] {
			found = append(found, Violation{volume, r, "another writer had taken the volume over"})
		}
		seen[r.Writer] = true
	}
	return found
}

// AfterTaint finds writes of a fenced boot after its out-of-service taint.
func AfterTaint(volume string, runs []Run, f Fence) []Violation {
	var found []Violation
	for _, r := range runs {
		if r.Node == f.Node && r.Boot == f.Boot && r.Last > f.Tainted {
			why := fmt.Sprintf("its boot was fenced, and tainted at %.3f s", f.Tainted.Seconds())
			found = append(found, Violation{volume, r, why})
		}
	}
	return found
}
