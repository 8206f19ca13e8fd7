package daemon

import (
	"slices"
	"time"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/proto/timing"
)

// A talk is what the last call between this agent and a node shows, in one direction.
type talk struct {
	node   string
	called bool           // by this agent; else the node is the caller
	at     timing.Instant // when it was; zero: never
	key    string         // the own key that the node knew; empty: none of those that are left
}

// A pinning is who has pinned which of this agent's keys.
type pinning struct {
	informed bool     // somebody knows the newest, and has proved who it is
	waits    []string // nodes that talk to this agent under an old one
	away     []string // nodes that do not talk to it at present, and may know only an old one
	owed     bool     // one of those knew only an old one when it was last met
	asked    bool     // somebody, who may be anybody, has asked for a statement under an old one
}

// pinning returns who knows the newest key and who does not: the neighbours that
// are called, the nodes that call, which are others where rings are directed, and
// whoever asks for statements.
func (d *Daemon) pinning() (a pinning) {
	spec := d.spec.Load()
	if spec == nil {
		return pinning{}
	}
	newest, now, profile := d.identity.Fingerprint(), clock.Now(), d.profile()
	var talks []talk
	for _, n := range spec.Neighbours {
		at, _ := d.client.Answered(n.Node)
		talks = append(talks, talk{node: n.Node, called: true, at: at, key: d.client.Accepted(n.Node)})
	}
	for node, c := range d.server.Callers() {
		talks = append(talks, talk{node: node, at: c.At, key: c.Key})
	}
	a = muster(newest, talks, profile.LostAfter(), now)
	within := reachWindow(*spec) + profile.RollLife // each node probes in the one, or asks in need within the other
	for key, at := range d.server.Asked() {
		a.asked = a.asked || key != newest && at.Age(now) <= within
	}
	return a
}

// muster sorts the nodes by what they know. Whoever was met within that time talks
// to this agent now.
func muster(newest string, talks []talk, within time.Duration, now timing.Instant) (a pinning) {
	met := func(c talk) bool { return !c.at.IsZero() && c.at.Age(now) <= within }
	knows := make(map[string]bool)
	for _, c := range talks {
		if met(c) && c.key == newest {
			a.informed, knows[c.node] = true, true
		}
	}
	for _, c := range talks {
		owed := !c.at.IsZero() && c.key != newest && c.at.Age(now) <= keepLongest && !knows[c.node]
		switch {
		case met(c) && c.key != newest:
			a.waits = append(a.waits, c.node)
		case !met(c) && (c.called || owed):
			a.away, a.owed = append(a.away, c.node), a.owed || owed
		}
	}
	slices.Sort(a.waits)
	slices.Sort(a.away)
	a.waits = slices.Compact(a.waits)
	a.away = slices.DeleteFunc(slices.Compact(a.away), func(node string) bool { return slices.Contains(a.waits, node) })
	return a
}
