package cli

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

func ms(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Millisecond) }

// neighbour is a peer that this node watches and that watches it, in the rack of
// its name, and well.
func neighbour(rack, n int) *peerv1.PeerStatus {
	return &peerv1.PeerStatus{
		Node: fmt.Sprintf("r%d-node-%d", rack, n), Addresses: []string{fmt.Sprintf("10.0.%d.%d:9735", rack, n)},
		Neighbour: true, Caller: true, OutAge: ms(120 + 10*n), InAge: ms(310), HeardUs: ms(480), Since: ms(3 * 3600 * 1000),
		Pings:   &peerv1.Pings{Sent: 120, P50: ms(1), P95: ms(3), P99: ms(14)},
		RollAge: ms(620), RollSerial: 4711, BootId: fmt.Sprintf("b%d%d", rack, n), Reached: ms(130),
		Rack: fmt.Sprintf("r%d", rack), Zone: "z1", Path: fmt.Sprintf("10.0.%d.%d:9735", rack, n), Sights: sights(rack),
	}
}

// sights are how a node of the rack sees its neighbours: the first node, and two
// in the next rack, of which the first node knows one.
func sights(rack int) []*peerv1.Sight {
	next := rack%4 + 1
	all := []*peerv1.Sight{{Node: "r1-node-1", Zone: "z1", Rack: "r1", Address: "10.0.1.1:9735"}}
	for _, n := range []int{3, 4} {
		all = append(all, &peerv1.Sight{
			Node: fmt.Sprintf("r%d-node-%d", next, n), Zone: "z1", Rack: fmt.Sprintf("r%d", next), Address: fmt.Sprintf("10.0.%d.%d:9735", next, n),
		})
	}
	return all
}

// armed is a node that is fine, with eight neighbours in four racks, three of
// them witnesses, and a witness that is no neighbour.
func armed() *peerv1.StatusReply {
	r := &peerv1.StatusReply{
		Node: "r1-node-1", BootId: "6a0f1d5e-8c5b-4b6e-9f57-0a4c1a3b2d10", Version: "v0.3.0", Addresses: []string{"10.0.1.1:9735"},
		Zone: "z1", Rack: "r1", Published: true, Fingerprint: strings.Repeat("ab", 32),
		Phase: "Armed", Next: "stays up; if API and peers vanish now, resets in 4.6s, or in 15.8s by the watchdog alone if the agent hangs too",
		PetLeft: ms(4600), ResetLeft: ms(15800), RollAge: ms(400), RollVia: "api", RollSerial: 4711, History: "h-7f3a",
		LostAfter: ms(2000),
		Promise:   &peerv1.Promise{RollLife: ms(5000), PetDelay: ms(1000), Timeout: ms(10000), Kappa: 1020},
		Quorums:   []*peerv1.Quorum{{Epoch: 3, Witnesses: 5, Needed: 3, Reached: 5}},
		Endpoints: []*peerv1.Endpoint{
			{Url: "https://10.0.1.10:6443", Answered: ms(400), RoundTrip: ms(4)},
			{Url: "https://10.0.2.10:6443"},
		},
		Watchdog: &peerv1.Watchdog{
			Device: "watchdog0", Driver: "i6300esb", Kind: "hardware", State: "Armed", Timeout: ms(10000), Kappa: 1020, RealTimeout: ms(10200),
			WorstPetDelay: ms(3), Pets: 90210, Verified: true, Reachable: true, Outlives: true, HolderVersion: "v0.3.0",
		},
		WatchdogPolicy: &peerv1.WatchdogPolicy{Prefer: "Hardware", Systemd: "Cooperate", Outlives: true, RealTimeout: ms(10200), PetDelay: ms(1000), ShutdownTimeout: ms(300000)},
		Decisions: []*peerv1.Decision{
			{Age: ms(9000 * 1000), Rule: "A12", What: "unarmed: NoRollYet", Phase: "Unarmed", Reason: "NoRollYet"},
			{Age: ms(8998 * 1000), Rule: "A2", What: "armed: T=10s L=5s", Phase: "Armed", PetLeft: ms(4900), RollVia: "api", RollSerial: 4100, RollAge: ms(100)},
			{Age: ms(1500), Rule: "A5", What: "the API gave no roll (read roll from https://10.0.1.10:6443: context deadline exceeded)", Phase: "Armed", PetLeft: ms(3600), RollVia: "api", RollSerial: 4710, RollAge: ms(1400)},
		},
	}
	for rack := 1; rack <= 4; rack++ {
		for n := 2; n <= 3; n++ {
			r.Peers = append(r.Peers, neighbour(rack, n))
		}
	}
	for _, i := range []int{0, 2, 4} {
		r.Peers[i].Witness, r.Peers[i].WithinReach = true, true
	}
	r.Peers = append(r.Peers, &peerv1.PeerStatus{
		Node: "r9-node-1", Addresses: []string{"10.0.9.1:9735"}, Witness: true, WithinReach: true, Reached: ms(21000),
	})
	return r
}

