package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

func ms(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Millisecond) }

func TestLinkOf(t *testing.T) {
	now, old := ms(500), ms(9000)
	for _, tt := range []struct {
		name string
		peer *peerv1.PeerStatus
		want link
	}{
		{"both ways", &peerv1.PeerStatus{Neighbour: true, Caller: true, OutAge: now, InAge: now, HeardUs: now}, ok},
		{"it need not watch us", &peerv1.PeerStatus{Neighbour: true, OutAge: now}, ok},
		{"it has not said yet whether it hears us", &peerv1.PeerStatus{Neighbour: true, Caller: true, OutAge: now, InAge: now}, ok},
		{"not asked long enough", &peerv1.PeerStatus{Neighbour: true, Caller: true, InAge: now}, waiting},
		{"A8: lost", &peerv1.PeerStatus{Neighbour: true, Caller: true, Lost: true, OutAge: old, InAge: old}, lost},
		{"lost, and never expected to ping", &peerv1.PeerStatus{Neighbour: true, Lost: true, InAge: now}, lost},
		{"dead, its last ping just after its last answer", &peerv1.PeerStatus{
			Neighbour: true, Caller: true, Lost: true, OutAge: ms(2100), InAge: ms(1900),
		}, lost},
		{"lost, and its pings come", &peerv1.PeerStatus{Neighbour: true, Caller: true, Lost: true, OutAge: old, InAge: now}, onlyIn},
		{"its pings do not come", &peerv1.PeerStatus{Neighbour: true, Caller: true, OutAge: now, InAge: old}, onlyOut},
		{"no ping of it ever came", &peerv1.PeerStatus{Neighbour: true, Caller: true, OutAge: now}, onlyOut},
		{"our answers do not reach it", &peerv1.PeerStatus{Neighbour: true, Caller: true, OutAge: now, InAge: now, HeardUs: old}, notUs},
		{"a watcher", &peerv1.PeerStatus{Caller: true, InAge: now}, ok},
		{"a watcher that is silent", &peerv1.PeerStatus{Caller: true, InAge: old}, silent},
		{"a witness", &peerv1.PeerStatus{Witness: true, WithinReach: true}, ok},
		{"a witness out of reach", &peerv1.PeerStatus{Witness: true}, witnessAway},
	} {
		got := linkOf(tt.peer, 2*time.Second)
		if got != tt.want {
			t.Errorf("%s: %v (%d), want %v (%d)", tt.name, got, got, tt.want, tt.want)
		}
		if bad := got.tone() == screen.Bad || got.tone() == screen.Warn; bad != (got.why(tt.peer) != "") {
			t.Errorf("%s: a link that is not well says why, another one nothing: %q", tt.name, got.why(tt.peer))
		}
	}
}

