package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/roll"
	"github.com/picket-dev/picket/proto/timing"
)

// C1's arithmetic: of a node's neighbours that are neither suspected, withheld
// nor reported lost by two others, a majority decides, and at least two.
func TestC1_Judgement(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes  int
		lost   map[string][]string // by whom it is reported
		change func(*plan.World)
		want   []string
	}{
		"nobody":             {nodes: 5},
		"half of them":       {nodes: 5, lost: map[string][]string{"n1": {"n2"}, "n3": {"n2"}}},
		"a majority":         {nodes: 5, lost: map[string][]string{"n1": {"n2"}, "n3": {"n2"}, "n4": {"n2"}}, want: []string{"n2"}},
		"both of two":        {nodes: 3, lost: map[string][]string{"n1": {"n2"}, "n3": {"n2"}}, want: []string{"n2"}},
		"one of two":         {nodes: 3, lost: map[string][]string{"n1": {"n2"}}},
		"the minority's own": {nodes: 5, lost: split("n1,n2", "n3,n4,n5"), want: []string{"n1", "n2"}},
		"one abstains": {
			nodes: 5, lost: map[string][]string{"n1": {"n2"}, "n3": {"n2"}, "n4": {"n2"}},
			change: func(w *plan.World) { status(w, "n4", func(s *plan.GuardStatus) { s.PeersLost = true }) },
			want:   []string{"n2"}, // two of the three that are left
		},
		"one speaks for an earlier boot": {
			nodes: 4, lost: map[string][]string{"n1": {"n2"}, "n3": {"n2"}},
			change: func(w *plan.World) { status(w, "n3", func(s *plan.GuardStatus) { s.Boot = "earlier" }) },
		},
		"it is not armed": {
			nodes: 3, lost: map[string][]string{"n1": {"n2"}, "n3": {"n2"}},
			change: func(w *plan.World) { status(w, "n2", func(s *plan.GuardStatus) { s.Promise = timing.Promise{} }) },
		},
		"its guard was made anew": {
			nodes: 3, lost: map[string][]string{"n1": {"n2"}, "n3": {"n2"}},
			change: func(w *plan.World) { status(w, "n2", func(s *plan.GuardStatus) { *s = plan.GuardStatus{} }) },
		},
		"it has no guard": {
			nodes: 3, lost: map[string][]string{"n1": {"n2"}, "n3": {"n2"}},
			change: func(w *plan.World) { delete(w.Guards, "n2") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, tt.nodes)
			w := c.world(c.policy, c.leader().clock())
			for by, lost := range tt.lost {
				status(&w, by, func(s *plan.GuardStatus) { s.Lost = lost })
			}
			if tt.change != nil {
				tt.change(&w)
			}
			actions, _ := c.leader().core.Plan(c.leader().clock(), w)
			var got []string
			for _, a := range actions {
				if m, ok := a.(plan.MakeFence); ok {
					got = append(got, m.Node)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func status(w *plan.World, node string, change func(*plan.GuardStatus)) {
	g := w.Guards[node]
	change(&g.Status)
	w.Guards[node] = g
}

// split returns the reports of two halves of a cluster about each other.
func split(a, b string) map[string][]string {
	lost := make(map[string][]string)
	for n := range strings.SplitSeq(a, ",") {
		lost[n] = strings.Split(b, ",")
	}
	for n := range strings.SplitSeq(b, ",") {
		lost[n] = strings.Split(a, ",")
	}
	return lost
}

// A node that its neighbours lose and that is well says so, and nothing more
// happens to it; not even when it happens again at once.
func TestC1_ALiveNodeRefutes(t *testing.T) {
	c := ready(t, 5)
	c.strand("n2")
	c.until("n2", plan.Refuted, 10*time.Second)
	want := []string{"C1 PeersLost n2", "fence n2 PeersLost", "roll n2=Suspected e1", "roll e1", "C1 Refuted n2"}
	if d := cmp.Diff(want, c.script); d != "" {
		t.Error(d)
	}
	c.run(time.Minute)
	if m := c.machine("n2"); m.latched || m.boots > 1 || slices.ContainsFunc(c.script, func(s string) bool { return strings.Contains(s, "Withheld") }) {
		t.Errorf("withheld: %v", c.script)
	}
}

// The nodes lose the API while a suspicion is open: nobody may be withheld who
// could not speak.
func TestC1_NoGateWithoutFreshReads(t *testing.T) {
	c := ready(t, 5)
	m := c.machine("n2")
	m.hung, m.silent = true, c.now // its agent stands still for a moment
	c.until("n2", plan.Suspected, 10*time.Second)
	for _, m := range c.machines {
		m.api = false
	}
	m.hung = false
	c.run(time.Minute)
	for _, m := range c.machines {
		m.api = true
	}
	c.run(10 * time.Second)
	if m.latched || m.boots > 1 || !m.on {
		t.Error("the node was reset")
	}
	if !slices.Contains(c.script, "C9 QuorumBlocked n2") {
		t.Errorf("nobody was told: %v", c.script)
	}
	if len(c.roll.Entries) > 0 {
		t.Errorf("entries %v", c.roll.Entries)
	}
}

// C2 is off unless the policy asks for it, and takes one node at a time.
func TestC2_KubeletSilent(t *testing.T) {
	for name, after := range map[string]time.Duration{"off": 0, "on": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.policy.NotReadyAfter = after
			for _, name := range []string{"n2", "n3"} {
				c.machine(name).deaf = true
				n := c.nodes[name]
				n.Ready, n.NotReadyFor = false, time.Minute
				c.putNode(n)
			}
			c.run(time.Second)
			var want []string
			if after > 0 {
				want = []string{
					"C2 KubeletSilent n2", "fence n2 KubeletSilent",
					"C2 KubeletSilent n3", "fence n3 KubeletSilent",
					"C9 FenceBlocked n3", "roll n2=Withheld e1",
					"C4 taints n2 NoSchedule", "silence n2", "C4 Quarantined n2",
				}
			}
			if d := cmp.Diff(want, c.script); d != "" {
				t.Error(d)
			}
		})
	}
}

// C3: what was asked for is withheld without a gate, and once only.
func TestC3_Requested(t *testing.T) {
	c := ready(t, 5)
	c.policy.KeepReady = true
	c.ask("n2", plan.Requested)
	c.ask("n2", "SomethingElse")
	c.until("n2", plan.Blocked, time.Second)
	if b := c.fenceOf("n2").Status.Blockers; len(b) == 0 || !strings.HasPrefix(b[0], "Duplicate: fence f1") {
		t.Errorf("blockers %v", b)
	}
	c.run(time.Second)
	want := []string{"C9 FenceBlocked n2", "roll n2=Withheld e1", "C4 taints n2 NoSchedule", "silence n2", "C4 Quarantined n2"}
	if d := cmp.Diff(want, c.script); d != "" {
		t.Error(d)
	}
	c.runUntil(time.Minute, func() bool { return c.fences["f1"].Status.Phase == plan.Fenced })
	c.reboot("n2")
	c.run(20 * time.Second)
	for name, want := range map[string]plan.Phase{"f1": plan.Recovered, "f2": plan.Recovered} {
		if got := c.fences[name].Status.Phase; got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
	}
	if m := c.machine("n2"); m.latched || m.boots != 2 {
		t.Error("fenced twice")
	}
}

// Whoever deletes a fence before its taint gets the node back as it was.
func TestC3_DeletedFence(t *testing.T) {
	for _, phase := range []plan.Phase{plan.Blocked, plan.Suspected, plan.Withheld} {
		t.Run(string(phase), func(t *testing.T) {
			c := ready(t, 5)
			switch phase {
			case plan.Blocked:
				c.policy.Observe = true
				c.ask("n2", plan.Requested)
			default:
				c.cut("n2")
			}
			c.until("n2", phase, 20*time.Second)
			c.policy.Observe = true // no new one
			c.store.delete(c.fenceOf("n2").Name)
			c.run(time.Second)
			n := c.nodes["n2"]
			if len(c.fences) > 1 || n.Fence != "" || len(n.Taints) > 0 || len(c.roll.Entries) > 0 {
				t.Errorf("left: %v %+v %v", c.listFences(), n, c.roll.Entries)
			}
		})
	}
}

// C5's look for life: signs of life after c cost 20 s of silence; a power cut
// pays nothing for it (TestC1toC8), and a new boot is never tainted.
func TestC5_LifeAfterC(t *testing.T) {
	c := ready(t, 5)
	m := c.machine("n2")
	m.hung, m.silent = true, c.now // the kubelet lives on until the dog bites
	began := c.now
	c.until("n2", plan.Withheld, 20*time.Second)
	c.nodesBeat("n2", 5*time.Second)
	c.until("n2", plan.Fenced, time.Minute)
	if took, least := c.now-began, timing.Failover(m.want, c.policy.Profile)+18*time.Second; took < least {
		t.Errorf("tainted after %v, not after %v", took, least)
	}
}

// nodesBeat lets a kubelet renew its Lease for a while.
func (c *cluster) nodesBeat(node string, d time.Duration) {
	for end := c.now + d; c.now < end; {
		c.run(time.Second)
		c.leases[node]++
	}
}

// A node that boots anew at any moment before the taint is not tainted.
func TestC5_ANewBootIsNotTainted(t *testing.T) {
	for wait := time.Second; wait < 34*time.Second; wait += 700 * time.Millisecond {
		c := ready(t, 5)
		c.cut("n2")
		c.run(wait)
		if outOfService(c.nodes["n2"]) {
			break
		}
		c.reboot("n2")
		c.run(15 * time.Second)
		n := c.nodes["n2"]
		if outOfService(n) || n.Fence != "" || len(c.roll.Entries) > 0 || c.machine("n2").boots != 2 || c.machine("n2").latched {
			t.Errorf("rebooted %v after the cut: %+v %v", wait, n, c.roll.Entries)
		}
		if p := c.phase("n2"); p != "" && p != plan.Recovered && p != plan.Refuted {
			t.Errorf("rebooted %v after the cut: %s", wait, p)
		}
	}
}

// A guard that was deleted and made anew says nothing, least of all that there
// is a new boot.
func TestC5_AGuardMadeAnewIsNoNewBoot(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.run(3 * time.Second)
	delete(c.guards, "n2")
	c.until("n2", plan.Fenced, time.Minute)
	delete(c.guards, "n2")
	c.until("n2", plan.Detached, 10*time.Second)
	delete(c.guards, "n2")
	c.run(10 * time.Second)
	if p := c.phase("n2"); p != plan.Detached {
		t.Errorf("%s without a new boot", p)
	}
}

// C6 waits for pods and volumes, leaves alone what stays, and says what blocks.
func TestC6_Detach(t *testing.T) {
	c := ready(t, 5)
	c.pods["n2"] = []plan.Pod{
		{Namespace: "a", Name: "plain", UID: "1", Version: "1"},
		{Namespace: "a", Name: "stuck", UID: "2", Version: "1", Finalizers: []string{"x/y"}},
		{Namespace: "a", Name: "tolerates", UID: "3", Version: "1", Tolerates: true},
		{Namespace: "a", Name: "retained", UID: "4", Version: "1", Retain: true},
	}
	c.toWithheld("n2")
	c.until("n2", plan.Fenced, time.Minute)
	c.run(5 * time.Second)
	want := []string{"pod a/stuck (finalizers [x/y])", "volumeattachment va-n2"}
	if d := cmp.Diff(want, c.fenceOf("n2").Status.Blockers); d != "" {
		t.Error(d)
	}
	if !slices.Contains(c.script, "C6 DetachBlocked n2") || !outOfService(c.nodes["n2"]) {
		t.Errorf("%v %+v", c.script, c.nodes["n2"])
	}
	if slices.Contains(c.script, "delete tolerates") || slices.Contains(c.script, "delete retained") {
		t.Errorf("deleted what stays: %v", c.script)
	}
	c.pods["n2"], c.vas["n2"] = nil, nil
	c.until("n2", plan.Detached, 2*time.Second)
}

// C8 asks for a new boot, its agent's word and its kubelet's.
func TestC8_Recovery(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(*cluster)
		want   plan.Phase
	}{
		"well":                 {func(c *cluster) { c.reboot("n2") }, plan.Recovered},
		"off":                  {func(*cluster) {}, plan.Detached},
		"dirty":                {func(c *cluster) { c.reboot("n2"); c.machine("n2").dirty = true }, plan.Detached},
		"without its kubelet":  {func(c *cluster) { c.reboot("n2"); c.machine("n2").deaf = true }, plan.Detached},
		"without its agent":    {func(c *cluster) { c.reboot("n2"); c.machine("n2").hung = true }, plan.Detached},
		"node deleted":         {func(c *cluster) { delete(c.nodes, "n2") }, plan.Recovered},
		"node made anew, off":  {func(c *cluster) { c.remake("n2/1") }, plan.Detached},
		"node made anew, well": {func(c *cluster) { c.remake("n2/1"); c.reboot("n2") }, plan.Recovered},
		"the word of the boot before": {func(c *cluster) {
			c.reboot("n2")
			c.machine("n2").deaf = true
			c.run(2 * time.Second)
			c.cut("n2")
			n := c.nodes["n2"]
			n.Boot, n.Ready = "n2/3", true
			c.putNode(n)
		}, plan.Detached},
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.toWithheld("n2")
			c.until("n2", plan.Detached, time.Minute)
			tt.before(c)
			c.run(10 * time.Second)
			if p := c.phase("n2"); p != tt.want {
				t.Errorf("%s, not %s", p, tt.want)
			}
			n := c.nodes["n2"]
			if marked := n.Fence != ""; marked != (tt.want == plan.Detached) || outOfService(n) {
				t.Errorf("marks: %+v", n)
			}
		})
	}
}

