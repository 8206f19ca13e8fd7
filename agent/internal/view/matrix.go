package view

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/picket-dev/picket/proto/matrix"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// A MatrixReport is who hears whom, as far as one agent knows: whom it hears
// itself, what those who watch it say of it, and what its neighbours say of
// theirs.
type MatrixReport struct {
	Node string `json:"node"`
	// Kind is what the groups are.
	Kind     string           `json:"kind"`
	Findings []matrix.Finding `json:"findings"`
	Links    []MatrixLink     `json:"links"`

	agents []matrix.Agent
	onRoll []screen.Cell // whom the roll suspects or withholds
	lines  []string      // what is known of single links beyond that
	nodes  bool
}

// A MatrixLink is what one node says of another.
type MatrixLink struct {
	Observer      string `json:"observer"`
	ObserverGroup string `json:"observerGroup"`
	Subject       string `json:"subject"`
	SubjectGroup  string `json:"subjectGroup"`
	Sight         string `json:"sight"`
}

// MatrixOf returns the report of a status message.
func MatrixOf(r *peerv1.StatusReply, by Grouping) MatrixReport {
	seats := seatsOf(r)
	by = by.settled(slices.Collect(maps.Values(seats)))
	m := MatrixReport{Node: r.GetNode(), Kind: by.Kind, Findings: []matrix.Finding{}, Links: []MatrixLink{}, nodes: by.Nodes}
	agent := func(node string) matrix.Agent { return matrix.Agent{Node: node, Group: by.of(seats[node])} }
	self := agent(r.GetNode())
	for _, p := range r.GetPeers() {
		l := linkOf(p, r.GetLostAfter().AsDuration())
		peer := m.hearsay(p, agent, l == lost || l == onlyIn)
		switch {
		case l == lost || l == onlyIn:
			self.Lost = append(self.Lost, peer.Node)
			m.link(self, peer, matrix.Lost)
		case p.GetNeighbour() && l != waiting:
			self.Watches = append(self.Watches, peer.Node)
			m.link(self, peer, matrix.Heard)
		}
		m.agents = append(m.agents, peer)
		m.link(peer, self, wordOf(r, p))
		if why := l.why(p); why != "" && l != lost {
			m.lines = append(m.lines, peer.Node+": "+why)
		}
	}
	m.agents = append(m.agents, self)
	for node := range seats {
		if !slices.ContainsFunc(m.agents, func(a matrix.Agent) bool { return a.Node == node }) {
			m.agents = append(m.agents, agent(node))
		}
	}
	slices.SortFunc(m.Links, func(a, b MatrixLink) int {
		return cmp.Or(matrix.Compare(a.Observer, b.Observer), matrix.Compare(a.Subject, b.Subject))
	})
	m.Findings = append(m.Findings, m.findings(r, self)...)
	for _, e := range r.GetEntries() {
		m.onRoll = append(m.onRoll, entry(e, r.GetBootId()))
	}
	return m
}

// seatsOf returns the seat of every node that the message names.
func seatsOf(r *peerv1.StatusReply) map[string]seat {
	seats := make(map[string]seat)
	for _, p := range r.GetPeers() {
		for _, x := range p.GetSights() {
			seats[x.GetNode()] = seat{node: x.GetNode(), zone: x.GetZone(), rack: x.GetRack(), address: x.GetAddress()}
		}
	}
	for _, p := range r.GetPeers() { // what this node was told itself counts
		seats[p.GetNode()] = seatOf(p)
	}
	seats[r.GetNode()] = ownSeat(r)
	return seats
}

// hearsay returns the peer with what it says of others than this node. The word
// of one that is lost is older than that.
func (m *MatrixReport) hearsay(p *peerv1.PeerStatus, agent func(string) matrix.Agent, old bool) matrix.Agent {
	peer := agent(p.GetNode())
	for _, x := range p.GetSights() {
		if x.GetNode() == m.Node || x.GetNode() == p.GetNode() {
			continue
		}
		sight := matrix.Heard
		switch {
		case old:
			sight, peer.Mute = matrix.Untold, "it is lost"
			peer.Watches = append(peer.Watches, x.GetNode())
		case x.GetLost():
			sight = matrix.Lost
			peer.Lost = append(peer.Lost, x.GetNode())
		default:
			peer.Watches = append(peer.Watches, x.GetNode())
		}
		m.link(peer, agent(x.GetNode()), sight)
	}
	return peer
}

func (m *MatrixReport) link(from, to matrix.Agent, s matrix.Sight) {
	if s != matrix.Unwatched {
		m.Links = append(m.Links, MatrixLink{from.Node, from.Group, to.Node, to.Group, s.String()})
	}
}

// wordOf is what a peer says of this node: it hears it if its pings come and it
// does not say otherwise.
func wordOf(r *peerv1.StatusReply, p *peerv1.PeerStatus) matrix.Sight {
	lostAfter := r.GetLostAfter().AsDuration()
	switch {
	case !p.GetCaller():
		return matrix.Unwatched
	case !fresh(p.GetInAge(), lostAfter):
		return matrix.Untold
	case linkOf(p, lostAfter) == notUs:
		return matrix.Lost
	}
	return matrix.Heard
}

