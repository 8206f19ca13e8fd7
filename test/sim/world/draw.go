package world

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// theme is a set of kinds that meet in one schedule, the first of which is
// certain to happen.
var themes = [][]FaultKind{
	{PowerCut},
	{PowerCut, APIDown, APIApart},
	{PowerCut, LeaderCrash, LeaderPause, Rival},
	{Hang, APIApart, LeaderPause},
	{Hang, HangAndClose},
	{HangAndClose, Isolate},
	{StallAndHang, HumanFence, Silence},
	{HumanFence, CutIn, CutOut, HolderStall},
	{HumanFence, StallAndHang, CutOut},
	{Silence, CutIn, APIDown, APIApart},
	{Silence, CutOut, CutIn, Upgrade},
	{Silence, APIApart, AgentCrash, LeaderCrash},
	{Silence, AgentDies, Upgrade, CutOut},
	{Isolate, APIDown, Hang},
	{Isolate, FastReboot, CutPeer},
	{Island, HumanFence, APIApart},
	{APIDown, Silence, AgentCrash, AgentDies},
	{APIApart, Silence, Upgrade, HolderCrash},
	{APIApart, Retune, AgentCrash},
	{APIRefuse, Isolate, AgentPause},
	{APISlow, Silence, Upgrade, Twice},
	{Upgrade, HumanFence, CutOut, CutIn},
	{Upgrade, HumanFence, APISlow},
	{Mute, Silence, Upgrade, Retune},
	{Retune, HumanFence, CutIn, AgentDies},
	{Retune, Hang, CutOut},
	{Shutdown, HumanFence, ShutdownHang},
	{ShutdownHang, HumanFence, Isolate},
	{DeviceFails, HumanFence, AgentCrash},
	{FastReboot, HumanFence, Silence},
	{PowerCut, FastReboot, WatchBreaks},
	{HumanFence, FastReboot, LeaderPause},
	{HumanFence, PowerCut, LeaderPause, Rival, HumanDelete},
	{HumanFence, HumanDelete, HumanForce, Proof},
	{PowerCut, Proof, HumanForce, StripTaints},
	{FalseProof, HumanFence, StripTaints},
	{DeleteRoll, APIApart, PowerCut},
	{RestoreRoll, HumanFence, PowerCut},
	{DeleteNode, PowerCut, Join},
	{Join, DeleteNode, APIApart, LeaderCrash},
	{Blockade, APIDown},
	{AgentPause, HolderPause, Lossy},
	{HolderCrash, HolderPause, Hang},
	{HolderPause, HumanFence, CutOut},
	{KubeletHang, LeaderPause},
	{LinkDown, StorageDown, CutPeer},
	{Observe, Exclude, PauseFencing, HumanFence},
	{ForeignTaint, StripTaints, HumanFence},
	{LeaderPause, HumanFence, Hang, APIDown},
	{Isolate, Upgrade, APIApart},
	{WatchBreaks, Isolate, LeaderCrash},
}

