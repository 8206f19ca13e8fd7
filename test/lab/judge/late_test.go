package judge

import (
	"testing"

	"github.com/picket-dev/picket/test/lab/iscsi"
)

// A node that runs on after its fence: what it writes is late, but for the volume
// of a pod that stays.
func TestLateWrites(t *testing.T) {
	e := story()
	e.Boots = []Boot{{Node: "worker-1", ID: "a1", Begin: 1 * s}, {Node: "worker-2", ID: "b1", Begin: 1 * s}}
	stays := func(at float64) (w iscsi.Write) { w = old(at); w.LUN = 2; return w }
	e.Permits = append(e.Permits, Permit{"worker-1", 2, 4 * s})
	e.Writes = writes(old(6), stays(7), young(35), old(40), old(41), stays(42))
	for _, test := range []struct {
		name     string
		retained map[uint16]string
		late     int
	}{
		{"nobody stays", nil, 3},
		{"the volume's pod stays", map[uint16]string{2: "worker-1"}, 2},
		{"it stays elsewhere", map[uint16]string{2: "worker-2"}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			e.Retained = test.retained
			v := Judge(e)
			if v.Late != test.late || v.TwoWriters != test.late {
				t.Errorf("%d late writes, %d by two writers, want %d: %v", v.Late, v.TwoWriters, test.late, v.Findings)
			}
		})
	}
}
