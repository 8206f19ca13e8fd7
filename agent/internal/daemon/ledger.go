package daemon

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/picket-dev/picket/agent/internal/kube"
	"github.com/picket-dev/picket/agent/internal/peer"
	"github.com/picket-dev/picket/proto/timing"
)

// A ledger keeps what came of the agent's questions, for people: nothing is
// decided by it. The zero ledger is empty and ready.
type ledger struct {
	mu    sync.Mutex
	peers map[string]*trace
	api   map[string]contact
}

// A trace is what is known of one peer. All instants are on this host's clocks.
type trace struct {
	pings window
	all   pings
	// view is how it sees its own neighbours, by its last word about that, and
	// path the address from which its last answer came.
	view []peer.Sight
	path string
	// first and last bound the time in which it answered without a silence that
	// counts as lost.
	first, last timing.Instant
	reached     timing.Instant // its last answer to anything
	heardUs     timing.Instant // when it last got an answer from this agent
	rollSent    timing.Instant // of the roll that it held when it last answered
	rollSerial  int64
	boot        string
	err         string
}

// Pings are all that went to one peer since it became one.
type pings struct {
	sent, lost uint64
	trips      time.Duration // the sum of those that were answered
}

// A contact is how an API endpoint fared with the questions for the Roll.
type contact struct {
	answered timing.Instant // when the last answered question was sent
	took     time.Duration
	failed   timing.Instant
	err      string
	reads    reads
}

// Reads count the questions for the Roll by what came of them: the Roll, no
// answer, an answer that is no Roll, or that there is none.
type reads struct{ ok, unreachable, refused, missing uint64 }

// beat enters a ping's outcome. A neighbour that was silent for lostAfter began
// anew with its next answer.
func (l *ledger) beat(b peer.Beat, now timing.Instant, lostAfter time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.trace(b.Node)
	t.all.sent++
	if b.Err != nil {
		t.pings.add(unanswered)
		t.all.lost++
		t.err = b.Err.Error()
		return
	}
	t.pings.add(b.Reply.RTT)
	t.all.trips += b.Reply.RTT
	t.err, t.path = "", b.Reply.From
	if b.Reply.View != nil {
		t.view = b.Reply.View
	}
	if t.last.IsZero() || t.last.Age(now) > lostAfter {
		t.first = now
	}
	t.last, t.reached = now, now
	t.boot, t.heardUs = b.Reply.Boot, b.Reply.HeardYou
	t.rollSent, t.rollSerial = timing.Instant{}, 0
	if r := b.Reply.Relay; r != nil {
		t.rollSent, t.rollSerial = r.Sent, r.Roll.Serial
	}
}

// testimony enters a witness's answer.
func (l *ledger) testimony(t peer.Testimony, now timing.Instant) {
	if t.Err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trace(t.Witness).reached = now
}

// reading enters the outcome of one question for the Roll.
func (l *ledger) reading(r kube.Reading, now timing.Instant) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.api == nil {
		l.api = make(map[string]contact)
	}
	c := l.api[r.Endpoint]
	c.reads.count(r.Err)
	if r.Err != nil {
		c.failed, c.err = now, r.Err.Error()
	} else {
		c.answered, c.took = r.Sent, r.Sent.Age(now)
	}
	l.api[r.Endpoint] = c
}

// count counts one question. One that nobody waited for any more tells nothing.
func (r *reads) count(err error) {
	if err == nil {
		r.ok++
		return
	}
	switch kube.KindOf(err) {
	case kube.NoContact:
		r.unreachable++
	case kube.Contact:
		r.refused++
	case kube.NotFound:
		r.missing++
	case kube.Unknown:
	}
}

// keep forgets all peers but these.
func (l *ledger) keep(p peer.Peers) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for node := range l.peers {
		is := func(p peer.Peer) bool { return p.Node == node }
		if !slices.ContainsFunc(p.Neighbours, is) && !slices.ContainsFunc(p.Witnesses, is) {
			delete(l.peers, node)
		}
	}
}

// peer returns what is known of one.
func (l *ledger) peer(node string) trace {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.peers[node]; t != nil {
		return *t
	}
	return trace{}
}

// reached reports whether an API endpoint gave a roll when it was last asked.
func (l *ledger) reached() bool {
	for _, c := range l.contacts() {
		if c.answered.After(c.failed) {
			return true
		}
	}
	return false
}

// contacts returns what is known of each API endpoint that was asked.
func (l *ledger) contacts() map[string]contact {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.api)
}

func (l *ledger) trace(node string) *trace {
	if l.peers == nil {
		l.peers = make(map[string]*trace)
	}
	if l.peers[node] == nil {
		l.peers[node] = &trace{}
	}
	return l.peers[node]
}

// windowSize is how many pings a window holds: a minute's worth under the
// profiles we have.
const windowSize = 120

// unanswered is the round trip of a ping that got no answer.
const unanswered time.Duration = -1

// A window holds the outcomes of the newest pings.
type window struct {
	trips [windowSize]time.Duration
	next  int
	full  bool
}

func (w *window) add(trip time.Duration) {
	w.trips[w.next] = trip
	w.next = (w.next + 1) % windowSize
	w.full = w.full || w.next == 0
}

// counts returns how many pings there are, how many of them went unanswered, and
// the round trips of the others in order of their length.
func (w *window) counts() (sent, lost int, trips []time.Duration) {
	sent = w.next
	if w.full {
		sent = windowSize
	}
	trips = slices.Clone(w.trips[:sent])
	slices.Sort(trips)
	for lost < sent && trips[lost] == unanswered {
		lost++
	}
	return sent, lost, trips[lost:]
}

// percentile returns the p-th percentile by the nearest rank; trips is sorted
// and not empty.
func percentile(trips []time.Duration, p int) time.Duration {
	return trips[max((len(trips)*p+99)/100, 1)-1]
}
