package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/kube"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/agent/internal/link"
	"github.com/picket-dev/picket/agent/internal/peer"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// A Daemon is the agent of one node.
type Daemon struct {
	config  Config
	version string
	log     *slog.Logger
	machine host.Identity
	// hypervisor says why the node is a virtual machine, or nothing.
	hypervisor string
	identity   *peer.Identity
	api        *kube.API
	server     *peer.Server
	client     *peer.Client
	beats      *peer.Heartbeater
	keeper     *keeper
	launcher   *launch.Launcher
	memory     *host.Memory[decide.Memory]
	guidance   *host.Memory[guidance]
	budget     *host.Budget
	tally      *tally
	journal    *journal
	tests      *tester
	steward    *steward
	children   *child.Runner
	volumes    *kube.API // the steward's own connections: what is slow there does not delay a roll
	pace       pace
	seen       ledger
	published  published

	events    chan decide.Event
	statuses  mailbox[decide.Status]
	republish chan struct{}
	armed     mailbox[bool] // whether the node is, for the inhibitor against sleep
	// prepared is closed once the core is done with a Shutdown or a Stop.
	prepared  chan struct{}
	dismissed dismissal
	hostEnds  atomic.Bool // a SIGTERM came of the host's shutdown

	guiding sync.Mutex                     // the core hears one word of the controller at a time
	verdict atomic.Pointer[decide.Verdict] // the newest, for the admin service
	spec    atomic.Pointer[v1alpha1.NodeGuardSpec]

	// Owned by the goroutine of loop.
	core     *decide.Core
	stored   decide.Memory
	answered peer.Answers
	logged   string

	// Owned by the goroutine of publish.
	writes     int64
	conditions map[string]metav1.Condition
}

// Run runs the agent until ctx ends and it has become unarmed; where it cannot, until
// it is killed or the host shuts down. The error says why it could not run at all.
func Run(ctx context.Context, c Config, version string, log *slog.Logger) error {
	d, err := newDaemon(c, version, log)
	if err != nil {
		return err
	}
	defer d.close()
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for peers: %w", err)
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	d.beats = peer.NewHeartbeater(d.client, func(b peer.Beat) { d.beat(work, b) })
	var running sync.WaitGroup
	for _, run := range []func(context.Context){
		d.journal.run, d.launcher.Run, d.keeper.run, d.beats.Run, d.publish, d.watchGuard, d.watchLinks, d.serveAdmin, d.serveMetrics, d.attendLogin, d.retireKeys,
	} {
		running.Go(func() { run(work) })
	}
	running.Go(func() { d.tests.run(work) })
	running.Go(func() { d.steward.run(work) })
	go d.installGate(work) // not waited for: it may hang with the host's disk
	running.Go(func() {
		if err := d.server.Serve(listener); err != nil {
			log.Error("peers cannot reach this agent", "err", err)
		}
	})
	d.loop(ctx, work)
	cancel()
	d.server.Close()
	running.Wait()
	leaving, end := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer end()
	d.lastWord(leaving)
	d.tally.settle(leaving)
	left := d.vacate(leaving)
	if d.dismissed.told() {
		return d.linger(ctx, left)
	}
	return nil
}

const (
	// leaveWithin bounds what a leaving agent does once it is unarmed: the last
	// word, and taking Picket off a host that it leaves.
	leaveWithin = 40 * time.Second
	// lastWordWithin bounds how long it tries to say that it left.
	lastWordWithin = 2 * time.Second
)

// lastWord publishes the phase in which the agent leaves. Nothing rests on it:
// the promise was published before.
func (d *Daemon) lastWord(ctx context.Context) {
	v := d.verdict.Load()
	if v == nil || v.Phase == decide.PhaseUnknown {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastWordWithin)
	defer cancel()
	if _, err := d.api.Publish(ctx, d.statusOf(v.Status)); err != nil {
		d.log.Warn("the last status was not published", "err", err)
	}
}