// remake deletes the Node object of n2 and makes it anew.
func (c *cluster) remake(boot string) {
	const name = "n2"
	delete(c.nodes, name)
	c.putNode(plan.Node{
		Name: name, UID: "again-" + name, Boot: boot, MachineID: "machine-" + name, SystemUUID: "uuid-" + name, Ready: true,
	})
}

// C8: a cache without the node is no proof that it is gone.
func TestC8_ANodeMissingFromTheCacheIsNotGone(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	c.until("n2", plan.Detached, time.Minute)
	l := c.leader()
	for range 20 {
		c.now += 100 * time.Millisecond
		l.sync()
		delete(l.world.nodes, "n2")
		for _, a := range l.plan() {
			l.act(a)
		}
	}
	if n := c.nodes["n2"]; n.Fence == "" || c.phase("n2") != plan.Detached {
		t.Errorf("%s, %+v", c.phase("n2"), n)
	}
}

// A fence that has ended stays readable for an hour, and for good if somebody
// else owns it.
func TestC8_EndedFencesGo(t *testing.T) {
	for name, foreign := range map[string]bool{"ours": false, "NHC's": true} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.toWithheld("n2")
			f := c.fenceOf("n2")
			f.Foreign = foreign
			c.putFence(f)
			c.until("n2", plan.Detached, time.Minute)
			c.reboot("n2")
			c.until("n2", plan.Recovered, time.Minute)
			for range 3700 {
				c.now += time.Second
				c.leader().work()
			}
			if left := c.fenceOf("n2").Name != ""; left != foreign {
				t.Errorf("left: %v", left)
			}
			if foreign {
				c.store.delete(c.fenceOf("n2").Name)
				c.run(time.Second)
				if c.fenceOf("n2").Name != "" {
					t.Error("not let go of")
				}
			}
		})
	}
}