// findings explains what is lost, by what this node has seen itself. One that has
// lost everybody, or that several have lost, says more of itself than of them; and
// a link that works one way says more than that it is lost.
func (m *MatrixReport) findings(r *peerv1.StatusReply, self matrix.Agent) []matrix.Finding {
	own := func(format string, args ...any) []matrix.Finding {
		return []matrix.Finding{{Scope: matrix.ScopeHost, Subjects: []string{self.Node}, Text: fmt.Sprintf(format, args...)}}
	}
	halved := oneWay(r)
	if n := len(self.Lost); n > 1 && len(self.Watches) == 0 && len(halved) == 0 {
		if slices.ContainsFunc(r.GetEndpoints(), reachable) {
			return own("%s hears none of its %d neighbours, and reaches the API: the agents' port is blocked, not hosts (C12)", self.Node, n)
		}
		return own("%s hears none of its %d neighbours: its own link or its switch, not hosts", self.Node, n)
	}
	all := slices.DeleteFunc(matrix.New(m.agents).Findings(m.Kind), func(f matrix.Finding) bool {
		single := f.Scope == matrix.ScopeHost || f.Scope == matrix.ScopeLink
		return single && slices.ContainsFunc(f.Subjects, func(n string) bool { return slices.Contains(halved, n) })
	})
	if heard, unheard := m.said(matrix.Heard), m.said(matrix.Lost); unheard > 1 && unheard > heard {
		all = append(all, own("%s is lost by %d of the %d that watch it, and hears them: the way to it or its own port, not hosts",
			self.Node, unheard, heard+unheard)...)
	}
	return all
}

// said counts the peers that say this of this node.
func (m *MatrixReport) said(s matrix.Sight) (n int) {
	for _, l := range m.Links {
		if l.Subject == m.Node && l.Sight == s.String() {
			n++
		}
	}
	return n
}

// oneWay returns the peers whose links work in one direction only.
func oneWay(r *peerv1.StatusReply) []string {
	var names []string
	for _, p := range r.GetPeers() {
		switch linkOf(p, r.GetLostAfter().AsDuration()) {
		case onlyIn, onlyOut, notUs:
			names = append(names, p.GetNode())
		case ok, waiting, lost, silent, witnessAway, unheard:
		}
	}
	return names
}

// Matrix shows the verdict, then who hears whom.
func Matrix(s *screen.Screen, m MatrixReport) {
	var verdict rows
	for _, f := range m.Findings {
		verdict.add("verdict", screen.Cell{Text: f.Text, Tone: screen.Bad})
	}
	if len(m.Findings) == 0 && len(m.lines) == 0 {
		verdict.add("verdict", m.well())
	}
	for _, l := range m.lines {
		verdict.add("links", screen.Cell{Text: l, Tone: screen.Warn})
	}
	for _, c := range m.onRoll {
		verdict.add("on the roll", c)
	}
	s.Table(verdict.Table)
	if len(m.Links) == 0 {
		return
	}
	s.Space()
	s.Line(screen.Cell{Text: m.draw(s), Tone: screen.Dim})
}

// draw draws as much as there is room for: all links, or this node's own, or
// those as a list. It returns what is to be said of that.
func (m MatrixReport) draw(s *screen.Screen) (legend string) {
	fits := func(labels map[string]string) bool { return s.Width == 0 || m.wide(labels) <= s.Width }
	legend = "Rows hear columns: 1/4 is one lost of four, ? no word, blank not watched. "
	known := m.Node + " knows its own links alone; "
	if own := m.own(); len(own) < len(m.Links) {
		known = "This is what " + m.Node + " and its neighbours hear; "
		if labels := m.label(); fits(labels) {
			s.Table(m.grid(labels))
			s.Space()
			return legend + known + "kubectl picket matrix shows all there is."
		}
		m.Links = own
		known = "What its neighbours hear has no room here: -o wide, or --by " + m.Kind + ". "
	}
	labels := m.label()
	if m.nodes && !fits(labels) {
		labels = m.alike(labels)
	}
	if fits(labels) {
		s.Table(m.grid(labels))
	} else {
		s.Table(m.list(labels))
		legend = ""
	}
	s.Space()
	return legend + known + "kubectl picket matrix shows everybody's."
}

// own returns the links of this node itself.
func (m MatrixReport) own() []MatrixLink {
	return slices.DeleteFunc(slices.Clone(m.Links), func(l MatrixLink) bool { return l.Observer != m.Node && l.Subject != m.Node })
}

// well says that nothing is lost, of as much as there is.
func (m MatrixReport) well() screen.Cell {
	n := 0
	for _, l := range m.Links {
		if l.Observer == m.Node && l.Sight == matrix.Heard.String() {
			n++
		}
	}
	if n == 0 {
		return screen.Cell{Text: m.Node + " watches nobody yet", Tone: screen.Warn}
	}
	return screen.Cell{Text: fmt.Sprintf("%s hears %s", m.Node, screen.Count(n, "neighbour, and has lost none", "neighbours, and has lost none")), Tone: screen.Good}
}