// lose makes a neighbour one that has been silent for so long.
func lose(p *peerv1.PeerStatus, seconds int) {
	p.Lost, p.OutAge, p.InAge, p.HeardUs = true, ms(seconds*1000), ms(seconds*1000+200), ms(seconds*1000+500)
	p.Since, p.Reached, p.RollAge, p.WithinReach = p.OutAge, p.OutAge, ms(seconds*1000+900), false
	p.Pings.Lost = min(int32(2*seconds), p.Pings.Sent)
	p.Error = "heartbeat to " + p.Node + ": context deadline exceeded"
}

// changed returns a node that is fine but for that.
func changed(f func(*peerv1.StatusReply)) *peerv1.StatusReply {
	r := armed()
	f(r)
	return r
}

// nodes are the situations whose screens are pinned.
func nodes() map[string]*peerv1.StatusReply {
	return map[string]*peerv1.StatusReply{
		"fine": armed(),
		// The uplink of rack 4 is cut.
		"rack-cut": changed(func(r *peerv1.StatusReply) {
			lose(r.Peers[6], 12)
			lose(r.Peers[7], 12)
			for _, p := range r.Peers[4:6] { // those of rack 3, which watch it too
				p.Sights[1].Lost, p.Sights[2].Lost = true, true
			}
			r.Entries = []*peerv1.Entry{
				{Node: "r4-node-2", BootId: "b42", Fence: "f-19", State: peerv1.Entry_STATE_WITHHELD},
				{Node: "r4-node-3", BootId: "b43", Fence: "f-20", State: peerv1.Entry_STATE_SUSPECTED},
			}
			r.Decisions = append(r.Decisions,
				&peerv1.Decision{Age: ms(10000), Rule: "A8", What: "neighbour r4-node-2 is lost: no answer for 2.003s", Phase: "Armed", PetLeft: ms(4500), RollVia: "api", RollSerial: 4711, RollAge: ms(500)})
		}),
		// No API server answers; the witnesses keep the node up.
		"outage": changed(func(r *peerv1.StatusReply) {
			r.RollVia, r.RollAge, r.PetLeft, r.ResetLeft = "witness", ms(900), ms(4100), ms(15300)
			r.Next = "stays up; if API and peers vanish now, resets in 4.1s, or in 15.3s by the watchdog alone if the agent hangs too"
			r.Endpoints = []*peerv1.Endpoint{
				{Url: "https://10.0.1.10:6443", Answered: ms(95000), RoundTrip: ms(4), Failed: ms(300), Error: "read roll from https://10.0.1.10:6443: dial tcp 10.0.1.10:6443: connect: connection refused"},
				{Url: "https://10.0.2.10:6443", Failed: ms(400), Error: "read roll from https://10.0.2.10:6443: context deadline exceeded"},
			}
		}),
		// Nothing answers any more.
		"isolated": changed(func(r *peerv1.StatusReply) {
			for _, p := range r.Peers {
				if p.Neighbour {
					lose(p, 4)
				}
				p.WithinReach = false
			}
			r.RollVia, r.RollAge, r.PetLeft, r.ResetLeft = "relay", ms(3900), ms(1100), ms(12300)
			r.Next = "resets in 1.1s, unless the API or enough peers call the roll"
			r.Quorums[0].Reached = 0
			r.Conditions = []*peerv1.Condition{{Type: "PeersLost", Message: "fewer than a quorum of witnesses answer: the next API outage would leave this node without a roll"}}
			r.Endpoints = []*peerv1.Endpoint{{Url: "https://10.0.1.10:6443", Answered: ms(4100), Failed: ms(300), Error: "read roll from https://10.0.1.10:6443: dial tcp 10.0.1.10:6443: connect: no route to host"}}
		}),
		// Each kind of a link that works one way.
		"one-way": changed(func(r *peerv1.StatusReply) {
			r.Peers[1].InAge = ms(31000)
			lose(r.Peers[3], 40)
			r.Peers[3].InAge = ms(400)
			r.Peers[5].HeardUs = ms(8000)
			r.Peers[0].Path = "10.1.1.2:9735" // its second address
			r.Peers[6] = &peerv1.PeerStatus{Node: r.Peers[6].Node, Addresses: r.Peers[6].Addresses, Caller: true, InAge: ms(50000)}
			r.Peers[8].WithinReach, r.Peers[8].Reached = false, ms(200000)
		}),
		"unarmed": changed(func(r *peerv1.StatusReply) {
			r.Phase, r.Reason, r.Message = "Unarmed", "NoWatchdog", "no usable watchdog: watchdog0 is kept by systemd (pid 1)"
			r.Next = "stays up whatever happens, and cannot be fenced on time"
			r.PetLeft, r.ResetLeft, r.Promise = nil, nil, nil
			r.Watchdog = &peerv1.Watchdog{State: "Idle", Reachable: true, LastError: "watchdog0 is kept by systemd (pid 1)"}
		}),
		"fresh": {Node: "r1-node-1", Version: "v0.3.0", LostAfter: ms(2000), Endpoints: []*peerv1.Endpoint{{Url: "https://10.0.1.10:6443"}}},
	}
}