// C9: what keeps a fence from beginning is said, and nothing is withheld.
func TestC9_Blockers(t *testing.T) {
	for want, change := range map[string]func(*cluster){
		"Observe":    func(c *cluster) { c.policy.Observe = true },
		"Paused":     func(c *cluster) { c.policy.Paused = "maintenance" },
		"Unverified": func(c *cluster) { c.policy.RequireVerified = true },
		"Excluded":   func(c *cluster) { c.exclude("n2") },
		"NotArmed":   func(c *cluster) { c.machine("n2").want.Armed = false; c.run(5 * time.Second) },
		"WrongBoot":  func(c *cluster) { c.proveDead("f1", "another") },
		"NoNode":     func(c *cluster) { delete(c.nodes, "n2") },
		"OtherHistory": func(c *cluster) {
			g := c.guards["n2"]
			g.Status.History = "earlier"
			c.putGuard(g)
			c.machine("n2").history = "earlier"
			c.machine("n2").api = false
		},
		"StormGuard": func(c *cluster) { c.ask("n3", plan.Requested); c.run(time.Second) },
		"HistoryBroken": func(c *cluster) {
			status := c.guards["n4"]
			status.Status.HistoryBroken = "it went back"
			c.putGuard(status)
			c.machine("n4").broken = "it went back"
			c.run(2 * time.Second)
		},
	} {
		t.Run(want, func(t *testing.T) {
			c := ready(t, 5)
			for _, m := range c.machines {
				m.unverified = want == "Unverified"
			}
			if want == "WrongBoot" {
				c.ask("n2", plan.Requested)
			}
			change(c)
			if want != "WrongBoot" {
				c.ask("n2", plan.Requested)
			}
			c.run(3 * time.Second)
			s := c.fenceOf("n2").Status
			said := slices.ContainsFunc(s.Blockers, func(b string) bool { return strings.HasPrefix(b, want) })
			if s.Phase != plan.Blocked || !said {
				t.Errorf("%s %v", s.Phase, s.Blockers)
			}
			if want != "NoNode" && !slices.Contains(c.script, "C9 FenceBlocked n2") {
				t.Errorf("nobody was told: %v", c.script)
			}
			if slices.ContainsFunc(c.roll.Entries, func(e roll.Entry) bool { return e.Node == "n2" }) {
				t.Errorf("listed: %v", c.roll.Entries)
			}
		})
	}
}

