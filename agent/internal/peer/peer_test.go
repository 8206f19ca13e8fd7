package peer

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// beat sends a heartbeat that must be answered.
func beat(t *testing.T, a *agent, node string) Reply {
	t.Helper()
	reply, err := a.client.Heartbeat(context.Background(), node)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// noBeat sends a heartbeat that must fail, with the text in the error.
func noBeat(t *testing.T, a *agent, node, want string) {
	t.Helper()
	reply, err := a.client.Heartbeat(context.Background(), node)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("heartbeat of %s to %s = %+v, %v; want an error with %q", a.config.Node, node, reply, err, want)
	}
	if reply.Sent.IsZero() {
		t.Error("a failed heartbeat has no send time")
	}
}

func TestHeartbeatShowsBothDirections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})

		first := beat(t, a, "b")
		if first.Boot != "boot-of-b" || first.Relay != nil || !first.HeardYou.IsZero() {
			t.Errorf("first reply = %+v, want boot-of-b and nothing else", first)
		}
		if at := b.server.Heard()["a"]; at != now() {
			t.Errorf("b heard a at %v, want %v", at, now())
		}
		beat(t, b, "a")
		answered := now()
		if at, ok := b.client.Answered("a"); !ok || at != answered {
			t.Errorf("a answered b at %v, %v; want %v", at, ok, answered)
		}
		pass(700 * time.Millisecond)
		if second := beat(t, a, "b"); second.HeardYou != answered {
			t.Errorf("b says it heard a at %v, want %v", second.HeardYou, answered)
		}
	})
}

// §9: neighbours prove themselves to each other; a statement holds no secret.
func TestUnknownCallerGetsAStatementOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Witnesses: []Peer{b.at("b:1")}})
		noBeat(t, a, "b", "does not know the caller's key")

		sent := now()
		if s, ok, err := a.client.Statement(context.Background(), "b"); ok || err != nil {
			t.Errorf("statement of a witness that has read nothing = %v, %v, %v", s, ok, err)
		}
		r := sampleRoll(9)
		b.server.SetAnswers(Answers{Own: &r})
		got, ok, err := a.client.Statement(context.Background(), "b")
		if err != nil || !ok {
			t.Fatalf("Statement() = %v, %v", ok, err)
		}
		if d := cmp.Diff(roll.Statement{Witness: "b", Roll: sampleRoll(9), Sent: sent}, got); d != "" {
			t.Errorf("statement (-want +got):\n%s", d)
		}
		if len(b.server.Heard()) != 0 {
			t.Error("the server noted an unknown caller")
		}
	})
}

// A relayed roll is no statement, and neither is one's own a relay.
func TestAnswersKeepRelayAndStatementApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		b.server.SetAnswers(Answers{Best: &roll.Held{Roll: sampleRoll(3), Sent: now()}, RelayFor: time.Second})
		if _, ok, err := a.client.Statement(context.Background(), "b"); ok || err != nil {
			t.Errorf("the server makes a statement out of a relay: %v, %v", ok, err)
		}
		r := sampleRoll(3)
		b.server.SetAnswers(Answers{Own: &r})
		if reply := beat(t, a, "b"); reply.Relay != nil {
			t.Errorf("the server relays a statement: %+v", reply.Relay)
		}
	})
}

// §3.3: s = own send time − age. Through each hop the roll gets older by the
// time that the question needed, and never younger by the time of the answer.
func TestRelayAgeAddsUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const way = 200 * time.Millisecond // both ways take less than HedgeAfter
		w, now := newWire(), clock()
		a, b, c := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "b", "b:1"), newAgent(t, w, now, "c")
		for _, x := range []*agent{a, b, c} {
			defer x.close()
		}
		b.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}, Callers: []Peer{c.at()}})
		a.setPeers(Peers{Callers: []Peer{b.at()}})
		c.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		beat(t, b, "a") // connect before the links are slow
		beat(t, c, "b")
		w.link("a:1").set(way)
		w.link("b:1").set(way)

		asked := now()
		pass(100 * time.Millisecond)
		a.server.SetAnswers(Answers{Best: &roll.Held{Roll: sampleRoll(5), Sent: asked}, RelayFor: 5 * time.Second})
		one := beat(t, b, "a")
		if want := asked.Add(-way); one.Relay == nil || one.Relay.Sent != want {
			t.Fatalf("relay = %+v, want one of %v, as of %v less one way", one.Relay, want, asked)
		}
		if one.RTT != 2*way {
			t.Errorf("round trip = %v, want %v", one.RTT, 2*way)
		}
		pass(time.Second)
		b.server.SetAnswers(Answers{Best: one.Relay, RelayFor: 5 * time.Second})
		pass(time.Second)
		two := beat(t, c, "b")
		if want := asked.Add(-2 * way); two.Relay == nil || two.Relay.Sent != want {
			t.Fatalf("second relay = %+v, want one of %v", two.Relay, want)
		}
		if d := cmp.Diff(sampleRoll(5), two.Relay.Roll); d != "" {
			t.Errorf("roll after two relays (-want +got):\n%s", d)
		}
	})
}

