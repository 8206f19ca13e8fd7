package view

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/screen"
	"github.com/picket-dev/picket/proto/timing"
)

// A Wait is the formula of W with one node's numbers.
type Wait struct {
	Node string `json:"node"`
	// Unarmed says why there is no wait; empty: there is one.
	Unarmed string          `json:"unarmed,omitempty"`
	Formula string          `json:"formula"`
	Numbers string          `json:"numbers,omitempty"`
	Terms   []Term          `json:"terms,omitempty"`
	Wait    metav1.Duration `json:"wait"`
	// Failover is from the node's death to the taint: LostAfter until its
	// neighbours miss it, Gate until witnesses have acknowledged the withholding,
	// the Wait, and the RejoinGuard.
	LostAfter   metav1.Duration `json:"lostAfter"`
	Gate        metav1.Duration `json:"gate"`
	RejoinGuard metav1.Duration `json:"rejoinGuard"`
	Failover    metav1.Duration `json:"failover"`
}

// A Term is one term of W.
type Term struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	From   string `json:"from"`
	Bounds string `json:"bounds"`
}

// waitFormula is W as PROTOCOL.md §5 and timing.Wait have it.
const waitFormula = "W = (L + δ + (1+u)·(κT + g+ℓ) + Q) · (1+ρ)"

// ExplainWait returns the formula of W with the node's numbers.
func (s *Snapshot) ExplainWait(node string) (*Wait, error) {
	g := s.guard(node)
	if g == nil {
		return nil, fmt.Errorf("there is no NodeGuard %q: kubectl picket status lists the nodes", node)
	}
	if w := s.wait(g); w != nil {
		return w, nil
	}
	w := &Wait{Node: node, Formula: waitFormula, Unarmed: "the node is not armed"}
	for _, n := range s.nodes() {
		if n.Name == node && n.because() != "" {
			w.Unarmed += ": " + n.because()
		}
	}
	return w, nil
}

// wait returns the formula for an armed node, else nil.
func (s *Snapshot) wait(g *v1alpha1.NodeGuard) *Wait {
	p, err := g.Status.Promise.Pure()
	if err != nil || !p.Armed {
		return nil
	}
	profile := g.Spec.Timing.Resolve(timing.Standard())
	return waitOf(g.Name, p, profile)
}

func waitOf(node string, p timing.Promise, site timing.Profile) *Wait {
	kappa := fmt.Sprintf("%.3g", float64(p.Kappa)/1000)
	w := &Wait{
		Node: node, Formula: waitFormula,
		Numbers: fmt.Sprintf("  = (%s + %s + (1+%d)·(%s + %s) + %s) · 1.001 = %s",
			sec(p.RollLife), sec(p.PetDelay), p.Ungated, sec(p.RealTimeout()), sec(site.ResetLatency), sec(site.Drain),
			sec(timing.Wait(p, site))),
		Terms: []Term{
			{"L", sec(p.RollLife), "promise", "how old the newest roll may be at the last check before a pet"},
			{"δ", sec(p.PetDelay), "promise", "from that check until the ping is done; the holder resets the node when it takes longer"},
			{"κT", sec(p.RealTimeout()), fmt.Sprintf("promise: κ %s × T %s", kappa, sec(p.Timeout)), "from the last ping until the watchdog fires"},
			{"u", fmt.Sprint(p.Ungated), "promise", ungated(p.Ungated)},
			{"g+ℓ", sec(site.ResetLatency), "profile", "the watchdog's granularity, and from its expiry until the machine stands still"},
			{"Q", sec(site.Drain), "profile", "writes that had left the host"},
			{"ρ", "0.001", "fixed", "drift of two hosts' raw clocks"},
		},
	}
	w.Wait.Duration = timing.Wait(p, site)
	w.LostAfter.Duration = site.LostAfter()
	w.Gate.Duration = site.Detection() - site.LostAfter()
	w.RejoinGuard.Duration = site.RejoinGuard
	w.Failover.Duration = timing.Failover(p, site)
	return w
}

func ungated(u int) string {
	if u == 0 {
		return "pings that no roll gates: none, the holder outlives the agent's pod"
	}
	return "pings that no roll gates: the unclean close of a holder that ends with its device, or a shutdown"
}

// sec writes a term's seconds, as many digits as it has.
func sec(d time.Duration) string {
	return fmt.Sprintf("%.4g s", d.Round(time.Millisecond).Seconds())
}

// Health is degraded for a node without a wait: only a proof can fence it.
func (w *Wait) Health() Health {
	if w.Unarmed != "" {
		return Degraded
	}
	return Fine
}

// JSON is the formula itself.
func (w *Wait) JSON() any { return w }

// Draw draws the formula, then its terms, then what comes before and after.
func (w *Wait) Draw(s *screen.Screen, _ bool) {
	if w.Unarmed != "" {
		s.Line(screen.Cell{Text: w.Node + ": " + w.Unarmed, Tone: screen.Warn})
		s.Line(screen.Say("An unarmed node promises nothing, so no wait proves that it is dead, and it is not fenced on time (C9). Only a proof can fence it: once you know that the machine is off, kubectl picket confirm " + w.Node))
		return
	}
	s.Line(screen.Say("How long after its right to run was withdrawn " + w.Node + " provably cannot write any more:"))
	s.Space()
	s.Line(screen.Cell{Text: w.Formula, Tone: screen.Strong})
	s.Row(screen.Say(w.Numbers))
	s.Space()
	t := screen.Table{Head: []string{"TERM", "VALUE", "FROM", "BOUNDS"}}
	for _, x := range w.Terms {
		t.Add(screen.Say(x.Name), screen.Say(x.Value), screen.Say(x.From), screen.Say(x.Bounds))
	}
	s.Table(t)
	s.Space()
	s.Line(screen.Say("From a power cut:"))
	f := screen.Table{Indent: 2}
	for _, x := range []struct {
		d    time.Duration
		what string
	}{
		{w.LostAfter.Duration, "until its neighbours count it as lost (C1)"},
		{w.Gate.Duration, "until it had the time to speak, and witnesses know that it is withheld"},
		{w.Wait.Duration, "W (C5)"},
		{w.RejoinGuard.Duration, "the rejoin guard: a booting kubelet sees the quarantine"},
	} {
		f.Add(screen.Say("≤ "+sec(x.d)), screen.Say(x.what))
	}
	f.Add(screen.Cell{Text: "≤ " + sec(w.Failover.Duration), Tone: screen.Strong}, screen.Cell{Text: "until the out-of-service taint", Tone: screen.Strong})
	s.Table(f)
}