func (c *cluster) exclude(name string) {
	n := c.nodes[name]
	n.Excluded = true
	c.putNode(n)
}

// The storm guard: half of the nodes, one control-plane node, and never one
// without which etcd has no majority.
func TestC9_StormGuard(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes, masters int
		cut            []string
		want           int
	}{
		"two of five":               {5, 0, []string{"n1", "n2"}, 2},
		"three of seven":            {7, 0, []string{"n1", "n2", "n3"}, 3},
		"one of three masters":      {7, 3, []string{"n1"}, 1},
		"two of three masters":      {7, 3, []string{"n1", "n2"}, 1},
		"the only master":           {5, 1, []string{"n1"}, 0},
		"one of two masters":        {5, 2, []string{"n1"}, 0},
		"two of five masters":       {9, 5, []string{"n1", "n2"}, 1},
		"a master and two ordinary": {7, 3, []string{"n1", "n5", "n6"}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, tt.nodes)
			for i := range tt.masters {
				n := c.nodes[nodeName(i)]
				n.ControlPlane = true
				c.putNode(n)
			}
			c.settle()
			for _, n := range tt.cut {
				c.cut(n)
			}
			c.run(25 * time.Second)
			withheld := 0
			for _, e := range c.roll.Entries {
				if e.State == roll.Withheld {
					withheld++
				}
			}
			if withheld != tt.want {
				t.Errorf("%d withheld, not %d: %v", withheld, tt.want, c.roll.Entries)
			}
		})
	}
}