func TestJudge(t *testing.T) {
	fine := func() *peerv1.StatusReply {
		return &peerv1.StatusReply{
			Phase: "Armed", PetLeft: ms(4600), RollAge: ms(400), LostAfter: ms(2000),
			Watchdog:  &peerv1.Watchdog{State: "Armed", Reachable: true},
			Endpoints: []*peerv1.Endpoint{{Url: "a", Answered: ms(400), Failed: ms(9000)}},
			Peers:     []*peerv1.PeerStatus{{Node: "n2", Neighbour: true, OutAge: ms(100)}},
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*peerv1.StatusReply)
		want   Health
		says   string
	}{
		{"fine", func(*peerv1.StatusReply) {}, Fine, ""},
		{"latched", func(r *peerv1.StatusReply) { r.Phase, r.Reason = "Latched", "Withheld" }, Counting, "resetting: Withheld"},
		{"roll older than what is left of it", func(r *peerv1.StatusReply) { r.PetLeft, r.RollAge = ms(1200), ms(3800) }, Counting, "resets in 1.2s"},
		{"self-test", func(r *peerv1.StatusReply) { r.Watchdog.State = "Testing" }, Counting, "being tested"},
		{"shutdown", func(r *peerv1.StatusReply) { r.Watchdog.State = "Coasting" }, Counting, "shuts down"},
		{"counting down and more", func(r *peerv1.StatusReply) {
			r.PetLeft, r.RollAge, r.Peers[0].Lost = ms(1200), ms(3800), true
		}, Counting, "resets in 1.2s"},
		{"unarmed", func(r *peerv1.StatusReply) { r.Phase, r.Reason = "Unarmed", "Observe" }, Degraded, "Unarmed: Observe"},
		{"nothing decided", func(r *peerv1.StatusReply) { r.Phase = "" }, Degraded, "decided nothing"},
		{"armed, with a reason", func(r *peerv1.StatusReply) { r.Reason = "PeersLost" }, Degraded, "PeersLost"},
		{"no holder", func(r *peerv1.StatusReply) { r.Watchdog.Reachable = false }, Degraded, "picket-holder"},
		{"suspected", func(r *peerv1.StatusReply) { r.Refutes = "f-1" }, Degraded, "f-1 suspects this boot"},
		{"condition", func(r *peerv1.StatusReply) {
			r.Conditions = []*peerv1.Condition{{Type: "HistoryBroken", Message: "it went back"}}
		}, Degraded, "HistoryBroken: it went back"},
		{"no API", func(r *peerv1.StatusReply) { r.Endpoints[0].Failed = ms(100) }, Degraded, "no API server"},
		{"one API server of two", func(r *peerv1.StatusReply) {
			r.Endpoints = append(r.Endpoints, &peerv1.Endpoint{Failed: ms(100)})
		}, Fine, ""},
		{"an API server nobody has asked", func(r *peerv1.StatusReply) { r.Endpoints = []*peerv1.Endpoint{{}} }, Fine, ""},
		{"a lost neighbour", func(r *peerv1.StatusReply) { r.Peers[0].Lost, r.Peers[0].Since = true, ms(12000) }, Degraded, "lost: n2, silent for 12s"},
		{"a one-way link", func(r *peerv1.StatusReply) { r.Peers[0].Caller = true }, Degraded, "1 link is one-way: n2"},
	} {
		r := fine()
		tt.change(r)
		health, wrong := Judge(r)
		if health != tt.want || (tt.says == "") != (len(wrong) == 0) || len(wrong) > 0 && !strings.Contains(wrong[0], tt.says) {
			t.Errorf("%s: %d %q, want %d and first %q", tt.name, health, wrong, tt.want, tt.says)
		}
	}
}

func TestParseGrouping(t *testing.T) {
	for _, tt := range []struct{ by, node, address, kind, group, err string }{
		{by: "rack", node: "n1", kind: "rack", group: "r of n1"},
		{by: "zone", node: "n1", kind: "zone", group: "z of n1"},
		{by: "subnet", node: "n1", address: "[fd00:0:0:7::1]:1", kind: "subnet", group: "fd00:0:0:7::/64"},
		{by: "subnet", node: "n1", address: "[::ffff:10.0.4.7]:1", kind: "subnet", group: "10.0.4.0/24"},
		{by: "subnet", node: "n1", address: "", kind: "subnet", group: ""},
		{by: "subnet", node: "n1", address: "n1.example:1", kind: "subnet", group: ""},
		{by: "rack=r[0-9]+", node: "r4-n1", kind: "rack", group: "r4"},
		{by: "rack=^rack([0-9]+)-", node: "rack4-n1", kind: "rack", group: "4"},
		{by: "rack=^x", node: "r4-n1", kind: "rack", group: ""},
		{by: "row", err: "NAME=REGEXP"},
		{by: "=x", err: "NAME=REGEXP"},
		{by: "rack=(", err: "missing closing"},
	} {
		g, err := ParseGrouping(tt.by)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.by, err, tt.err)
			}
			continue
		}
		s := seat{node: tt.node, address: tt.address, rack: "r of " + tt.node, zone: "z of " + tt.node}
		if err != nil || g.Kind != tt.kind || g.of(s) != tt.group {
			t.Errorf("%s of %s: %s %q, %v", tt.by, tt.node, g.Kind, g.of(s), err)
		}
	}
}

