package daemon

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/kube"
	"github.com/picket-dev/picket/agent/internal/peer"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

const silence = 2 * time.Second // counts as lost

func second(s float64) timing.Instant {
	return timing.At(time.Hour + time.Duration(s*float64(time.Second)))
}

func seconds(s float64) *durationpb.Duration {
	return durationpb.New(time.Duration(s * float64(time.Second)))
}

// answer is an answer at that second, half a second after its ping.
func answer(l *ledger, at float64) {
	l.beat(peer.Beat{Node: "n2", Reply: peer.Reply{
		Sent: second(at - 0.5), Node: "n2", Boot: "b2", RTT: time.Second / 2, HeardYou: second(at - 1), From: "10.1.0.2:9735",
		Relay: &roll.Held{Roll: roll.Roll{Serial: 7}, Sent: second(at - 2)},
	}}, second(at), silence)
}

func miss(l *ledger, at float64) {
	l.beat(peer.Beat{Node: "n2", Err: errors.New("no route to host")}, second(at), silence)
}

func TestTheLedgerSaysHowAPeerIs(t *testing.T) {
	answering := func(since float64, sent, lost int32, message string) *peerv1.PeerStatus {
		half := seconds(0.5)
		return &peerv1.PeerStatus{
			HeardUs: seconds(2), Since: seconds(since), BootId: "b2", Error: message, Reached: seconds(1),
			RollAge: seconds(3), RollSerial: 7, Path: "10.1.0.2:9735",
			Pings: &peerv1.Pings{
				Sent: sent, Lost: lost, P50: half, P95: half, P99: half,
				AllSent: uint64(sent), AllLost: uint64(lost), AllTrips: seconds(float64(sent-lost) / 2),
			},
		}
	}
	lost := answering(2, 2, 1, "no route to host")
	lost.Lost, lost.Reached, lost.HeardUs, lost.RollAge = true, seconds(2), seconds(3), seconds(4)
	seeing := func(lost bool) *peerv1.PeerStatus {
		s := answering(1, 2, 0, "")
		s.Sights = []*peerv1.Sight{{Node: "n3", Lost: lost, Zone: "z1", Rack: "r1", Address: "10.0.0.3:9735"}}
		return s
	}
	view := func(l *ledger, sights ...peer.Sight) {
		l.beat(peer.Beat{Node: "n2", Reply: peer.Reply{Node: "n2", RTT: time.Second / 2, View: sights}}, second(10), silence)
	}
	n3 := peer.Sight{Node: "n3", Zone: "z1", Rack: "r1", Address: "10.0.0.3:9735"}
	n3Lost := n3
	n3Lost.Lost = true
	blind := answering(1, 2, 0, "")
	tests := []struct {
		name string
		lost bool
		do   func(*ledger) // until second 10; asked at second 11
		want *peerv1.PeerStatus
	}{
		{"never asked", false, func(*ledger) {}, &peerv1.PeerStatus{}},
		{"answers", false, func(l *ledger) { answer(l, 8); answer(l, 10) }, answering(3, 2, 0, "")},
		{"answers after a miss", false, func(l *ledger) { answer(l, 8.5); miss(l, 9); answer(l, 10) }, answering(2.5, 3, 1, "")},
		{"answers after a silence", false, func(l *ledger) { answer(l, 2); answer(l, 10) }, answering(1, 2, 0, "")},
		{"missed one", false, func(l *ledger) { answer(l, 10); miss(l, 10) }, answering(1, 2, 1, "no route to host")},
		{"lost", true, func(l *ledger) { answer(l, 9); miss(l, 10) }, lost},
		{"a witness only", false, func(l *ledger) { l.testimony(peer.Testimony{Witness: "n2"}, second(9)) }, &peerv1.PeerStatus{Reached: seconds(2)}},
		{"a witness that fails", false, func(l *ledger) { l.testimony(peer.Testimony{Witness: "n2", Err: errors.New("x")}, second(9)) }, &peerv1.PeerStatus{}},
		{"its view stays until it says another", false, func(l *ledger) { view(l, n3Lost); answer(l, 10) }, seeing(true)},
		{"another view", false, func(l *ledger) { view(l, n3Lost); view(l, n3); answer(l, 10) }, func() *peerv1.PeerStatus {
			s := seeing(false)
			s.Pings.Sent, s.Pings.AllSent, s.Pings.AllTrips = 3, 3, seconds(1.5)
			return s
		}()},
		{"a view of nobody", false, func(l *ledger) { view(l, []peer.Sight{}...); answer(l, 10) }, blind},
		{"no neighbour any more", false, func(l *ledger) {
			answer(l, 10)
			l.keep(peer.Peers{Neighbours: []peer.Peer{{Node: "n3"}}})
		}, &peerv1.PeerStatus{}},
		{"a neighbour still", false, func(l *ledger) {
			answer(l, 10)
			l.keep(peer.Peers{Neighbours: []peer.Peer{{Node: "n2"}}})
		}, answering(1, 1, 0, "")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l ledger
			tt.do(&l)
			got := &peerv1.PeerStatus{Lost: tt.lost}
			l.peer("n2").show(got, second(11))
			if d := cmp.Diff(tt.want, got, protocmp.Transform()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestTheLedgerKnowsEachEndpoint(t *testing.T) {
	var l ledger
	l.reading(kube.Reading{Endpoint: "https://a", Sent: second(1)}, second(1.5))
	fail := func(endpoint string, kind kube.Kind, message string, sent float64) {
		l.reading(kube.Reading{Endpoint: endpoint, Sent: second(sent), Err: &kube.Failure{
			Endpoint: endpoint, Do: "read roll", Kind: kind, Err: errors.New(message),
		}}, second(sent+0.5))
	}
	fail("https://b", kube.Contact, "forbidden", 1.8)
	fail("https://b", kube.NotFound, "no such kind", 1.9)
	fail("https://b", kube.NoContact, "refused", 2)
	fail("https://a", kube.Unknown, "gave up", 2.5)
	fail("https://a", kube.NoContact, "timed out", 3)
	want := map[string]contact{
		"https://a": {
			answered: second(1), took: time.Second / 2, failed: second(3.5), err: "read roll at https://a: timed out",
			reads: reads{ok: 1, unreachable: 1},
		},
		"https://b": {
			failed: second(2.5), err: "read roll at https://b: refused", reads: reads{unreachable: 1, refused: 1, missing: 1},
		},
	}
	if d := cmp.Diff(want, l.contacts(), cmp.AllowUnexported(contact{}, reads{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if l.reached() {
		t.Error("reached, though every endpoint failed last")
	}
	l.reading(kube.Reading{Endpoint: "https://b", Sent: second(4)}, second(4.5))
	if !l.reached() {
		t.Error("not reached, though one endpoint gives a roll")
	}
}

func TestAWindowHoldsTheNewestPings(t *testing.T) {
	var w window
	for range windowSize {
		w.add(unanswered)
	}
	for i := range 100 {
		w.add(time.Duration(i+1) * time.Millisecond)
	}
	sent, lost, trips := w.counts()
	if sent != windowSize || lost != windowSize-100 {
		t.Errorf("%d of %d are lost", lost, sent)
	}
	got := []time.Duration{percentile(trips, 50), percentile(trips, 95), percentile(trips, 99), percentile(trips[:1], 50)}
	want := []time.Duration{50 * time.Millisecond, 95 * time.Millisecond, 99 * time.Millisecond, time.Millisecond}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("percentiles (-want +got):\n%s", d)
	}
}

// A change of phase or reason is told with the rule that it follows from.
func TestTheJournalTellsEachTurn(t *testing.T) {
	j := newJournal(slog.New(slog.DiscardHandler))
	armed := decide.Verdict{Phase: decide.Armed, PetUntil: second(5), Via: "api", Relay: &roll.Held{Roll: roll.Roll{Serial: 7}, Sent: second(0)}}
	armed.Status.Promise.Armed = true
	unarmed := func(r decide.Reason) decide.Verdict {
		return decide.Verdict{Phase: decide.Unarmed, Reason: r, Message: "so it is"}
	}
	latched := decide.Verdict{Phase: decide.Latched, Reason: decide.ReasonWithheld}
	before := (*decide.Verdict)(nil)
	for _, v := range []decide.Verdict{
		unarmed("Observe"), armed, unarmed(decide.ReasonPeersLost), unarmed(decide.ReasonDeviceFailed), unarmed(decide.ReasonStopping), latched,
	} {
		j.turn(second(1), before, v)
		before = &v
	}
	var got []string
	for _, e := range j.all() {
		got = append(got, string(e.note.Rule)+" "+e.note.What)
	}
	want := []string{
		"A12 the node is Unarmed Observe: so it is",
		"A2 the node is Armed, was Unarmed Observe",
		"A7 the node is Unarmed PeersLost, was Armed: so it is",
		"A11 the node is Unarmed WatchdogFailed, was Unarmed PeersLost: so it is",
		"A13 the node is Unarmed Stopping, was Unarmed WatchdogFailed: so it is",
		"A1 the node is Latched Withheld, was Unarmed Stopping",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if e := j.all()[1]; e.petUntil != second(5) || e.sent != second(0) || e.serial != 7 || e.via != "api" {
		t.Errorf("the verdict is not beside the decision: %+v", e)
	}
}
