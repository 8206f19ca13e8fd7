package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/test/lab/judge"
	"github.com/picket-dev/picket/test/lab/vm"
)

func TestBoots(t *testing.T) {
	const s = time.Second
	event := func(at int, cause vm.Cause, boot string) vm.Event {
		return vm.Event{At: time.Duration(at) * s, Machine: "node-1", Cause: cause, Boot: boot}
	}
	boot := func(id string, begin, end int, cause string, doomed bool) judge.Boot {
		return judge.Boot{Node: "node-1", ID: id, Begin: time.Duration(begin) * s, End: time.Duration(end) * s, Cause: cause, Doomed: doomed}
	}
	on, booted := event(1, vm.PowerOn, ""), event(9, vm.Booted, "a")
	for _, test := range []struct {
		name   string
		events []vm.Event
		doomed bool
		want   []judge.Boot
	}{
		{"runs", []vm.Event{on, booted}, false, []judge.Boot{boot("a", 1, 0, "", false)}},
		{"reset by the dog", []vm.Event{on, booted, event(20, vm.Watchdog, "a"), event(20, vm.Reset, "a"), event(29, vm.Booted, "b")}, false,
			[]judge.Boot{boot("a", 1, 20, "reset", false), boot("b", 20, 0, "", false)}},
		{"reset as it had to", []vm.Event{on, booted, event(20, vm.Reset, "a")}, true,
			[]judge.Boot{boot("a", 1, 20, "reset", true), boot("", 20, 0, "", false)}},
		{"reset in an earlier scenario", []vm.Event{on, booted, event(10, vm.Reset, "a")}, false,
			[]judge.Boot{boot("a", 1, 10, "reset", true), boot("", 10, 0, "", false)}},
		{"cut and on again", []vm.Event{on, booted, event(20, vm.PowerCut, "a"), event(25, vm.PowerOn, ""), event(33, vm.Booted, "b")}, false,
			[]judge.Boot{boot("a", 1, 20, "power cut", true), boot("b", 25, 0, "", false)}},
		{"powered itself off", []vm.Event{on, booted, event(20, vm.PowerOff, "a"), event(21, vm.Died, "")}, false,
			[]judge.Boot{boot("a", 1, 20, "powered off", false)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, boots(test.events, 15*s, test.doomed)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