// Where nobody names what fails together, the labels that tell nodes apart do.
func TestGroupingSettles(t *testing.T) {
	for _, tt := range []struct {
		name, by string
		seats    []seat
		kind     string
	}{
		{"nothing known", "node", []seat{{node: "n1", address: "10.0.0.1:1"}, {node: "n2"}}, "subnet"},
		{"racks", "node", []seat{{zone: "z1", rack: "r1"}, {zone: "z2", rack: "r2"}}, "rack"},
		{"racks of some", "node", []seat{{rack: "r1"}, {rack: "r2"}, {}}, "rack"},
		{"all in one rack", "node", []seat{{zone: "z1", rack: "r1"}, {zone: "z2", rack: "r1"}}, "zone"},
		{"all in one zone", "node", []seat{{zone: "z1"}, {zone: "z1"}}, "subnet"},
		{"named", "zone", []seat{{zone: "z1", rack: "r1"}, {zone: "z1", rack: "r2"}}, "zone"},
	} {
		g, err := ParseGrouping(tt.by)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.settled(tt.seats); got.Kind != tt.kind || got.Nodes != (tt.by == "node") || got.of == nil {
			t.Errorf("%s: by %s, nodes %v; want %s", tt.name, got.Kind, got.Nodes, tt.kind)
		}
	}
}

func TestColumnsLeaveOutWhatHasNoRoom(t *testing.T) {
	draw := func(width int) string {
		c := Columns{Of: []Column{{Head: "NODE"}, {Head: "LESS", Rank: 1}, {Head: "LEAST", Rank: 2}, {Head: "WHAT", Least: 8}}}
		c.Add(screen.Say("node-1"), screen.Say("1234"), screen.Say("12345"), screen.Say("one two three four five"))
		var b strings.Builder
		c.Show(&screen.Screen{Out: &b, Width: width})
		return b.String()
	}
	for width, want := range map[int]string{
		0:  "NODE    LESS  LEAST  WHAT\nnode-1  1234  12345  one two three four five\n",
		44: "NODE    LESS  LEAST  WHAT\nnode-1  1234  12345  one two three four five\n",
		30: "NODE    LESS  LEAST  WHAT\nnode-1  1234  12345  one two three\n                     four five\n",
	} {
		if d := cmp.Diff(want, draw(width)); d != "" {
			t.Errorf("%d columns (-want +got):\n%s", width, d)
		}
	}
	for width, left := range map[int]string{28: "LEAST", 18: "LESS, LEAST"} {
		if out := strings.Join(strings.Fields(draw(width)), " "); !strings.Contains(out, "left out: "+left+"; -o wide shows them") {
			t.Errorf("%d columns: %s", width, out)
		}
	}
}

