package daemon

import (
	"sync"
	"testing"

	"github.com/picket-dev/picket/agent/decide"
)

// Who asks for another publication waits for nobody, though nobody publishes any more.
func TestPublishAnewWaitsForNobody(t *testing.T) {
	d := &Daemon{republish: make(chan struct{}, 1)}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 10000 {
				d.publishAnew()
			}
		})
	}
	asking.Wait()
	if len(d.republish) != 1 {
		t.Error("nothing is to be published")
	}
}

// "Armed or says why not" means that the API server knows it.
func TestPublishedIsWhatTheServerAcknowledged(t *testing.T) {
	at := func(phase decide.Phase, reason decide.Reason) decide.Status {
		return decide.Status{Phase: phase, Reason: reason}
	}
	blind, armed := at(decide.Unarmed, decide.ReasonNoRoll), at(decide.Armed, decide.ReasonNone)
	pruned := at(decide.Unarmed, decide.ReasonPruned)
	var p published
	if p.has(blind) {
		t.Error("published before anything was")
	}
	for _, tt := range []struct {
		name  string
		event decide.Event
		now   decide.Status // the core's, when it hears the event
		want  map[bool]decide.Status
	}{
		{"acknowledged", decide.Published{Status: blind}, blind, map[bool]decide.Status{true: blind, false: armed}},
		{"nothing of it", decide.Tick{}, armed, map[bool]decide.Status{true: blind, false: armed}},
		{"the next one", decide.Published{Status: armed}, armed, map[bool]decide.Status{true: armed, false: blind}},
		{"with a field dropped", decide.Pruned{Field: "x"}, pruned, map[bool]decide.Status{true: pruned, false: armed}},
	} {
		p.hear(tt.event, &decide.Verdict{Status: tt.now})
		for want, status := range tt.want {
			if p.has(status) != want {
				t.Errorf("%s: published %v %s is %v", tt.name, status.Phase, status.Reason, !want)
			}
		}
	}
}
