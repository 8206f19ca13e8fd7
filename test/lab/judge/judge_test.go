package judge

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/test/lab/iscsi"
	"github.com/picket-dev/picket/test/lab/workload"
)

const s = time.Second

// story is a failover that went well: worker-1 runs boot a1 and writes over
// connection 1, is cut at 10 s, reset at 20 s into boot a2, tainted at 30 s;
// the pod is bound to worker-2 at 31 s, which writes over connection 2.
func story() Evidence {
	return Evidence{
		Nodes: map[string]string{"iqn:1": "worker-1", "iqn:2": "worker-2"},
		Boots: []Boot{
			{Node: "worker-1", ID: "a1", Begin: 1 * s, End: 20 * s, Cause: "reset", Doomed: true},
			{Node: "worker-1", ID: "a2", Begin: 20 * s},
			{Node: "worker-2", ID: "b1", Begin: 1 * s},
		},
		Fences:  []Fence{{"worker-1", "a1", 30 * s}},
		Permits: []Permit{{"worker-1", 1, 4 * s}, {"worker-2", 1, 31 * s}},
		Volumes: []uint16{1},
		Writes:  writes(old(6), old(19), young(35), young(40)),
	}
}

// writes numbers records in their order.
func writes(all ...iscsi.Write) []iscsi.Write {
	for i := range all {
		all[i].Seq = uint64(i) + 1
		if all[i].Kind == "" {
			all[i].Kind, all[i].Op = iscsi.Command, "WRITE(10)"
		}
	}
	return all
}

// write is one by an initiator over a connection that was opened at some time.
func write(initiator string, opened, at float64) iscsi.Write {
	seconds := func(t float64) time.Duration { return time.Duration(t * float64(s)) }
	return iscsi.Write{Initiator: initiator, Conn: uint64(10 * opened), Opened: seconds(opened), At: seconds(at), LUN: 1, LBA: 8, Blocks: 8}
}

func old(at float64) iscsi.Write    { return write("iqn:1", 5, at) }  // of boot a1
func young(at float64) iscsi.Write  { return write("iqn:2", 33, at) } // of boot b1
func reborn(at float64) iscsi.Write { return write("iqn:1", 25, at) } // of boot a2