// What a matrix makes of the links: this node's own sights and its peers' words.
func TestMatrixOf(t *testing.T) {
	peer := func(name string, change func(*peerv1.PeerStatus)) *peerv1.PeerStatus {
		p := &peerv1.PeerStatus{Node: name, Neighbour: true, Caller: true, OutAge: ms(100), InAge: ms(100), HeardUs: ms(100)}
		change(p)
		return p
	}
	well := func(*peerv1.PeerStatus) {}
	gone := func(p *peerv1.PeerStatus) { p.Lost, p.OutAge, p.InAge, p.HeardUs = true, ms(9000), ms(9000), ms(9000) }
	// sees says whom a peer watches; a minus marks those that it has lost.
	sees := func(nodes string) func(*peerv1.PeerStatus) {
		return func(p *peerv1.PeerStatus) {
			for n := range strings.FieldsSeq(nodes) {
				name, lost := strings.CutPrefix(n, "-")
				p.Sights = append(p.Sights, &peerv1.Sight{Node: name, Lost: lost})
			}
		}
	}
	api := []*peerv1.Endpoint{{Answered: ms(100)}}
	for _, tt := range []struct {
		name  string
		peers []*peerv1.PeerStatus
		api   []*peerv1.Endpoint
		links []string
		says  []string // the findings
	}{
		{"well", []*peerv1.PeerStatus{peer("n2", well)}, api, []string{"n1 Heard n2", "n2 Heard n1"}, nil},
		{"just begun", []*peerv1.PeerStatus{peer("n2", func(p *peerv1.PeerStatus) { p.OutAge, p.InAge, p.HeardUs = nil, nil, nil })}, api,
			[]string{"n2 Untold n1"}, nil},
		{"one of two lost", []*peerv1.PeerStatus{peer("n2", well), peer("n3", gone)}, api,
			[]string{"n1 Heard n2", "n1 Lost n3", "n2 Heard n1", "n3 Untold n1"}, []string{"n3 is lost by 1 of the 1"}},
		{"all lost", []*peerv1.PeerStatus{peer("n2", gone), peer("n3", gone)}, nil,
			[]string{"n1 Lost n2", "n1 Lost n3", "n2 Untold n1", "n3 Untold n1"}, []string{"n1 hears none of its 2 neighbours: its own link"}},
		{"all lost but the API (C12)", []*peerv1.PeerStatus{peer("n2", gone), peer("n3", gone)}, api,
			[]string{"n1 Lost n2", "n1 Lost n3", "n2 Untold n1", "n3 Untold n1"}, []string{"the agents' port is blocked"}},
		{"one-way: our answers do not reach it", []*peerv1.PeerStatus{peer("n2", func(p *peerv1.PeerStatus) { p.HeardUs = ms(9000) })}, api,
			[]string{"n1 Heard n2", "n2 Lost n1"}, nil},
		{"one-way: its pings come", []*peerv1.PeerStatus{peer("n2", func(p *peerv1.PeerStatus) { gone(p); p.InAge = ms(100) })}, api,
			[]string{"n1 Lost n2", "n2 Heard n1"}, nil},
		{"its answers reach nobody", []*peerv1.PeerStatus{
			peer("n2", func(p *peerv1.PeerStatus) { p.HeardUs = ms(9000) }), peer("n3", func(p *peerv1.PeerStatus) { p.HeardUs = ms(9000) }), peer("n4", well),
		}, api, []string{"n1 Heard n2", "n1 Heard n3", "n1 Heard n4", "n2 Lost n1", "n3 Lost n1", "n4 Heard n1"},
			[]string{"n1 is lost by 2 of the 3 that watch it, and hears them"}},
		{"its neighbours have lost one that it does not watch", []*peerv1.PeerStatus{
			peer("n2", sees("n3 -n9 n8")), peer("n3", sees("n2 -n9")), peer("n4", sees("n9 n1")),
		}, api, []string{
			"n1 Heard n2", "n1 Heard n3", "n1 Heard n4", "n2 Heard n1", "n2 Heard n3", "n2 Heard n8", "n2 Lost n9",
			"n3 Heard n1", "n3 Heard n2", "n3 Lost n9", "n4 Heard n1", "n4 Heard n9",
		}, []string{"n9 is lost by 2 of the 3"}},
		{"its neighbours hear one that it has lost", []*peerv1.PeerStatus{
			peer("n2", sees("n4")), peer("n3", sees("n4")), peer("n4", gone),
		}, api, []string{
			"n1 Heard n2", "n1 Heard n3", "n1 Lost n4", "n2 Heard n1", "n2 Heard n4", "n3 Heard n1", "n3 Heard n4", "n4 Untold n1",
		}, []string{"n1 does not hear n4, which 2 of its 3 watchers hear"}},
		{"the word of one that is lost is old", []*peerv1.PeerStatus{
			peer("n2", func(p *peerv1.PeerStatus) { gone(p); sees("-n3 n8")(p) }), peer("n3", well),
		}, api, []string{"n1 Lost n2", "n1 Heard n3", "n2 Untold n1", "n2 Untold n3", "n2 Untold n8", "n3 Heard n1"},
			[]string{"n2 is lost by 1 of the 1"}},
		{"what neighbours say of it is judged by what comes of it here", []*peerv1.PeerStatus{peer("n2", sees("-n1 n2"))}, api,
			[]string{"n1 Heard n2", "n2 Heard n1"}, nil},
		{"nobody it watches", []*peerv1.PeerStatus{{Node: "n2", Witness: true, WithinReach: true}, {Node: "n3", Caller: true, InAge: ms(100)}}, api,
			[]string{"n3 Heard n1"}, nil},
	} {
		by, err := ParseGrouping("node")
		if err != nil {
			t.Fatal(err)
		}
		m := MatrixOf(&peerv1.StatusReply{Node: "n1", LostAfter: ms(2000), Peers: tt.peers, Endpoints: tt.api}, by)
		var links []string
		for _, l := range m.Links {
			links = append(links, l.Observer+" "+l.Sight+" "+l.Subject)
		}
		if d := cmp.Diff(tt.links, links); d != "" {
			t.Errorf("%s: links (-want +got):\n%s", tt.name, d)
		}
		if len(m.Findings) != len(tt.says) {
			t.Errorf("%s: findings %+v, want %q", tt.name, m.Findings, tt.says)
			continue
		}
		for i, f := range m.Findings {
			if !strings.Contains(f.Text, tt.says[i]) {
				t.Errorf("%s: %q, want %q", tt.name, f.Text, tt.says[i])
			}
		}
	}
}