// label names the row and the column of each node: its group's, or its own.
func (m MatrixReport) label() map[string]string {
	labels := make(map[string]string)
	for _, a := range m.agents {
		labels[a.Node] = a.Group
		if m.nodes || a.Group == "" {
			labels[a.Node] = a.Node
		}
	}
	return labels
}

// alike names together all nodes that hear this one alike, and that it hears
// alike.
func (m MatrixReport) alike(labels map[string]string) map[string]string {
	alike := make(map[string][]string)
	about := make(map[string]string)
	for _, l := range m.Links {
		if l.Observer == m.Node {
			about[l.Subject] += "heard " + l.Sight
		} else {
			about[l.Observer] += "says " + l.Sight
		}
	}
	for _, a := range m.agents {
		if a.Node != m.Node {
			alike[about[a.Node]] = append(alike[about[a.Node]], a.Node)
		}
	}
	for _, nodes := range alike {
		name := nodes[0]
		if len(nodes) > 1 {
			slices.SortFunc(nodes, matrix.Compare)
			name = fmt.Sprintf("%s… (%d)", nodes[0], len(nodes))
		}
		for _, n := range nodes {
			labels[n] = name
		}
	}
	return labels
}

// wide is how many columns the grid needs.
func (m MatrixReport) wide(labels map[string]string) int {
	subjects := make(map[string]string)
	for _, l := range m.Links {
		subjects[l.Subject] = labels[l.Subject]
	}
	n, first := 0, 0
	for _, l := range distinct(subjects) {
		n += utf8.RuneCountInString(l) + 2
	}
	for _, l := range distinct(labels) {
		first = max(first, utf8.RuneCountInString(l))
	}
	return n + first
}

func distinct(labels map[string]string) []string {
	var all []string
	for _, l := range labels {
		all = append(all, l)
	}
	slices.SortFunc(all, matrix.Compare)
	return slices.Compact(all)
}

// grid draws observers as rows and subjects as columns.
func (m MatrixReport) grid(labels map[string]string) screen.Table {
	names := distinct(labels)
	tally := m.count(func(l MatrixLink) [2]string { return [2]string{labels[l.Observer], labels[l.Subject]} })
	t := screen.Table{Head: []string{""}}
	var subjects []string
	for _, to := range names {
		if slices.ContainsFunc(names, func(from string) bool { return tally[[2]string{from, to}] != nil }) {
			subjects = append(subjects, to)
			t.Head = append(t.Head, cmp.Or(to, none))
		}
	}
	for _, from := range names {
		row := []screen.Cell{{Text: cmp.Or(from, none), Tone: screen.Strong}}
		said := false
		for _, to := range subjects {
			x := tally[[2]string{from, to}]
			said = said || x != nil
			row = append(row, cellOf(x))
		}
		if said {
			t.Add(row...)
		}
	}
	return t
}

// list draws both directions of this node's links to each label, for as many as
// there may be.
func (m MatrixReport) list(labels map[string]string) screen.Table {
	out, in := "hears", "is heard"
	tally := m.count(func(l MatrixLink) [2]string {
		if l.Observer == m.Node {
			return [2]string{out, labels[l.Subject]}
		}
		return [2]string{in, labels[l.Observer]}
	})
	t := screen.Table{Head: []string{"", m.Node + " hears", "hears " + m.Node}}
	for _, n := range distinct(labels) {
		x, y := tally[[2]string{out, n}], tally[[2]string{in, n}]
		if x != nil || y != nil {
			t.Add(screen.Cell{Text: cmp.Or(n, none), Tone: screen.Strong}, cellOf(x), cellOf(y))
		}
	}
	return t
}

// count counts the links that go to the same place.
func (m MatrixReport) count(place func(MatrixLink) [2]string) map[[2]string]*matrix.Tally {
	tally := make(map[[2]string]*matrix.Tally)
	for _, l := range m.Links {
		at := place(l)
		if tally[at] == nil {
			tally[at] = &matrix.Tally{}
		}
		switch l.Sight {
		case matrix.Heard.String():
			tally[at].Heard++
		case matrix.Lost.String():
			tally[at].Lost++
		case matrix.Untold.String():
			tally[at].Untold++
		}
	}
	return tally
}

// cellOf shows what all nodes of a row say of those of a column, as `kubectl picket
// matrix` counts: how many are lost of as many as are told.
func cellOf(t *matrix.Tally) screen.Cell {
	if t == nil {
		return screen.Cell{}
	}
	switch told := t.Heard + t.Lost; {
	case told == 0:
		return screen.Cell{Text: "?", Tone: screen.Warn}
	case t.Lost == 0:
		return screen.Cell{Text: "ok", Tone: screen.Good}
	case t.Heard == 0:
		return screen.Cell{Text: "lost", Tone: screen.Bad}
	default:
		return screen.Cell{Text: fmt.Sprintf("%d/%d", t.Lost, told), Tone: screen.Bad}
	}
}