// loop owns the core: events go in one by one, and each verdict is carried out
// before the next event. A host that announces its shutdown is prepared for it
// and served on: neighbours must hear of the node until it is really gone.
func (d *Daemon) loop(ctx, work context.Context) {
	wake := time.NewTimer(0)
	defer wake.Stop()
	s := d.steward
	stop := s.release(work, ctx.Done(), s.outlived, s.pause.run) // the next agent goes on
	dismissed := s.release(work, d.dismissed.done(), s.dealtWith, 0)
	done, due := false, clock.Now()
	var giveUp <-chan time.Time
	for {
		var v decide.Verdict
		var began timing.Instant
		select {
		case e := <-d.events:
			began = clock.Now()
			v = d.step(e)
		case <-wake.C:
			began = due
			v = d.step(decide.Tick{})
		case <-stop:
			stop = nil
			giveUp = time.After(d.config.StopWithin.Duration)
			v = d.takeLeave(work)
		case <-dismissed:
			dismissed = nil
			giveUp = time.After(d.config.StopWithin.Duration)
			v = d.takeLeave(work)
		case <-giveUp:
			armed := d.verdict.Load().Memory.Promise.Armed
			if armed && !d.hostEnds.Load() { // without its agent it would reset, and nothing else ends it
				d.log.Error("the node cannot become unarmed, and would reset without this agent: staying until it can. "+
					"That takes a picket-controller, and the agents' account", "rule", "A13")
				giveUp = time.After(d.config.StopWithin.Duration)
				v = d.takeLeave(work) // the host may shut down by now
				break
			}
			if armed {
				d.log.Error("could not become unarmed in time: leaving armed, as the host shuts down", "rule", "A13")
			} else {
				d.log.Warn("the holder has not confirmed in time: leaving unarmed", "rule", "A13")
			}
			return
		}
		d.carryOut(work, v)
		if v.Done && !done {
			close(d.prepared)
			done = true
		}
		if done && (stop == nil || dismissed == nil && !v.Memory.Promise.Armed) {
			return // a shutdown that is prepared goes on
		}
		now := clock.Now()
		if !began.IsZero() {
			d.pace.enter(began.Age(now))
		}
		if due = v.Wake; now.After(due) {
			due = now
		}
		wake.Reset(due.Elapsed(now) * -1)
	}
}

// takeLeave begins to become unarmed (A13), if that has not been done, for the
// reason that there is now.
func (d *Daemon) takeLeave(work context.Context) decide.Verdict {
	v := d.step(decide.Tick{})
	if !v.Done { // a shutdown that was announced may be prepared
		go func() { d.tell(work, d.farewell(work)) }()
	}
	return v
}

func (d *Daemon) step(e decide.Event) decide.Verdict {
	before := d.verdict.Load()
	d.published.hear(e, before)
	now := clock.Now()
	v := d.core.Step(now, e)
	d.verdict.Store(&v)
	for _, n := range v.Notes {
		d.journal.note(now, n, v)
	}
	if before == nil || before.Phase != v.Phase || before.Reason != v.Reason {
		d.journal.turn(now, before, v)
	}
	return v
}

// carryOut does what a verdict says. The memory comes first: an order or an
// acknowledgement that a restart could forget must not leave this process. It is
// in /run, so no disk is waited for. Questions may be asked whatever happens, and
// what is logged comes last.
func (d *Daemon) carryOut(ctx context.Context, v decide.Verdict) {
	defer d.announce(v)
	defer d.ask(ctx, v.Ask)
	if !reflect.DeepEqual(v.Memory, d.stored) {
		if err := d.memory.Store(v.Memory); err != nil {
			d.log.Error("cannot store the roll's memory: carrying out nothing that rests on it", "err", err)
			return
		}
		d.stored = v.Memory
	}
	d.armed.put(v.Status.Promise.Armed)
	if d.charge(ctx, v) {
		d.keeper.wishes.put(wish{order: v.Order, mode: v.Hold, timeout: v.Timeout, petUntil: v.PetUntil})
	}
	d.answer(v)
	if v.Phase != decide.PhaseUnknown {
		d.statuses.put(v.Status)
	}
}

// announce logs where the node stands, if that is new: transitions, not ticks.
func (d *Daemon) announce(v decide.Verdict) {
	if now := standing(v); now != d.logged {
		d.logged = now
		d.log.Info("phase", "phase", v.Phase.String(), "reason", string(v.Reason), "message", v.Message)
	}
}

// charge keeps the record of whether this boot is armed: one that ends so counts
// against the reboot budget (A12). It reports whether the holder may be told: that
// the boot is armed must be on disk before the holder gates, and a Tick brings the
// verdict again when it is. Nothing else waits for the disk, neither a later
// deadline nor the order that lets the holder go: that the boot is not armed any more
// is written after the holder has said that it does not gate.
func (d *Daemon) charge(ctx context.Context, v decide.Verdict) bool {
	wrote := func() { d.tell(ctx, decide.Tick{}) }
	switch v.Hold {
	case decide.HoldArmed:
		return d.tally.says(true, wrote) || v.Phase != decide.Arming
	case decide.HoldIdle, decide.HoldFree, decide.HoldCoast:
		if s := d.keeper.status.Load(); s != nil && s.State != hold.Armed && s.State != hold.Latched {
			d.tally.says(false, wrote)
		}
	case decide.HoldUnknown, decide.HoldLatched:
	}
	return true
}

