package peer

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// hearts lets a ping b every half second, and returns what comes of it.
func hearts(t *testing.T, a *agent, nodes ...string) *log {
	t.Helper()
	got := &log{}
	h := NewHeartbeater(a.client, got.add)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { h.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
	h.Set(500*time.Millisecond, nodes)
	pass(2 * time.Second)
	return got
}

// sent returns when the answered pings were sent, the oldest first.
func (l *log) sent() []timing.Instant {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []timing.Instant
	for _, b := range l.beats {
		if b.Err == nil {
			all = append(all, b.Reply.Sent)
		}
	}
	slices.SortFunc(all, func(x, y timing.Instant) int { return int(x.Raw - y.Raw) })
	return all
}

// worst returns the longest time without an answered ping, from the first one
// until now: without end where none was answered.
func (l *log) worst(now timing.Instant) time.Duration {
	all := append(l.sent(), now)
	if len(all) == 1 {
		return math.MaxInt64
	}
	var worst time.Duration
	for i := range all[1:] {
		worst = max(worst, all[i].Age(all[i+1]))
	}
	return worst
}

// A counter counts the calls to a peer.
type counter struct {
	peerv1.PeerClient
	calls, streams *atomic.Int64
}

func (c counter) Heartbeat(ctx context.Context, x *peerv1.HeartbeatRequest, o ...grpc.CallOption) (*peerv1.HeartbeatReply, error) {
	c.calls.Add(1)
	return c.PeerClient.Heartbeat(ctx, x, o...)
}

func (c counter) Heartbeats(ctx context.Context, o ...grpc.CallOption) (peerv1.Peer_HeartbeatsClient, error) {
	c.streams.Add(1)
	return c.PeerClient.Heartbeats(ctx, o...)
}

// count counts what the agent calls from now on.
func (a *agent) count() (calls, streams *atomic.Int64) {
	calls, streams = &atomic.Int64{}, &atomic.Int64{}
	open := a.client.open.open
	a.client.open.open = func(p Peer, own credential, addresses []string) (*path, error) {
		x, err := open(p, own, addresses)
		if err == nil {
			x.stub = counter{x.stub, calls, streams}
		}
		return x, err
	}
	return calls, streams
}

func TestPingsShareAStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		calls, streams := a.count()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		got := hearts(t, a, "b")
		pass(time.Hour)
		answered, failed := got.take()
		if answered["b"] < 7200 || len(failed) != 0 {
			t.Errorf("in an hour %v pings were answered, %v failed", answered, failed)
		}
		if calls.Load() != 1 || streams.Load() != 1 {
			t.Errorf("they took %d calls and %d streams, want one of each", calls.Load(), streams.Load())
		}
	})
}

// §3.3 through a stream: s = own send time − age, also where several questions
// are on their way.
func TestRelayAgeAddsUpInAStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const way = 400 * time.Millisecond
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		asked := now()
		b.server.SetAnswers(Answers{Best: &roll.Held{Roll: sampleRoll(5), Sent: asked}, RelayFor: time.Hour})
		got := hearts(t, a, "b")
		w.link("b:1").set(way)
		pass(10 * time.Second)
		got.mu.Lock()
		defer got.mu.Unlock()
		slow := 0
		for _, x := range got.beats {
			if x.Err != nil || x.Reply.Relay == nil {
				t.Fatalf("beat %+v", x)
			}
			if want := asked.Add(-x.Reply.RTT / 2); x.Reply.Relay.Sent != want {
				t.Errorf("relay of %v, want %v after a round trip of %v", x.Reply.Relay.Sent, want, x.Reply.RTT)
			}
			if x.Reply.RTT == 2*way {
				slow++
			}
		}
		if slow < 15 {
			t.Errorf("%d slow answers in 10 s", slow)
		}
	})
}