// drawFaults draws what goes wrong: a siege, a theme, or any kinds at all
// (swarm).
func (s *Setting) drawFaults(d dice) {
	switch kind := d.IntN(10); {
	case kind < 3 && !s.Cold:
		s.drawSiege(d)
	case kind < 5:
		s.drawTheme(d, pick(d, 1, 1, 2, 2, 3, 4))
	default:
		s.drawSkirmish(d)
	}
	slices.SortStableFunc(s.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	r := s.Profile.RollInterval
	for _, f := range s.Faults {
		if f.On == NoMoment {
			s.Span = max(s.Span, f.At+f.For)
		}
	}
	s.Span += r/4 + d.upTo(r)
}

// drawSiege draws a fence against a node that lives, and what keeps it from
// hearing of it, at just the wrong moments.
func (s *Setting) drawSiege(d dice) {
	r, life := s.Profile.RollInterval, s.Profile.RollLife
	victim := d.IntN(s.Nodes)
	begin := r + d.upTo(2*r)
	long := life + 2*r
	switch kind := d.IntN(20); {
	case kind == 16:
		s.drawStaleLeader(d, victim, begin)
		return
	case kind > 16 && kind < 19:
		s.drawReturn(d, victim, begin)
		return
	case kind == 19:
		s.drawRearming(d, victim, begin)
		return
	case kind < 4:
		s.drawParting(d, victim, begin)
		return
	case kind < 10 && s.Nodes > 3:
		s.drawExile(d, victim, begin)
		return
	}
	add := func(f Fault) {
		f.Node, f.Peer = victim, d.IntN(s.Nodes)
		s.Faults = append(s.Faults, f)
	}
	// What changes the promise just before.
	if d.chance(1, 3) {
		add(Fault{Kind: pick(d, Upgrade, Upgrade, Retune, Retune, Shutdown, ShutdownHang, DeviceFails, AgentCrash, AgentDies, APISlow, Observe), At: max(0, begin+d.upTo(2*r)-r), For: pick(d, r/4, r, life)})
	}
	ask, on := HumanFence, NoMoment
	switch d.IntN(8) {
	case 0, 1: // nobody hears it, and it cannot speak
		ask = Silence
		add(Fault{Kind: pick(d, CutOut, CutOut, CutIn), At: begin + d.upTo(r), For: long + 6*r})
		s.Span = begin + 6*r
	case 2:
		on, begin = Unarmed, d.upTo(r/2)
	default:
	}
	s.Span += begin + life + s.Profile.PetDelay + r
	add(Fault{Kind: ask, On: on, At: begin, For: s.Span - begin})
	// What keeps it from hearing.
	if d.chance(7, 8) {
		add(Fault{Kind: pick(d, Isolate, Isolate, Isolate, Island, CutIn, CutIn, CutOut, CutPeer), On: Withheld, Its: true, At: pick(d, 0, 0, d.upTo(r/4)), For: long})
	}
	if d.chance(1, 3) {
		add(Fault{Kind: Tardy, At: begin, For: life})
	}
	// What makes it live on.
	if d.chance(3, 4) {
		add(Fault{
			Kind: pick(d, Hang, HangAndClose, StallAndHang, StallAndHang, LastGasp, LastGasp, LastGasp, LastGasp, HolderPause, HolderCrash, AgentCrash, FastReboot),
			On:   Withheld, Its: true, At: pick(d, 0, 0, d.upTo(life+s.Profile.PetDelay)), For: pick(d, r/4, r, long),
		})
	}
	for d.chance(1, 4) {
		on := pick(d, NoMoment, Withheld, Quarantined)
		at := d.upTo(r)
		if on == NoMoment {
			at += begin
		}
		add(Fault{Kind: FaultKind(d.IntN(int(lastFault))), On: on, At: at, For: pick(d, r/4, r, life)})
	}
}

// drawParting draws a change of the promise, a fence in the middle of it, and a
// way to the API that fails.
func (s *Setting) drawParting(d dice, victim int, begin time.Duration) {
	r, life := s.Profile.RollInterval, s.Profile.RollLife
	add := func(kind FaultKind, on Moment, at, lasts time.Duration) {
		s.Faults = append(s.Faults, Fault{Kind: kind, On: on, Its: on != NoMoment, At: at, For: lasts, Node: victim})
	}
	add(pick(d, Upgrade, Upgrade, Retune, Retune, Shutdown, ShutdownHang), NoMoment, begin, r)
	if d.chance(1, 4) {
		add(Mute, NoMoment, begin-d.upTo(r/2), 4*life)
		s.Span = 2 * life
	} else {
		add(pick(d, CutOut, CutOut, CutIn, Isolate, Tardy, APISlow, AgentDies), pick(d, Leaves, Leaves, Unarmed), pick(d, 0, d.upTo(r/20), d.upTo(r)), life+r)
	}
	add(HumanFence, pick(d, Leaves, Leaves, NoMoment, Unarmed), pick(d, d.upTo(r/20), d.upTo(r)), r)
	if last := &s.Faults[2]; last.On == NoMoment {
		last.At += begin - r/4
	}
	if d.chance(2, 3) {
		add(pick(d, LastGasp, LastGasp, Hang), Withheld, 0, life)
		add(Isolate, Withheld, d.upTo(r/4), 2*life)
	}
	if d.chance(1, 4) {
		add(Retune, NoMoment, r/2, 0)
	}
	if d.chance(1, 4) {
		add(WatchBreaks, Leaves, 0, d.upTo(4*r))
	}
	s.Span += begin + life + r
}

// drawReturn draws a node that comes back when the wait for its last boot is
// over, and a leader that sees it late.
func (s *Setting) drawReturn(d dice, victim int, begin time.Duration) {
	r, g := s.Profile.RollInterval, s.Gear[victim]
	w := timing.Wait(timing.Promise{
		Armed: true, RollLife: s.Profile.RollLife, PetDelay: s.Profile.PetDelay,
		Timeout: s.Profile.RealTimeout * 1000 / time.Duration(g.Kappa), Kappa: g.Kappa, Ungated: g.Ungated,
	}, s.Profile)
	s.Faults = []Fault{
		{Kind: HumanFence, At: begin, Node: victim},
		{Kind: PowerCut, On: Withheld, For: w - r/2 + d.upTo(2*r), Node: victim},
	}
	if d.chance(2, 3) {
		s.Faults = append(s.Faults, Fault{Kind: WatchBreaks, On: Withheld, At: w - 2*r, For: 5 * r, Peer: pick(d, 0, 1, 3, 3)})
	}
	if d.chance(2, 3) {
		s.Faults = append(s.Faults, Fault{Kind: pick(d, APISlow, APISlow, APISlow, LeaderPause, LeaderPause, Rival, HumanDelete, StripTaints), On: pick(d, Quarantined, Boots), Its: true, At: d.upTo(r / 2), For: pick(d, r/2, 3*r)})
	}
	s.Span = begin + w + 4*r
}

// drawStaleLeader draws a leader that sleeps just before it taints, while
// another one ends the fence and the node comes back.
func (s *Setting) drawStaleLeader(d dice, victim int, begin time.Duration) {
	r := s.Profile.RollInterval
	s.Faults = []Fault{
		{Kind: HumanFence, At: begin, Node: victim},
		{Kind: PowerCut, On: Withheld, Node: victim, For: time.Hour},
		{Kind: LeaderPause, On: Decided, For: 10 * r},
		{Kind: HumanDelete, On: Decided, At: 2*r + d.upTo(r), Node: victim},
		{Kind: PowerOn, On: Decided, At: 4*r + d.upTo(3*r), Node: victim},
	}
	s.Span = begin + 5*(s.Profile.RollLife+s.Profile.PetDelay+s.Profile.RealTimeout) + 12*r
}

// drawRearming draws a boot whose holder does not do what is asked of it, and a
// fence against that boot.
func (s *Setting) drawRearming(d dice, victim int, begin time.Duration) {
	r, life := s.Profile.RollInterval, s.Profile.RollLife
	s.Faults = []Fault{
		{Kind: pick(d, FastReboot, PowerCut), At: begin, For: r / 4, Node: victim},
		{Kind: pick(d, HolderPause, HolderCrash, DeviceFails), On: Boots, Its: true, At: r/4 + d.upTo(r), For: pick(d, r, 5*life)},
		{Kind: HumanFence, On: Boots, Its: true, At: 3*r/2 + d.upTo(2*r)},
	}
	s.Span = begin + 5*life
}

// drawExile draws an island of two that remember what the others do not any
// more, for as long as the fence of one of them needs.
func (s *Setting) drawExile(d dice, victim int, begin time.Duration) {
	long := 5*s.Profile.RollLife + 2*s.Profile.RealTimeout
	s.Faults = []Fault{
		{Kind: HumanFence, At: begin, Node: victim},
		{Kind: Island, On: Withheld, At: pick(d, 0, d.upTo(s.Profile.RollInterval/4)), For: long, Node: victim, Peer: (victim + 1 + d.IntN(s.Nodes-1)) % s.Nodes},
	}
	s.Span = begin + long
}

// drawSkirmish draws a little that passes soon.
func (s *Setting) drawSkirmish(d dice) {
	s.drawTheme(d, pick(d, 1, 2, 2))
	r := s.Profile.RollInterval
	for i := range s.Faults {
		f := &s.Faults[i]
		f.At = min(f.At, r+d.upTo(2*r))
		f.For = min(f.For, r/8+d.upTo(2*r))
	}
	s.Span = 0
}

// drawTheme draws faults that meet by chance.
func (s *Setting) drawTheme(d dice, count int) {
	r := s.Profile.RollInterval
	kinds := themes[d.IntN(len(themes))]
	if d.chance(1, 4) {
		kinds = nil
		for range 1 + d.IntN(5) {
			kinds = append(kinds, FaultKind(d.IntN(int(lastFault))))
		}
		count = 1 + d.IntN(6)
	}
	begin := 3 * r / 2
	if s.Cold {
		begin = 0
	}
	victim := d.IntN(s.Nodes)
	for k := range count {
		f := Fault{Kind: kinds[0], At: begin + d.upTo(3*r), Node: victim, Peer: d.IntN(s.Nodes)}
		if k > 0 {
			f.Kind = pick(d, kinds...)
		}
		if d.chance(1, 4) {
			f.Node = d.IntN(s.Nodes)
		}
		if k > 0 && d.chance(1, 2) {
			f.On = pick(d, Suspected, Suspected, Refutes, Withheld, Withheld, Withheld, Quarantined, Quarantined, Tainted, Unarmed, EpochChange)
			f.At, f.Its = pick(d, 0, d.upTo(r/8), d.upTo(2*r)), d.chance(2, 3)
		}
		f.For = pick(d, r/8+d.upTo(r/4), r/8+d.upTo(r/4), r+d.upTo(r), r+d.upTo(r), s.Profile.RollLife+d.upTo(2*r), s.Profile.RollLife+d.upTo(2*r), 2*s.Profile.RollLife+d.upTo(4*r))
		if f.Kind == PowerCut && d.chance(1, 2) {
			f.For = 0
		}
		if f.On >= Withheld && f.On <= Tainted {
			s.Span = 8 * r // so that what it waits for can come about
		}
		s.Faults = append(s.Faults, f)
	}
}