// A Roll that was deleted or went back pauses fencing until a human resumes it;
// open fences begin again under new IDs, and those that are tainted stand.
func TestC9_HistoryBroken(t *testing.T) {
	for name, broken := range map[string]func(*cluster, plan.Roll){
		"deleted": func(c *cluster, _ plan.Roll) {
			r := *c.roll
			r.Deleting, r.Version = true, c.version()
			c.roll = &r
		},
		"gone": func(c *cluster, _ plan.Roll) { c.roll = nil },
		"restored": func(c *cluster, old plan.Roll) {
			old.Version = c.version()
			c.roll = &old
		},
		"restored, new leader": func(c *cluster, old plan.Roll) {
			old.Version = c.version()
			c.roll = &old
			c.elect()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 7)
			old := *c.roll
			c.toWithheld("n1")
			c.until("n1", plan.Detached, time.Minute)
			c.toWithheld("n2")
			c.run(2 * time.Second)
			first, history := c.fenceOf("n2").Status.Fence, c.roll.History
			c.restored = true
			broken(c, old)
			c.run(10 * time.Second)
			if c.roll.History == history || c.roll.Broken == "" {
				t.Fatalf("history %s goes on", history)
			}
			if p := c.phase("n2"); p != plan.Blocked {
				t.Errorf("n2: %s", p)
			}
			if p := c.phase("n1"); p != plan.Detached || !c.roll.Withholds("n1/1") {
				t.Errorf("n1: %s, %v", p, c.roll.Entries)
			}
			for _, m := range c.machines[2:] {
				if m.latched || m.boots > 1 {
					t.Errorf("%s was reset", m.name)
				}
			}
			// n2 died before it could publish under the new history: only a
			// proof can fence it.
			c.policy.ResumeHistory = c.roll.History
			c.run(20 * time.Second)
			s := c.fenceOf("n2").Status
			if s.Phase != plan.Blocked || !strings.HasPrefix(s.Blockers[0], "OtherHistory") || len(c.fences) != 2 {
				t.Errorf("%d fences, %+v", len(c.fences), s)
			}
			c.proveDead(c.fenceOf("n2").Name, "n2/1")
			c.until("n2", plan.Fenced, 10*time.Second)
			if c.fenceOf("n2").Status.Fence == first || c.roll.Broken != "" {
				t.Errorf("fence %s goes on, broken %q", first, c.roll.Broken)
			}
			// Whoever lives is fenced as ever.
			c.cut("n3")
			c.until("n3", plan.Fenced, time.Minute)
		})
	}
}