// A stream that falls silent costs the ping that it swallowed: the next one finds
// the other path, as early as a call in its place would have.
func TestSilentStreamGivesWayToAnotherPath(t *testing.T) {
	tests := []struct {
		name      string
		addresses []string
		spoil     func(w *wire)
	}{
		{"the next address answers", []string{"b:1", "storage-b:1"}, func(w *wire) { w.link("b:1").cut() }},
		{"the same one answers on a new connection", []string{"b:1"}, func(w *wire) {
			old := w.link("b:1")
			w.mu.Lock()
			w.hosts["b:1"].link = newLink()
			w.mu.Unlock()
			old.cut()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, now := newWire(), clock()
				a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", tt.addresses...)
				defer a.close()
				defer b.close()
				calls, streams := a.count()
				a.setPeers(Peers{Neighbours: []Peer{b.at(tt.addresses...)}})
				b.setPeers(Peers{Callers: []Peer{a.at()}})
				got := hearts(t, a, "b")
				tt.spoil(w)
				pass(10 * time.Second)
				if worst := got.worst(now()); worst > 1200*time.Millisecond {
					t.Errorf("no answer for %v", worst)
				}
				before := calls.Load()
				pass(10 * time.Second)
				if calls.Load() != before || streams.Load() != 2 {
					t.Errorf("%d calls and %d streams after the good path was found", calls.Load()-before, streams.Load())
				}
			})
		})
	}
}

// A connection that breaks loses no ping for longer than a new one takes.
func TestBrokenStreamIsReplacedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		got := hearts(t, a, "b")
		b.server.Close()
		b.served.Wait()
		again := newAgentWith(t, w, "b", nil, func(c *Config) { c.Now = now })
		defer again.close()
		again.id = b.id // the agent restarts with the key of its boot
		var err error
		if again.server, err = NewServer(again.config, b.id, again.client.Answered); err != nil {
			t.Fatal(err)
		}
		again.setPeers(Peers{Callers: []Peer{a.at()}})
		l := w.listen("b:1")
		again.served.Go(func() { _ = again.server.Serve(l) })
		pass(10 * time.Second)
		if worst := got.worst(now()); worst > 600*time.Millisecond {
			t.Errorf("no answer for %v", worst)
		}
		b.client.Close()
	})
}

// A slow link is no lost one, through a stream as well.
func TestSlowAnswersInAStreamCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		got := hearts(t, a, "b")
		w.link("b:1").set(900 * time.Millisecond)
		pass(5 * time.Second)
		got.take()
		pass(10 * time.Second)
		answered, failed := got.take()
		if answered["b"] != 20 || len(failed) != 0 {
			t.Errorf("in 10 s %v were answered, %v failed", answered, failed)
		}
	})
}

// Pins count question by question, on an open stream as well.
func TestPinsChangeOnOpenStreams(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		got := hearts(t, a, "b")
		b.setPeers(Peers{})
		got.take()
		pass(2 * time.Second)
		if answered, failed := got.take(); len(answered) != 0 || failed["b"] < 4 {
			t.Errorf("%v answered, %v refused by a node that does not know the caller any more", answered, failed)
		}
		if len(b.server.Heard()) != 0 {
			t.Error("the server hears a caller that is none any more")
		}
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		pass(time.Second)
		got.take()
		pass(2 * time.Second)
		if answered, failed := got.take(); answered["b"] != 4 || len(failed) != 0 {
			t.Errorf("%v answered, %v failed since it is one again", answered, failed)
		}
	})
}

// A probe of a witness that is pinged anyway costs no call, and says the same.
func TestProbesGoThroughTheStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a := newAgent(t, w, now, "a")
		b, c := newAgent(t, w, now, "b", "b:1"), newAgent(t, w, now, "c", "c:1")
		for _, x := range []*agent{a, b, c} {
			defer x.close()
		}
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}, Witnesses: []Peer{a.at(), b.at("b:1"), c.at("c:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		got := &log{}
		h := NewHeartbeater(a.client, got.add)
		ctx, cancel := context.WithCancel(context.Background())
		var done sync.WaitGroup
		done.Go(func() { h.Run(ctx) })
		defer done.Wait()
		defer cancel()
		probe := func() (called []string, told []Testimony) {
			t.Helper()
			got.take()
			h.Probe(ctx, func(x Testimony) { called = append(called, x.Witness) })
			pass(time.Second)
			got.mu.Lock()
			defer got.mu.Unlock()
			for _, x := range got.beats {
				if x.Reply.Testimony != nil {
					told = append(told, *x.Reply.Testimony)
					if s := x.Reply.Testimony.Statement; x.Reply.Testimony.Spoke && s.Sent != x.Reply.Sent {
						t.Errorf("the statement counts from %v, want %v", s.Sent, x.Reply.Sent)
					}
				}
			}
			slices.Sort(called)
			return called, told
		}
		if called, told := probe(); !slices.Equal(called, []string{"b", "c"}) || len(told) != 0 {
			t.Errorf("without a stream: called %v, told %v", called, told)
		}
		h.Set(500*time.Millisecond, []string{"b"})
		pass(2 * time.Second)
		if called, told := probe(); !slices.Equal(called, []string{"c"}) || len(told) != 1 || told[0].Witness != "b" || told[0].Spoke || told[0].Err != nil {
			t.Errorf("of a witness that has read nothing: called %v, told %v", called, told)
		}
		r := sampleRoll(9)
		b.server.SetAnswers(Answers{Own: &r})
		if called, told := probe(); !slices.Equal(called, []string{"c"}) || len(told) != 1 || !told[0].Spoke || told[0].Statement.Roll.Serial != 9 {
			t.Errorf("called %v, told %v", called, told)
		}
	})
}