func TestTwoWriters(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(e *Evidence)
		want   int
		words  string
	}{
		{"a failover", func(*Evidence) {}, 0, ""},
		{"after the taint", func(e *Evidence) {
			e.Boots[0].End, e.Boots[1].Begin = 50*s, 50*s
			e.Writes = writes(old(6), old(31), old(32), young(35))
		}, 2, "worker-1 (boot a1) wrote 2 times to LUN 1, from +31.000 s (WRITE(10) of 8 blocks at 8) to +32.000 s: this boot was fenced, and tainted at +30.000 s"},
		{"after the reset, from some queue", func(e *Evidence) {
			e.Writes = writes(old(6), old(30.5), young(35))
		}, 1, "worker-1 (boot a1) wrote 1 times"},
		{"after the reset and before the taint", func(e *Evidence) {
			e.Writes = writes(old(6), old(20.5), young(35))
		}, 0, ""},
		{"only the data came after the taint", func(e *Evidence) {
			late := old(30.5)
			late.Kind, late.Op, late.Of = iscsi.Data, "WRITE(10)", 2
			e.Writes = writes(old(6), old(29), late, young(35))
		}, 1, "boot a1"},
		{"command and data after the taint are one write", func(e *Evidence) {
			late := old(30.6)
			late.Kind, late.Op, late.Of = iscsi.Data, "WRITE(10)", 2
			e.Writes = writes(old(6), old(30.5), late, young(35))
		}, 1, "boot a1"},
		{"a sync is no write", func(e *Evidence) {
			sync := old(36)
			sync.Kind = iscsi.Sync
			e.Writes = writes(old(6), young(35), sync)
		}, 0, ""},
		{"the next boot starts the old pod again", func(e *Evidence) {
			e.Writes = writes(old(6), reborn(30.5), young(35))
		}, 1, "worker-1 (boot a2) wrote 1 times to LUN 1, from +30.500 s (WRITE(10) of 8 blocks at 8) to +30.500 s: boot a1 of the node was fenced, and tainted at +30.000 s; nothing was bound to it since"},
		{"the workload comes back", func(e *Evidence) {
			e.Permits = append(e.Permits, Permit{"worker-1", 1, 60 * s})
			e.Writes = writes(old(6), young(35), write("iqn:1", 62, 63), write("iqn:1", 62, 64))
		}, 0, ""},
		{"the workload comes back to the fenced boot, over its old connection", func(e *Evidence) {
			e.Boots = []Boot{{Node: "worker-1", ID: "a1", Begin: 1 * s}, e.Boots[2]}
			e.Permits = append(e.Permits, Permit{"worker-1", 1, 60 * s})
			e.Writes = writes(old(6), young(35), old(63))
		}, 1, "this boot was fenced"},
		{"fenced again after it came back", func(e *Evidence) {
			e.Permits = append(e.Permits, Permit{"worker-1", 1, 60 * s})
			e.Fences = append(e.Fences, Fence{"worker-1", "a2", 70 * s})
			e.Writes = writes(old(6), young(35), write("iqn:1", 62, 63), write("iqn:1", 62, 71))
		}, 1, "worker-1 (boot a2) wrote 1 times to LUN 1, from +71.000 s (WRITE(10) of 8 blocks at 8) to +71.000 s: this boot was fenced, and tainted at +70.000 s"},
		{"old, new, old without a fence", func(e *Evidence) {
			e.Fences = nil
			e.Boots[0].End, e.Boots[1].Begin = 50*s, 50*s
			e.Writes = writes(old(6), young(35), old(36), young(37))
		}, 1, "worker-2 (boot b1) had taken the volume over"},
		{"in turns without a fence", func(e *Evidence) {
			e.Fences = nil
			e.Boots[0].End, e.Boots[1].Begin = 50*s, 50*s
			e.Writes = writes(old(6), young(35), old(36), young(37), old(38))
		}, 2, "worker-1 (boot a1) wrote 2 times"},
		{"a last flush before the other one begins", func(e *Evidence) {
			e.Fences = nil
			e.Boots[0].End, e.Boots[1].Begin = 50*s, 50*s
			e.Writes = writes(old(6), old(32), young(35))
		}, 0, ""},
		{"an old boot after a new one of the same node", func(e *Evidence) {
			e.Fences, e.Permits = nil, e.Permits[:1]
			e.Writes = writes(old(6), reborn(26), old(27))
		}, 1, "worker-1 (boot a2) had taken the volume over"},
		{"a fast reboot that nobody fenced", func(e *Evidence) {
			e.Fences, e.Permits = nil, e.Permits[:1]
			e.Writes = writes(old(6), reborn(26), reborn(27))
		}, 0, ""},
		{"other volumes do not matter", func(e *Evidence) {
			e.Fences = nil
			e.Permits = append(e.Permits, Permit{"worker-2", 2, 2 * s})
			other := write("iqn:2", 3, 10)
			other.LUN = 2
			e.Writes = writes(old(6), other, old(11), young(35))
		}, 0, ""},
		{"a node that nothing was bound to", func(e *Evidence) {
			e.Permits = e.Permits[:1]
		}, 2, "no pod with this volume was bound to the node"},
		{"bound later than it wrote", func(e *Evidence) {
			e.Permits[1].From = 36 * s
		}, 1, "no pod with this volume was bound to the node"},
		{"an unknown initiator", func(e *Evidence) {
			e.Writes = writes(old(6), young(35), write("iqn:9", 33, 36))
		}, 1, "iqn:9 (boot unknown)"},
		{"a connection of no boot", func(e *Evidence) {
			e.Boots = e.Boots[1:]
		}, 2, "no boot of the node ran when its connection was opened, at +5.000 s"},
		{"guilt of an earlier scenario", func(e *Evidence) {
			e.Boots[0].End, e.Boots[1].Begin = 50*s, 50*s
			e.Writes = writes(old(6), old(31), young(35), young(41))
			e.Since = 40 * s
		}, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := story()
			test.change(&e)
			v := Judge(e)
			if v.TwoWriters != test.want {
				t.Errorf("%d writes by two writers, want %d", v.TwoWriters, test.want)
			}
			checkWords(t, v, test.words)
		})
	}
}

// checkWords fails unless a finding says so, or, without words, there is none.
func checkWords(t *testing.T, v Verdict, words string) {
	t.Helper()
	err := v.Err()
	switch {
	case words == "" && err != nil:
		t.Errorf("found %v", err)
	case words != "" && (err == nil || !strings.Contains(err.Error(), words)):
		t.Errorf("found %v, want %q", err, words)
	}
}

func TestSilenceIsNoProof(t *testing.T) {
	e := story()
	e.Writes = nil
	checkWords(t, Judge(e), "blind: no write to LUN 1 is in the log")
	e = story()
	e.Since = 41 * s
	checkWords(t, Judge(e), "blind: no write to LUN 1 is in the log")
}

