package daemon

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

// AdminSocket is where the agent whose run directory this is serves the CLI.
func AdminSocket(run string) string { return filepath.Join(run, "agent.sock") }

// admin serves the CLI of the same node. Only root, or whoever runs the agent,
// can open its socket.
type admin struct {
	peerv1.UnimplementedAdminServer
	d *Daemon
}

// serveAdmin serves until ctx ends. The agent works without it.
func (d *Daemon) serveAdmin(ctx context.Context) {
	path := AdminSocket(d.config.run())
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Warn("no CLI on this node: remove the old admin socket", "err", err)
		return
	}
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		d.log.Warn("no CLI on this node: open the admin socket", "err", err)
		return
	}
	server := grpc.NewServer()
	peerv1.RegisterAdminServer(server, &admin{d: d})
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		d.log.Warn("the admin socket broke", "err", err)
	}
}

// Status answers `picket-agent status` and `picket-agent peers`.
func (a *admin) Status(context.Context, *peerv1.StatusRequest) (*peerv1.StatusReply, error) {
	now := clock.Now()
	r := &peerv1.StatusReply{Node: a.d.config.Node, BootId: a.d.machine.BootID, Version: a.d.version, Peers: a.peers(now)}
	r.WatchdogPolicy = a.d.watchdogPolicy()
	if v := a.d.verdict.Load(); v != nil {
		r.Phase, r.Reason, r.Message = v.Phase.String(), string(v.Reason), v.Message
		r.Next = next(*v, a.d.keeper.status.Load(), now)
		r.History = v.Status.History
		if v.Status.Promise.Armed && v.Hold != decide.HoldCoast {
			r.PetLeft = durationpb.New(-v.PetUntil.Age(now))
		}
		if v.Relay != nil {
			r.RollAge = durationpb.New(v.Relay.Sent.Age(now))
			r.RollVia = v.Via
			r.RollSerial = v.Relay.Roll.Serial
		}
	}
	if h := a.d.keeper.status.Load(); h != nil {
		r.Watchdog = &peerv1.Watchdog{
			Driver: h.Device.Driver, Kind: h.Device.Kind.String(), Timeout: durationpb.New(h.Timeout),
			Kappa: int32(h.Device.Kappa), State: h.State.String(),
			WorstPetDelay: durationpb.New(h.WorstDelay), Pets: h.Pets, LastError: cmp.Or(a.d.launchProblem(), h.LastError),
		}
		r.Watchdog.Verified, r.Watchdog.SelfTest = a.d.tests.verified(h.Device)
	}
	return r, nil
}

// next says what happens if nothing changes. The holder's word is nil before its
// first one.
func next(v decide.Verdict, h *hold.Status, now timing.Instant) string {
	switch {
	case h != nil && h.State == hold.Testing:
		return "its watchdog, which is being tested, must reset it " + h.Device.RealTimeout(h.Timeout).String() + " after the last ping"
	case v.Hold == decide.HoldCoast:
		return "shuts down; the watchdog resets it " + v.Timeout.String() + " after its last ping, if that hangs"
	}
	switch v.Phase {
	case decide.Armed, decide.Leaving:
		left := -v.PetUntil.Age(now)
		return "stays up; if API and peers vanish now, resets in " + left.Round(time.Second/10).String() + " at the latest, plus the watchdog's time if the agent hangs"
	case decide.Latched:
		return "resets"
	case decide.Unarmed, decide.Arming, decide.PhaseUnknown:
	}
	return "stays up whatever happens, and cannot be fenced on time"
}

// peers lists everybody this agent talks to, both directions.
func (a *admin) peers(now timing.Instant) []*peerv1.PeerStatus {
	spec := a.d.spec.Load()
	if spec == nil {
		return nil
	}
	lost := []string(nil)
	if v := a.d.verdict.Load(); v != nil {
		lost = v.Status.Lost
	}
	heard := a.d.server.Heard()
	all := make(map[string]*peerv1.PeerStatus)
	at := func(node string) *peerv1.PeerStatus {
		if all[node] == nil {
			all[node] = &peerv1.PeerStatus{Node: node, Lost: slices.Contains(lost, node)}
		}
		return all[node]
	}
	for _, p := range spec.Neighbours {
		s := at(p.Node)
		s.Neighbour, s.Addresses = true, p.Addresses
		if t, ok := a.d.client.Answered(p.Node); ok {
			s.OutAge = durationpb.New(t.Age(now))
		}
		if t, ok := heard[p.Node]; ok {
			s.InAge = durationpb.New(t.Age(now))
		}
	}
	for _, p := range spec.Witnesses {
		if p.Node != a.d.config.Node {
			s := at(p.Node)
			s.Witness, s.Addresses = true, p.Addresses
		}
	}
	list := make([]*peerv1.PeerStatus, 0, len(all))
	for _, s := range all {
		list = append(list, s)
	}
	slices.SortFunc(list, func(x, y *peerv1.PeerStatus) int {
		if x.Node < y.Node {
			return -1
		}
		return 1
	})
	return list
}

// Why answers `picket-agent why`.
func (a *admin) Why(context.Context, *peerv1.WhyRequest) (*peerv1.WhyReply, error) {
	now := clock.Now()
	r := &peerv1.WhyReply{}
	for _, e := range a.d.journal.all() {
		r.Decisions = append(r.Decisions, &peerv1.Decision{
			Age: durationpb.New(e.at.Age(now)), Rule: string(e.note.Rule), What: e.note.What,
		})
	}
	return r, nil
}