// The age is the larger one of the two clocks' differences, on either side.
func TestRelayAgeCountsSuspension(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWire()
		ideal := clock()
		var slept time.Duration
		a := newAgent(t, w, func() timing.Instant {
			n := ideal()
			return timing.Instant{Raw: n.Raw, Boot: n.Boot + slept}
		}, "a", "a:1")
		b := newAgent(t, w, ideal, "b")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Callers: []Peer{b.at()}})
		b.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})
		asked := ideal()
		a.server.SetAnswers(Answers{Best: &roll.Held{Roll: sampleRoll(5), Sent: asked}, RelayFor: 5 * time.Second})
		slept = 2 * time.Second
		if reply := beat(t, b, "a"); reply.Relay.Sent != asked.Add(-2*time.Second) {
			t.Errorf("relay of a host that slept 2 s is of %v, want %v", reply.Relay.Sent, asked.Add(-2*time.Second))
		}
	})
}

func TestOldRollIsNotRelayed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a", "a:1"), newAgent(t, w, now, "b")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Callers: []Peer{b.at()}})
		b.setPeers(Peers{Neighbours: []Peer{a.at("a:1")}})
		a.server.SetAnswers(Answers{Best: &roll.Held{Roll: sampleRoll(5), Sent: now()}, RelayFor: 5 * time.Second})
		pass(5*time.Second - 1)
		if reply := beat(t, b, "a"); reply.Relay == nil {
			t.Error("a roll younger than the limit is not relayed")
		}
		pass(1)
		if reply := beat(t, b, "a"); reply.Relay != nil {
			t.Error("a roll as old as the limit is relayed")
		}
	})
}

func TestPinsChangeOnOpenConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		noBeat(t, a, "b", "does not know the caller's key")
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		beat(t, a, "b")
		b.setPeers(Peers{})
		noBeat(t, a, "b", "does not know the caller's key")
		if len(b.server.Heard()) != 0 {
			t.Error("the server remembers a caller that is none any more")
		}
		if dials, _ := w.counts("b:1"); dials != 1 {
			t.Errorf("%d connections were made, want 1", dials)
		}
	})
}

func TestCallerCannotClaimAnotherName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		p := a.at()
		p.Node = "z"
		b.setPeers(Peers{Callers: []Peer{p}})
		noBeat(t, a, "b", `the key is that of z, not of "a"`)
	})
}

func TestAnswerOfAnotherNodeIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		r := sampleRoll(1)
		b.server.SetAnswers(Answers{Own: &r})
		p := b.at("b:1")
		p.Node = "z"
		a.setPeers(Peers{Neighbours: []Peer{p}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		noBeat(t, a, "z", `answered by node "b"`)
		if _, ok, err := a.client.Statement(context.Background(), "z"); err == nil || ok {
			t.Errorf("a statement of b counts for z: %v, %v", ok, err)
		}
		if _, ok := a.client.Answered("z"); ok {
			t.Error("z counts as heard")
		}
	})
}

func TestWhoIsNoPeerIsNotAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a := newAgent(t, w, now, "a")
		defer a.close()
		noBeat(t, a, "b", "is no peer of a")
		a.setPeers(Peers{Neighbours: []Peer{{Node: "b", Addresses: []string{"b:1"}}, {Node: "c", Fingerprint: "00"}, a.at("a:1")}})
		noBeat(t, a, "b", "has not published its key")
		noBeat(t, a, "c", "or its addresses")
		noBeat(t, a, "a", "is no peer of a")
		a.client.Close()
		noBeat(t, a, "b", errClosed.Error())
	})
}

func TestStatementsAreLimitedPerCaller(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b, c := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1"), newAgent(t, w, now, "c")
		for _, x := range []*agent{a, b, c} {
			defer x.close()
		}
		a.setPeers(Peers{Witnesses: []Peer{b.at("b:1")}})
		c.setPeers(Peers{Witnesses: []Peer{b.at("b:1")}})
		ask := func(x *agent) codes.Code {
			_, _, err := x.client.Statement(context.Background(), "b")
			return status.Code(err)
		}
		burst := int(b.config.StatementBurst)
		for i := range burst {
			if code := ask(a); code != codes.OK {
				t.Fatalf("question %d of a burst of %d: %v", i+1, burst, code)
			}
		}
		if code := ask(a); code != codes.ResourceExhausted {
			t.Errorf("question beyond the burst: %v", code)
		}
		if code := ask(c); code != codes.OK {
			t.Errorf("another caller pays for it: %v", code)
		}
		pass(time.Second / time.Duration(b.config.StatementRate))
		if code := ask(a); code != codes.OK {
			t.Errorf("a question at the allowed rate: %v", code)
		}
	})
}

func TestLimiterKeepsStrangersFromSilencingAWitness(t *testing.T) {
	c := Default()
	c.StrangerRate = 100
	l := newLimiter(c)
	now := timing.At(time.Hour)
	allowed := 0
	for i := range 3 * maxBuckets {
		if l.allow("stranger-"+time.Duration(i).String(), true, now) {
			allowed++
		}
	}
	if allowed != 100 {
		t.Errorf("%d statements to strangers in one instant, want 100", allowed)
	}
	if !l.allow("known", false, now) {
		t.Error("a known caller is refused because of strangers")
	}
	if len(l.keys) > maxBuckets+1 {
		t.Errorf("the limiter remembers %d keys, want at most %d", len(l.keys), maxBuckets+1)
	}
	if !l.allow("late", true, now.Add(time.Hour)) {
		t.Error("strangers are refused for ever")
	}
	if l.allow("late-2", true, now.Add(-time.Hour)); len(l.keys) > maxBuckets {
		t.Error("the limiter does not forget")
	}
}