// The matrix of a large cluster is drawn within a second, and fits.
func TestMatrixOf200Nodes(t *testing.T) {
	r := &peerv1.StatusReply{Node: "r1-node-0", Addresses: []string{"10.0.1.1:9735"}, LostAfter: ms(2000)}
	for n := 1; n < 200; n++ {
		rack := 1 + n%10
		p := &peerv1.PeerStatus{
			Node: fmt.Sprintf("r%d-node-%d", rack, n), Addresses: []string{fmt.Sprintf("10.0.%d.%d:9735", rack, n)},
			Neighbour: true, Caller: true, OutAge: ms(100), InAge: ms(100), HeardUs: ms(100),
		}
		if rack == 4 {
			p.Lost, p.OutAge, p.InAge, p.HeardUs = true, ms(9000), ms(9000), ms(9000)
		}
		r.Peers = append(r.Peers, p)
	}
	for _, by := range []string{"node", "subnet", "rack=r[0-9]+"} {
		g, err := ParseGrouping(by)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		before := used(t)
		Matrix(&screen.Screen{Out: &b, Width: 120}, MatrixOf(r, g))
		if took := used(t) - before; took > time.Second {
			t.Errorf("--by %s takes %v of processor time", by, took)
		} else {
			t.Logf("--by %s: %v", by, took)
		}
		for line := range strings.Lines(b.String()) {
			if len([]rune(line)) > 121 {
				t.Errorf("--by %s does not fit: %s", by, line)
			}
		}
		if !strings.Contains(b.String(), "uplink or power, not single hosts") {
			t.Errorf("--by %s: %s", by, b.String())
		}
	}
}

// used is the processor time of this process: others may have the processor.
func used(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestDurations(t *testing.T) {
	got := []string{since(nil), exact(nil), trip(nil), since(ms(400)), exact(ms(4649)), trip(durationpb.New(340 * time.Microsecond)), trip(ms(14))}
	if d := cmp.Diff([]string{"-", "-", "-", "400ms", "4.6s", "0.3ms", "14ms"}, got); d != "" {
		t.Error(d)
	}
}