// §9: whoever is no neighbour holds no stream open, not even one that asks
// nothing.
func TestStrangerHoldsNoStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		s, err := a.client.openStream(context.Background(), "b")
		if err != nil {
			t.Fatal(err)
		}
		defer s.end(nil)
		if _, err := s.wire.Recv(); status.Code(err) != codes.PermissionDenied {
			t.Errorf("a stranger's stream ends with %v", err)
		}
	})
}

// A mumbler answers every question of a stream with the number 1.
type mumbler struct{ peerv1.UnimplementedPeerServer }

func (mumbler) Heartbeats(wire peerv1.Peer_HeartbeatsServer) error {
	for {
		if _, err := wire.Recv(); err != nil {
			return err
		}
		if err := wire.Send(&peerv1.HeartbeatReply{Node: "b", BootId: "x", Number: 1}); err != nil {
			return err
		}
	}
}

// What does not answer the question is no evidence: its age would be counted
// from a later one.
func TestAnswerToAnotherQuestionEndsTheStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b")
		defer a.close()
		defer b.close()
		defer serveAs(t, w, b, "b:1", mumbler{})()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		s, err := a.client.openStream(context.Background(), "b")
		if err != nil {
			t.Fatal(err)
		}
		var got log
		for range 2 {
			if !s.ping(time.Second) {
				t.Fatal("the stream takes no ping")
			}
		}
		unanswered, err := s.run(got.add)
		if err == nil || !strings.Contains(err.Error(), "does not belong") {
			t.Errorf("the stream ends with %v", err)
		}
		if answered, failed := got.take(); answered["b"] != 1 || len(failed) != 0 || len(unanswered) != 1 {
			t.Errorf("%v answered, %v failed, %v unanswered; want one answer and one question left", answered, failed, unanswered)
		}
		if s.ping(time.Second) {
			t.Error("a stream that has ended takes a ping")
		}
	})
}

// A deaf wire takes no question: what it would send waits until the stream ends.
type deaf struct {
	peerv1.Peer_HeartbeatsClient
	ctx context.Context //nolint:containedctx // the stream's own life
}

func (d deaf) Send(*peerv1.HeartbeatRequest) error {
	<-d.ctx.Done()
	return d.ctx.Err()
}

func (d deaf) Recv() (*peerv1.HeartbeatReply, error) {
	<-d.ctx.Done()
	return nil, d.ctx.Err()
}

// A neighbour that takes no more of what it is sent costs the pings to it, and
// no ping to another one.
func TestDeafNeighbourHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, now := newWire(), clock()
		a, b := newAgent(t, w, now, "a"), newAgent(t, w, now, "b", "b:1")
		defer a.close()
		defer b.close()
		a.setPeers(Peers{Neighbours: []Peer{b.at("b:1")}})
		b.setPeers(Peers{Callers: []Peer{a.at()}})
		s, err := a.client.openStream(context.Background(), "b")
		if err != nil {
			t.Fatal(err)
		}
		s.wire = deaf{ctx: s.ctx}
		var unanswered []question
		var reading sync.WaitGroup
		reading.Go(func() { unanswered, err = s.run(func(Beat) {}) })
		taken := 0
		for range 10 {
			if s.ping(a.client.config.Timeout) {
				taken++
			}
			pass(500 * time.Millisecond)
		}
		reading.Wait()
		if !errors.Is(err, errSilent) || len(unanswered) != taken || taken == 0 || taken > inFlight {
			t.Errorf("%d pings taken, %d unanswered: %v", taken, len(unanswered), err)
		}
	})
}
