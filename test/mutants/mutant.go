package main

// A mutant is one small fault in the product's pure code.
type mutant struct {
	name   string
	breaks string // the rule or the claim of PROTOCOL.md
	edits  []edit
}

// An edit replaces a text that a file has exactly once.
type edit struct{ file, old, instead string }

const (
	wait     = "proto/timing/wait.go"
	quorum   = "proto/roll/quorum.go"
	rollGo   = "proto/roll/roll.go"
	evidence = "agent/decide/evidence.go"
	pledge   = "agent/decide/pledge.go"
	core     = "agent/decide/core.go"
	machine  = "agent/internal/hold/machine.go"
	doneGo   = "agent/internal/hold/done.go"
	withheld = "controller/plan/withheld.go"
	suspect  = "controller/plan/suspected.go"
	trial    = "controller/plan/trial.go"
	taint    = "controller/plan/taint.go"
	epoch    = "controller/plan/epoch.go"
	detach   = "controller/plan/detach.go"
	fence    = "controller/plan/fence.go"
)

func one(file, old, instead string) []edit { return []edit{{file, old, instead}} }

// mutants is the table.
var mutants = []mutant{
	// The wait.
	{name: "W without L", breaks: "§5", edits: one(wait, "sum := p.RollLife + p.PetDelay", "sum := p.PetDelay")},
	{name: "W without delta", breaks: "§5", edits: one(wait, "p.RollLife + p.PetDelay +", "p.RollLife +")},
	{name: "W without kappa T", breaks: "§5", edits: one(wait, "(p.RealTimeout()+site.ResetLatency)", "site.ResetLatency")},
	{name: "W without u", breaks: "§5", edits: one(wait, "time.Duration(1+p.Ungated)*", "")},
	{name: "W without g+l", breaks: "§5", edits: one(wait, "(p.RealTimeout()+site.ResetLatency)", "p.RealTimeout()")},
	{name: "W with g once", breaks: "§5", edits: one(wait, "(p.RealTimeout()+site.ResetLatency)", "p.RealTimeout() + site.ResetLatency")},
	{name: "W without Q", breaks: "§5", edits: one(wait, "+ site.Drain +", "+")},
	{name: "kappa is 1", breaks: "§5", edits: one(wait, "return (p.Timeout*time.Duration(p.Kappa) + 999) / 1000", "return p.Timeout")},

	// Rolls.
	{name: "C one too small", breaks: "claim 2", edits: one(rollGo, "return len(e.Witnesses) + 1 - e.Quorum()", "return len(e.Witnesses) - e.Quorum()")},
	{name: "H one too small", breaks: "claim 2", edits: one(quorum, "need = e.Quorum()", "need = e.Quorum() - 1")},
	{name: "a witness roll as new as its newest answer", breaks: "§3", edits: one(quorum, "held.Sent = held.Sent.Earlier(s.Sent)", "held.Sent = held.Sent.Later(s.Sent)")},
	{name: "the content of the lowest serial", breaks: "claim 4", edits: one(quorum, "if s.Roll.Serial > held.Roll.Serial {", "if held.Roll.Serial == 0 || s.Roll.Serial < held.Roll.Serial {")},
	{name: "stamped at receive", breaks: "§3", edits: one(evidence, `c.credit(e.Sent, "api", c.known, e.Roll)`, `c.credit(c.now, "api", c.known, e.Roll)`)},
	{name: "relay age ignored", breaks: "claim 6", edits: one(evidence, `c.credit(r.Sent, "relay", c.known, c.rumour)`, `c.credit(c.now, "relay", c.known, c.rumour)`)},
	{name: "an old roll kept", breaks: "A2", edits: []edit{
		{evidence, `if e.Roll.Serial > c.known.Serial || c.broken != "" {`, `if c.known.Serial == 0 || c.broken != "" {`},
		{evidence, `c.credit(e.Sent, "api", c.known, e.Roll)`, `c.credit(e.Sent, "api", c.known)`},
	}},

	// Promises.
	{name: "adopting without the later roll", breaks: "claim 7", edits: one(pledge, "return !c.ackedAt.IsZero() && c.api.After(c.ackedAt) &&", "return !c.ackedAt.IsZero() &&")},
	{name: "adopting without the acknowledgement", breaks: "claim 7", edits: one(pledge, "return !c.ackedAt.IsZero() && c.api.After(c.ackedAt) &&", "return c.api.After(c.offered) &&")},
	{name: "published before it is used", breaks: "§4", edits: []edit{
		{pledge, "if !gates || c.granted.Passed(c.now) || !c.withinLife() {", "if !gates && c.order == 0 || c.granted.Passed(c.now) {"},
		{pledge, "	p := c.want\n	p.Timeout = c.held.Timeout\n", "	p := c.want\n"},
	}},
	{name: "a shorter L published at once", breaks: "§4", edits: one(pledge, "c.held.Timeout <= c.want.Timeout && c.withinLife() {", "c.held.Timeout <= c.want.Timeout {")},
	{name: "a longer L used at once", breaks: "§4", edits: one(pledge, "if c.inUse.Armed && (!c.want.Armed || c.inUse.RollLife < life) {", "if c.inUse.Armed && !c.want.Armed {")},
	{name: "never refutes", breaks: "A3", edits: one(evidence, "e.State == roll.Suspected && !c.latched {", "e.State == roll.Suspected && c.latched {")},

	// The holder.
	{name: "the deadline passes unnoticed", breaks: "A6", edits: []edit{
		{machine, "	m.checked = now\n	switch {\n	case m.state == Armed && m.petUntil.Passed(now):\n		return m.latch(\"A6: petUntil passed\")\n", "	m.checked = now\n	switch {\n"},
		{doneGo, "if m.state != Armed || !m.petUntil.Passed(now) {", "if true {"},
	}},
	{name: "the latch forgotten", breaks: "A6", edits: one(machine, "m.state, m.reason, m.lastError = Latched, reason, reason", "m.reason, m.lastError = reason, reason\n		return Action{}, nil")},
	{name: "no second look at the clock", breaks: "§5, delta", edits: one(doneGo, "if m.state != Armed || !m.petUntil.Passed(now) {", "if true {")},

	// The fence.
	{name: "no gate", breaks: "claim 11", edits: one(suspect, "if f.mayRefute() && !p.countReads(f, t) {", "if f.mayRefute() && t == nil {")},
	{name: "a gate of one read", breaks: "claim 11", edits: one(trial, "k.reads >= profile.GateReads &&", "k.reads >= 1 &&")},
	{name: "refutations unread", breaks: "claim 11", edits: []edit{
		{suspect, "	case p.w.Guards[st.Node].Status.Refutes == st.Fence:\n		p.retreat(f, retreat{Refuted, C1, spoke})\n		return\n", ""},
		{suspect, "	case saw.Guard.Status.Refutes == st.Fence:\n		p.retreat(f, retreat{Refuted, C1, spoke})\n		return false\n", ""},
	}},
	{name: "the promise from before the withholding", breaks: "claim 7", edits: one(withheld, "	saw := p.look(f, t)\n	if saw == nil {\n		return false\n	}\n	if f.proven() {", "	early, known := p.w.Guards[st.Node]\n	saw := &Saw{Guard: &early}\n	if !known {\n		return false\n	}\n	if f.proven() {")},
	{name: "unarmed nodes fenced on time", breaks: "step 4", edits: []edit{
		{withheld, "case g == nil, g.Status.Boot != st.Boot, !g.Status.Promise.Armed:", "case g == nil, g.Status.Boot != st.Boot:"},
		{withheld, "if err := g.Status.Promise.Validate(); err != nil {", "if err := g.Status.Promise.Validate(); err != nil && g.Status.Promise.Armed {"},
	}},
	{name: "acknowledgements of anything", breaks: "claim 4", edits: one(trial, "heard := s.History == p.w.Roll.History && s.Serial >= t.serial && slices.Contains(s.Fences, f.Status.Fence)", "heard := s.History == p.w.Roll.History")},
	{name: "no acknowledgements", breaks: "claim 4", edits: one(withheld, "		if !enough {\n", "		if !enough && t == nil {\n")},
	{name: "c from before the acknowledgements", breaks: "claim 4, step 6", edits: one(withheld, "t.deadline = p.now.Add(wait)", "t.deadline = t.since.Add(wait)")},
	{name: "a taint without a precondition", breaks: "claim 9", edits: one(withheld, "		a.OutOfService = st.Fence\n", "		a.OutOfService = st.Fence\n		a.Version = \"\"\n")},
	{name: "no rejoin guard", breaks: "step 7, §11", edits: one(withheld, "t.after = saw.Sent.Add(guard)", "t.after = saw.Sent")},
	{name: "an epoch that never goes", breaks: "§7 (iii)", edits: one(epoch, ">= old.Cover() {", "> len(old.Witnesses) {")},
	{name: "the taint stays", breaks: "C7", edits: one(detach, "case saw.Node != nil && saw.Node.OutOfService != \"\":", "case t == nil:")},
	{name: "no look at the boot", breaks: "step 7, proof", edits: []edit{
		{fence, "	return anew(st, g.Boot, g.MachineID, g.SystemUUID) || anew(st, n.Boot, n.MachineID, n.SystemUUID)", "	return anew(st, g.Boot, \"\", \"\") && anew(st, n.Boot, \"\", \"\")"},
		{withheld, "case saw.Node.Boot != st.Boot, saw.Guard != nil && saw.Guard.Status.Boot != \"\" && saw.Guard.Status.Boot != st.Boot:", "case false:"},
	}},
}