// Fewer than three nodes: nobody arms, unless the policy accepts that.
func TestC9_TwoNodes(t *testing.T) {
	for name, accept := range map[string]bool{"refused": false, "accepted": true} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2)
			c.policy.AcceptTwoNodes = accept
			c.run(10 * time.Second)
			if armed := c.guards["n1"].Status.Promise.Armed; armed != accept {
				t.Errorf("armed %v", armed)
			}
			if got := len(c.roll.Epochs) > 0; got != accept {
				t.Errorf("epochs %v", c.roll.Epochs)
			}
		})
	}
}

// C11: what others do to taints is neither adopted nor undone, but for the
// quarantine.
func TestC11_ForeignTaints(t *testing.T) {
	foreign := plan.Taint{Key: "somebody/else", Effect: "NoSchedule"}
	oos := plan.Taint{Key: plan.OutOfServiceKey, Value: "nodeshutdown", Effect: "NoExecute"}
	c := ready(t, 5)
	c.taint("n3", oos, foreign)
	c.taint("n2", foreign)
	c.toWithheld("n2")
	c.until("n2", plan.Fenced, time.Minute)
	if n := c.nodes["n2"]; !slices.Contains(n.Taints, foreign) {
		t.Errorf("a foreign taint was lost: %v", n.Taints)
	}
	c.pods["n2"] = []plan.Pod{{Name: "stuck", UID: "9", Finalizers: []string{"x"}}}
	c.taint("n2") // somebody removes all of ours
	c.run(time.Second)
	n := c.nodes["n2"]
	if outOfService(n) || !slices.Contains(n.Taints, plan.Taint{Key: plan.QuarantineKey, Value: "n2/1", Effect: "NoExecute"}) {
		t.Errorf("taints %v", n.Taints)
	}
	for _, want := range []string{"C11 ForeignTaint n3", "C11 QuarantineRestored n2", "C11 TaintRemoved n2"} {
		if !slices.Contains(c.script, want) {
			t.Errorf("no %q: %v", want, c.script)
		}
	}
	if d := cmp.Diff([]plan.Taint{oos, foreign}, c.nodes["n3"].Taints); d != "" {
		t.Error(d)
	}
}

