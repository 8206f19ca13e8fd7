package judge

import "github.com/picket-dev/picket/test/lab/workload"

// judgeTenures compares what each writer found when it started with what had
// been acknowledged before: an acknowledged record that it did not find is
// lost.
func (e *Evidence) judgeTenures(v *Verdict) {
	for i, t := range e.Tenures {
		if t.Started < e.Since {
			continue
		}
		if t.Damage != "" {
			v.find(Damaged, "%s (boot %s) found at %s: %s", t.Node, t.Boot, e.when(t.Started), t.Damage)
			continue // it could not count
		}
		for _, earlier := range e.Tenures[:i] {
			if earlier.To <= t.Found {
				continue
			}
			lost := earlier.To - max(t.Found, earlier.From-1)
			v.Lost += int(lost)
			v.find(Lost, "%s (boot %s) found %d records at %s, but %s (boot %s) had %d to %d acknowledged, the last at %s",
				t.Node, t.Boot, t.Found, e.when(t.Started), earlier.Node, earlier.Boot, earlier.From, earlier.To, e.when(earlier.Last))
		}
	}
}

// judgeRecords looks for each acknowledged record in the file itself.
func (e *Evidence) judgeRecords(v *Verdict) {
	if e.Records == nil {
		return
	}
	at := make(map[uint64]workload.Record, len(e.Records))
	for _, r := range e.Records {
		at[r.Seq] = r
	}
	for _, t := range e.Tenures {
		lost, first := 0, uint64(0)
		for seq := t.From; seq <= t.To && t.To > 0; seq++ {
			if r, ok := at[seq]; ok && r.Node == t.Node && r.Boot == t.Boot {
				continue
			}
			if lost++; lost == 1 {
				first = seq
			}
		}
		if lost > 0 {
			v.Lost += lost
			v.find(Lost, "%d of the records %d to %d that %s (boot %s) had acknowledged are not in the file, %d first",
				lost, t.From, t.To, t.Node, t.Boot, first)
		}
	}
}