// answer tells the peer server what to say from now on.
func (d *Daemon) answer(v decide.Verdict) {
	a := peer.Answers{Best: v.Relay, Own: v.Memory.Roll, RelayFor: d.profile().RollLife, Lost: v.Status.Lost}
	if !reflect.DeepEqual(a, d.answered) {
		d.server.SetAnswers(a)
		d.answered = a
	}
}

// profile is the one in force, or the standard one before the controller has
// spoken.
func (d *Daemon) profile() timing.Profile {
	if s := d.spec.Load(); s != nil {
		return s.Timing.Resolve(timing.Standard())
	}
	return timing.Standard()
}

// ask sends the questions of a verdict; the answers come back as events.
func (d *Daemon) ask(ctx context.Context, q decide.Ask) {
	if q.API {
		go d.readRoll(ctx, q.Urgent)
	}
	switch testify := func(t peer.Testimony) { d.testify(ctx, t) }; {
	case q.Witnesses && q.Neighbours: // A5
		go d.client.AskWitnesses(ctx, testify)
	case q.Witnesses:
		go d.beats.Probe(ctx, testify)
	}
	if q.Neighbours {
		d.client.Wake()
		if s := d.spec.Load(); s != nil {
			for _, n := range s.Neighbours {
				go func() {
					r, err := d.client.Heartbeat(ctx, n.Node)
					d.beat(ctx, peer.Beat{Node: n.Node, Reply: r, Err: err})
				}()
			}
		}
	}
}

// beat reports a neighbour's answer.
func (d *Daemon) beat(ctx context.Context, b peer.Beat) {
	d.tests.hear(b)
	d.seen.beat(b, clock.Now(), d.profile().LostAfter())
	if b.Err == nil {
		d.tell(ctx, decide.Heard{Node: b.Node, Sent: b.Reply.Sent, Relay: b.Reply.Relay})
	}
	if b.Reply.Testimony != nil {
		d.testify(ctx, *b.Reply.Testimony)
	}
}

// testify reports a witness's answer.
func (d *Daemon) testify(ctx context.Context, t peer.Testimony) {
	d.seen.testimony(t, clock.Now())
	if t.Err != nil {
		return
	}
	e := decide.Stated{Witness: t.Witness, Sent: t.Statement.Sent}
	if t.Spoke {
		e.Roll = &t.Statement.Roll
	}
	d.tell(ctx, e)
}

// tell brings the core an event.
func (d *Daemon) tell(ctx context.Context, e decide.Event) {
	select {
	case d.events <- e:
	case <-ctx.Done():
	}
}

// watchLinks turns carrier losses into events.
func (d *Daemon) watchLinks(ctx context.Context) {
	storage := make(map[string]bool)
	for _, name := range d.config.StorageInterfaces {
		storage[name] = true
	}
	link.Watch(ctx, d.log, clock.Now, func(e link.Event) {
		d.log.Info("network changed", "kind", e.Kind.String(), "interface", e.Interface, "what", e.What, "up", e.Up)
		if e.Kind == link.Carrier || !e.Up {
			d.tell(ctx, decide.Link{Interface: e.Interface, Up: e.Up, Storage: storage[e.Interface]})
		}
	})
}

// guided takes a new NodeGuard spec, from the API or from the last run.
func (d *Daemon) guided(ctx context.Context, s v1alpha1.NodeGuardSpec) {
	spec, err := specOf(s)
	if err != nil {
		d.log.Error("the controller's timing is void: keeping the old one", "err", err)
		return
	}
	d.guiding.Lock()
	defer d.guiding.Unlock()
	d.refuseVM(s, &spec)
	d.tests.fold(&spec)
	d.steward.fold(ctx, s, &spec)
	d.spec.Store(&s)
	d.steward.hear()
	peers := peersOf(s)
	d.client.SetPeers(peers)
	d.server.SetPeers(peers)
	d.seen.keep(peers)
	d.beats.Set(spec.Profile.Heartbeat, spec.Neighbours)
	if s.Unarmed == string(v1alpha1.Uninstall) {
		d.dismissed.tell()
	} else {
		d.launcher.Want(wantOf(s.Watchdog, spec.Profile))
	}
	d.tell(ctx, decide.Guided{Spec: spec})
}