func TestResets(t *testing.T) {
	e := story()
	e.Boots[2].End, e.Boots[2].Cause = 38*s, "watchdog fired"
	v := Judge(e)
	if v.HealthyResets != 1 {
		t.Errorf("%d resets of healthy nodes", v.HealthyResets)
	}
	checkWords(t, v, "reset of a healthy node: worker-2 (boot b1) ended at +38.000 s: watchdog fired")

	e.Since = 39 * s // another scenario's
	if v := Judge(e); v.HealthyResets != 0 {
		t.Error("judged twice")
	}
}

// tenure is one of a node, whose boot is named after it.
func tenure(node string, started time.Duration, found, from, to uint64) workload.Tenure {
	return workload.Tenure{
		Writer: workload.Writer{Node: node, Boot: "b" + node}, Started: started, Found: found,
		From: from, To: to, First: started, Last: started + 1*s,
	}
}

// records are those of nodes, in order.
func records(nodes ...string) (all []workload.Record) {
	for i, node := range nodes {
		all = append(all, workload.Record{Seq: uint64(i) + 1, Node: node, Boot: "b" + node})
	}
	return all
}

func TestRecords(t *testing.T) {
	damaged := tenure("y", 20*s, 1, 0, 0)
	damaged.Damage = "record 3 stands where record 2 should"
	for _, test := range []struct {
		name    string
		tenures []workload.Tenure
		records []workload.Record
		lost    int
		words   string
	}{
		{"all there", []workload.Tenure{tenure("x", 5*s, 0, 1, 3), tenure("y", 20*s, 3, 4, 5)}, records("x", "x", "x", "y", "y"), 0, ""},
		{"an unacknowledged tail is there", []workload.Tenure{tenure("x", 5*s, 0, 1, 2), tenure("y", 20*s, 4, 5, 5)}, records("x", "x", "x", "x", "y"), 0, ""},
		{"not looked into the file", []workload.Tenure{tenure("x", 5*s, 0, 1, 3)}, nil, 0, ""},
		{"never acknowledged", []workload.Tenure{tenure("x", 5*s, 0, 0, 0)}, records("y"), 0, ""},
		{"the next writer found less", []workload.Tenure{tenure("x", 5*s, 0, 1, 5), tenure("y", 20*s, 3, 4, 4)}, nil, 2,
			"lost: y (boot by) found 3 records at +20.000 s, but x (boot bx) had 1 to 5 acknowledged, the last at +6.000 s"},
		{"the next writer found nothing", []workload.Tenure{tenure("x", 5*s, 7, 8, 10), tenure("y", 20*s, 0, 1, 1)}, nil, 3, "found 0 records"},
		{"acknowledged behind the next writer's back", []workload.Tenure{tenure("x", 5*s, 0, 1, 9), tenure("y", 20*s, 7, 8, 8)}, nil, 2, "found 7 records"},
		{"the file is shorter", []workload.Tenure{tenure("x", 5*s, 0, 1, 3)}, records("x"), 2,
			"lost: 2 of the records 1 to 3 that x (boot bx) had acknowledged are not in the file, 2 first"},
		{"overwritten by another", []workload.Tenure{tenure("x", 5*s, 0, 1, 3)}, records("x", "y", "x"), 1, "2 first"},
		{"an empty file", []workload.Tenure{tenure("x", 5*s, 0, 1, 3)}, []workload.Record{}, 3, "1 first"},
		{"damage", []workload.Tenure{tenure("x", 5*s, 0, 1, 3), damaged}, nil, 0, "damaged: y (boot by) found at +20.000 s: record 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := Judge(Evidence{Tenures: test.tenures, Records: test.records})
			if v.Lost != test.lost {
				t.Errorf("%d lost, want %d", v.Lost, test.lost)
			}
			checkWords(t, v, test.words)
		})
	}
}

func TestVerdictCountsWhatItFinds(t *testing.T) {
	e := story()
	e.Boots[0].Doomed = false
	e.Tenures = []workload.Tenure{tenure("x", 5*s, 0, 1, 5), tenure("y", 20*s, 3, 4, 4)}
	e.Writes = writes(old(6), old(30.5), young(35))
	v := Judge(e)
	var kinds []Kind
	for _, f := range v.Findings {
		kinds = append(kinds, f.Kind)
	}
	if diff := cmp.Diff([]Kind{TwoWriters, Lost, HealthyReset}, kinds); diff != "" {
		t.Error(diff)
	}
	if v.TwoWriters != 1 || v.Lost != 2 || v.HealthyResets != 1 {
		t.Errorf("%+v", v)
	}
}