func (c *cluster) taint(name string, taints ...plan.Taint) {
	n := c.nodes[name]
	n.Taints = taints
	c.putNode(n)
}

// C12: when many agents reach no quorum, the network between them is broken.
func TestC12_PeerPathBroken(t *testing.T) {
	for name, tt := range map[string]struct {
		alone int
		want  []string
	}{"one": {1, nil}, "most": {4, []string{"C12 PeerPathBroken "}}} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			for i := range tt.alone {
				c.strand(nodeName(i))
			}
			c.run(3 * time.Second)
			var got []string
			for _, line := range c.script {
				if strings.HasPrefix(line, "C12") {
					got = append(got, line)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%s\n%v", d, c.script)
			}
			for _, e := range c.roll.Entries {
				if e.State == roll.Withheld {
					t.Errorf("withheld: %v", e)
				}
			}
		})
	}
}

// C5: the last look reads the Roll last and the Node first, and both must be as
// they were: what the leader knew before is not enough.
func TestC5_TheLastLookDecides(t *testing.T) {
	for name, change := range map[string]func(*cluster){
		"the entry is gone":      func(c *cluster) { c.loseEntries() },
		"the node booted anew":   func(c *cluster) { n := c.nodes["n2"]; n.Boot = "n2/2"; c.putNode(n) },
		"another machine has it": func(c *cluster) { n := c.nodes["n2"]; n.Boot, n.MachineID = "n9/1", "m"; c.putNode(n) },
		"the agent booted anew": func(c *cluster) {
			g := c.guards["n2"]
			g.Status.Boot = "n2/2"
			c.putGuard(g)
		},
		"the Node was made anew": func(c *cluster) { n := c.nodes["n2"]; n.UID = "again"; c.putNode(n) },
		"the kubelet lives":      func(c *cluster) { c.leases["n2"]++ },
		"the agent lives": func(c *cluster) {
			g := c.guards["n2"]
			g.Status.Writes++
			c.putGuard(g)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.toWithheld("n2")
			l := c.leader()
			quarantined := func() bool {
				return slices.ContainsFunc(c.nodes["n2"].Taints, func(t plan.Taint) bool { return t.Effect == "NoExecute" })
			}
			c.steps(quarantined)
			c.steps(func() bool { return len(c.looked["n2"]) > 0 && !outOfService(c.nodes["n2"]) })
			c.steps(func() bool { return true }) // the guard runs from this look
			l.sync()
			change(c)
			for end := c.now + 5*time.Second; c.now < end; c.now += 100 * time.Millisecond {
				for _, a := range l.plan() { // on caches and a Roll from before
					if _, put := a.(plan.PutRoll); !put {
						l.act(a)
					}
				}
				if outOfService(c.nodes["n2"]) {
					t.Fatal("tainted")
				}
			}
		})
	}
}

