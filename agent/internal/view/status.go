package view

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/picket-dev/picket/proto/matrix"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// Status shows how the node stands, and what happens next. Wide adds what only
// somebody who compares nodes wants to know.
func Status(s *screen.Screen, r *peerv1.StatusReply, wide bool) {
	health, wrong := Judge(r)
	var t rows
	phase := cmp.Or(r.GetPhase(), "starting")
	t.add(r.GetNode(), screen.Cell{Text: strings.TrimSpace(phase + " " + r.GetReason()), Tone: health.tone()})
	if r.GetMessage() != "" {
		t.more(screen.Say(r.GetMessage()))
	}
	if r.GetNext() != "" {
		t.add("next", screen.Cell{Text: r.GetNext(), Tone: health.tone()})
	}
	t.add("evidence", evidence(r))
	for _, q := range r.GetQuorums() {
		t.add("witnesses", quorum(q))
	}
	for _, e := range r.GetEntries() {
		t.add("on the roll", entry(e, r.GetBootId()))
	}
	t.watchdog(r)
	for _, e := range r.GetEndpoints() {
		t.add("api", endpoint(e))
	}
	t.add("peers", peers(r))
	for _, w := range wrong {
		t.add("look at", screen.Cell{Text: w, Tone: health.tone()})
	}
	if wide {
		t.add("boot", screen.Say(r.GetBootId()))
		t.add("history", screen.Say(r.GetHistory()))
		t.add("reached at", screen.Say(strings.Join(r.GetAddresses(), ", ")))
	}
	t.add("agent", screen.Say(r.GetVersion()))
	s.Table(t.Table)
}

// rows are labelled lines; a label is written once.
type rows struct {
	screen.Table
	last string
}

func (t *rows) add(label string, c screen.Cell) {
	if label == t.last {
		t.more(c)
		return
	}
	t.last = label
	t.Add(screen.Say(label), c)
}

func (t *rows) more(c screen.Cell) { t.Add(screen.Say(""), c) }

// tone is how the health looks.
func (h Health) tone() screen.Tone {
	switch h {
	case Fine:
		return screen.Good
	case Degraded:
		return screen.Warn
	case Counting:
		return screen.Bad
	case Unknown:
	}
	return screen.Plain
}

// evidence says on what roll the node lives, how it was got, and until when it
// suffices.
func evidence(r *peerv1.StatusReply) screen.Cell {
	if r.GetRollAge() == nil {
		return screen.Cell{Text: "no roll yet", Tone: screen.Warn}
	}
	text := fmt.Sprintf("roll %d by %s, %s old", r.GetRollSerial(), r.GetRollVia(), exact(r.GetRollAge()))
	if p := r.GetPromise(); p != nil {
		text += fmt.Sprintf("; good for %s, pets for %s more", exact(p.GetRollLife()), exact(r.GetPetLeft()))
	}
	return screen.Say(text)
}

// quorum says whether the witnesses of an epoch could stand in for the API.
func quorum(q *peerv1.Quorum) screen.Cell {
	c := screen.Cell{Tone: screen.Good}
	if q.GetReached() < q.GetNeeded() {
		c.Tone = screen.Bad
	}
	c.Text = fmt.Sprintf("%d of %d answer, %d make a roll (epoch %d)", q.GetReached(), q.GetWitnesses(), q.GetNeeded(), q.GetEpoch())
	if q.GetRetiring() {
		c.Text += ", retiring"
	}
	return c
}

// entry says whom the roll suspects or withholds.
func entry(e *peerv1.Entry, boot string) screen.Cell {
	c := screen.Cell{Text: "suspects", Tone: screen.Warn}
	if e.GetState() == peerv1.Entry_STATE_WITHHELD {
		c = screen.Cell{Text: "withholds", Tone: screen.Bad}
	}
	c.Text += fmt.Sprintf(" %s (fence %s)", e.GetNode(), e.GetFence())
	if e.GetBootId() == boot {
		c.Text += ": this very boot"
	}
	return c
}

// watchdog adds what is known of the device and its holder.
func (t *rows) watchdog(r *peerv1.StatusReply) {
	w := r.GetWatchdog()
	if w == nil {
		t.add("watchdog", screen.Cell{Text: "picket-holder has not spoken yet", Tone: screen.Warn})
		return
	}
	if w.GetDriver() == "" {
		t.add("watchdog", screen.Cell{Text: "none in use: see picket-agent watchdog", Tone: screen.Warn})
	} else {
		facts := []string{fmt.Sprintf("%s (%s)", w.GetDriver(), w.GetKind()), w.GetState()}
		if w.GetTimeout().AsDuration() > 0 {
			facts = append(facts, fmt.Sprintf("T %s, resets within %s", exact(w.GetTimeout()), exact(w.GetRealTimeout())))
		}
		tested := "never tested"
		if w.GetVerified() {
			tested = "verified"
		}
		facts = append(facts, tested, "worst pet delay "+trip(w.GetWorstPetDelay()))
		t.add("watchdog", screen.Say(strings.Join(facts, ", ")))
	}
	if e := w.GetLastError(); e != "" && e != r.GetMessage() {
		t.more(screen.Cell{Text: e, Tone: screen.Warn})
	}
}

// endpoint says how an API server fares.
func endpoint(e *peerv1.Endpoint) screen.Cell {
	switch {
	case !tried(e):
		return screen.Cell{Text: e.GetUrl() + " not asked yet", Tone: screen.Dim}
	case reachable(e):
		return screen.Cell{
			Text: fmt.Sprintf("%s answers, asked %s ago, took %s", e.GetUrl(), since(e.GetAnswered()), trip(e.GetRoundTrip())),
			Tone: screen.Good,
		}
	}
	last := "and never did"
	if e.GetAnswered() != nil {
		last = "last one " + since(e.GetAnswered()) + " ago"
	}
	return screen.Cell{Text: fmt.Sprintf("%s gives no roll, %s: %s", e.GetUrl(), last, e.GetError()), Tone: screen.Bad}
}

// peers counts the neighbours and those who watch this node.
func peers(r *peerv1.StatusReply) screen.Cell {
	var neighbours, callers int
	var gone []string
	for _, p := range r.GetPeers() {
		l := linkOf(p, r.GetLostAfter().AsDuration())
		if p.GetNeighbour() {
			neighbours++
		}
		if p.GetCaller() {
			callers++
		}
		if l == lost || l == onlyIn {
			gone = append(gone, p.GetNode())
		}
	}
	if neighbours == 0 {
		return screen.Cell{Text: "no neighbours yet", Tone: screen.Warn}
	}
	c := screen.Cell{Text: fmt.Sprintf("%d of %s", neighbours-len(gone), screen.Count(neighbours, "neighbour answers", "neighbours answer"))}
	if len(gone) > 0 {
		c.Text += ", lost: " + matrix.Names(gone)
		c.Tone = screen.Bad
	}
	c.Text += "; " + screen.Count(callers, "node watches this one", "nodes watch this one")
	return c
}