// The write that says how long the wait is may be lost: the next one says it.
func TestC5_TheWaitIsTold(t *testing.T) {
	c := ready(t, 5)
	c.toWithheld("n2")
	l := c.leader()
	lost := 0
	for end := c.now + 5*time.Second; c.now < end; c.now += tick {
		c.live()
		l.sync()
		for _, a := range l.plan() {
			if put, ok := a.(plan.PutFence); ok && put.Status.DeadlineIn > 0 && lost < 3 {
				lost++
				continue
			}
			l.act(a)
		}
	}
	s := c.fenceOf("n2").Status
	told := 0
	for _, step := range s.Steps {
		if strings.Contains(step.What, "waiting W") {
			told++
		}
	}
	if lost != 3 || told != 1 || s.DeadlineIn <= 0 || len(s.Acknowledged) == 0 || !strings.HasPrefix(s.WaitsFor, "C5: the wait of") {
		t.Errorf("after %d lost writes: told %d times, deadline in %v, acknowledged by %v, waits for %q", lost, told, s.DeadlineIn, s.Acknowledged, s.WaitsFor)
	}
}

// Step 4: what the guard says after the withholding decides, not the cache.
func TestC5_TheGuardIsReadAfterTheWithholding(t *testing.T) {
	for name, change := range map[string]func(*plan.GuardStatus){
		"unarmed":                func(s *plan.GuardStatus) { s.Promise = timing.Promise{} },
		"another boot":           func(s *plan.GuardStatus) { s.Boot = "n2/2" },
		"another history":        func(s *plan.GuardStatus) { s.History = "earlier" },
		"a promise that is void": func(s *plan.GuardStatus) { s.Promise.Kappa = 0 },
		"made anew":              func(s *plan.GuardStatus) { *s = plan.GuardStatus{} },
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.cut("n2")
			c.steps(func() bool { return c.roll.Withholds("n2/1") })
			old := c.guards["n2"]
			g := old
			change(&g.Status)
			c.putGuard(g)
			c.stale(10*time.Second, "n2", old)
			for _, line := range c.script {
				if strings.HasPrefix(line, "C4") || strings.HasPrefix(line, "C5 taints") {
					t.Errorf("went on: %v", c.script)
				}
			}
			if f := c.listFences()[0]; f.Status.Phase != plan.Refuted {
				t.Errorf("%+v", f.Status)
			}
		})
	}
}

// C1's last look: the node has spoken, and the cache does not know it.
func TestC1_TheLastLookDecides(t *testing.T) {
	for name, change := range map[string]func(*cluster, *plan.GuardStatus){
		"refuted":      func(c *cluster, s *plan.GuardStatus) { s.Refutes = c.fenceOf("n2").Status.Fence },
		"unarmed":      func(_ *cluster, s *plan.GuardStatus) { s.Promise = timing.Promise{} },
		"another boot": func(_ *cluster, s *plan.GuardStatus) { s.Boot = "n2/2" },
	} {
		t.Run(name, func(t *testing.T) {
			c := ready(t, 5)
			c.cut("n2")
			c.until("n2", plan.Suspected, 10*time.Second)
			old := c.guards["n2"]
			g := old
			change(c, &g.Status)
			c.putGuard(g)
			c.stale(4*time.Second, "n2", old)
			if f := c.listFences()[0]; f.Status.Phase != plan.Refuted {
				t.Errorf("%+v", f.Status)
			}
			if len(c.script) < 3 || strings.Contains(strings.Join(c.script[:5], " "), "Withheld") {
				t.Errorf("%v", c.script)
			}
		})
	}
}

// stale runs for a while, with the leader's cache of one guard as it was.
func (c *cluster) stale(d time.Duration, node string, old plan.Guard) {
	l := c.leader()
	for end := c.now + d; c.now < end; {
		c.now += tick
		c.live()
		l.sync()
		l.world.guards[node] = old
		for _, a := range l.plan() {
			if _, guard := a.(plan.PutGuard); !guard {
				l.act(a)
			}
		}
	}
}
