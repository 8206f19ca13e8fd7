package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/peer"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// SelfTest answers `picket-agent watchdog self-test`.
func (a *admin) SelfTest(ctx context.Context, req *peerv1.SelfTestRequest) (*peerv1.SelfTestReply, error) {
	j := job{ctx: ctx, begin: req.GetBegin(), done: make(chan outcome, 1)}
	select {
	case a.d.tests.jobs <- j:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case o := <-j.done:
		if o.err != nil {
			return nil, status.Error(codes.FailedPrecondition, o.err.Error())
		}
		return o.reply, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// under is the daemon as the tester sees it.
type under struct{ d *Daemon }

// Conditions returns what must hold of the node. A node that is cordoned, holds
// no volumes and is unarmed can be reset without harm but to pods that nobody
// has drained; nobody else's word on that is as fresh.
func (u under) Conditions(ctx context.Context) []*peerv1.Check {
	return []*peerv1.Check{u.drained(ctx), u.clean(ctx), u.device(), u.heard()}
}

func (u under) drained(ctx context.Context) *peerv1.Check {
	c := &peerv1.Check{Name: "drained", What: "the node is cordoned"}
	cordoned, err := u.d.api.Cordoned(ctx)
	switch {
	case err != nil:
		c.What = "the API server does not say whether the node is cordoned: " + err.Error()
	case !cordoned:
		c.What = "the node takes pods: kubectl drain " + u.d.config.Node + " --ignore-daemonsets --delete-emptydir-data"
	default:
		c.Ok = true
	}
	return c
}

func (u under) clean(ctx context.Context) *peerv1.Check {
	c := &peerv1.Check{Name: "clean", What: "no volume is mounted or mapped"}
	paths, err := u.d.steward.volumes(ctx)
	switch {
	case err != nil:
		c.What = err.Error()
	case len(paths) > 0:
		c.What = "there are volumes (" + strings.Join(paths, ", ") + "): drain the node, and see what still uses them: picket-agent devices"
	default:
		c.Ok = true
	}
	return c
}

func (u under) device() *peerv1.Check {
	s := u.d.keeper.Peek()
	c := &peerv1.Check{Name: "watchdog", What: "there is no usable watchdog: see picket-agent watchdog"}
	switch {
	case s.State == hold.StateUnknown:
		c.What = "picket-holder does not answer"
	case s.Device.Identity == "":
	case s.Failing:
		c.What = "the watchdog fails: " + s.LastError
	case s.State != hold.Idle && s.State != hold.Free && s.State != hold.Armed:
		c.What = "the holder is " + s.State.String()
	default:
		c.Ok, c.What = true, fmt.Sprintf("%s (%s), T=%v", s.Device.Identity, s.Device.Kind, u.timeout(s.Device))
	}
	return c
}

// timeout is T as the node would be armed with.
func (u under) timeout(f watchdog.Facts) time.Duration {
	return f.ChooseTimeout(u.d.profile().RealTimeout)
}

func (u under) heard() *peerv1.Check {
	names, answer := u.Neighbours(), 0
	for _, n := range names {
		if at, ok := u.d.client.Answered(n); ok && at.Age(clock.Now()) < u.d.profile().LostAfter() {
			answer++
		}
	}
	c := &peerv1.Check{Name: "neighbours", Ok: answer >= timekeepers, What: fmt.Sprintf("%d of %d neighbours answer", answer, len(names))}
	if !c.Ok {
		c.What += fmt.Sprintf(", and %d must time the test", timekeepers)
	}
	return c
}

// Guide tells the core the controller's word anew.
func (u under) Guide(ctx context.Context, unarmed bool) error {
	u.d.guideAgain(ctx)
	if !unarmed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, u.d.config.StopWithin.Duration)
	defer cancel()
	poll := time.NewTicker(testPoll)
	defer poll.Stop()
	for {
		v := u.d.verdict.Load()
		if v != nil && v.Phase == decide.Unarmed && v.Reason == decide.ReasonSelfTest && !v.Status.Promise.Armed {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			if v == nil {
				return fmt.Errorf("the node does not become unarmed: %w", ctx.Err())
			}
			return fmt.Errorf("A13: the node does not become unarmed for the test; it is %v %s: %s", v.Phase, v.Reason, v.Message)
		}
	}
}

// LastPing lets the holder test its device, after before has agreed to T. The
// device is that of the holder which tests: the last one may just be exchanged.
func (u under) LastPing(ctx context.Context, before func(watchdog.Facts, time.Duration) error) (hold.Status, error) {
	s, err := u.d.keeper.test(ctx, func(s hold.Status) (time.Duration, error) {
		f := u.d.tests.facts(s.Device)
		if f.Identity == "" {
			return 0, errors.New("the holder has no usable watchdog: see picket-agent watchdog")
		}
		t := u.timeout(f)
		return t, before(f, t)
	})
	s.Device = u.d.tests.facts(s.Device)
	return s, err
}

// Neighbours returns their names.
func (u under) Neighbours() []string {
	if s := u.d.spec.Load(); s != nil {
		return names(s.Neighbours)
	}
	return nil
}

// SetTest says what heartbeats say of a self-test from now on.
func (u under) SetTest(t *peer.Test) { u.d.client.SetTest(t) }

// Beat sends heartbeats of its own until ctx ends.
func (u under) Beat(ctx context.Context, every time.Duration, nodes []string, report func(peer.Beat)) {
	h := peer.NewHeartbeater(u.d.client, report)
	h.Set(every, nodes)
	h.Run(ctx)
}

// openTests makes the tester, which corrects what the holder says from its first
// word on.
func (d *Daemon) openTests() {
	h := d.config.host()
	d.tests = newTester(d.machine.BootID, host.KernelRelease(h), host.NewDisk[watchdog.Record](h, watchdog.RecordFile), d.log, clock.Now)
	d.tests.node, d.tests.peers = under{d}, under{d}
	d.tests.changed = d.publishAnew
	d.keeper.facts = d.tests.facts
}

// guideAgain tells the core the newest word of the controller once more.
func (d *Daemon) guideAgain(ctx context.Context) {
	d.guiding.Lock()
	defer d.guiding.Unlock()
	s := d.spec.Load()
	if s == nil {
		return
	}
	if spec, err := specOf(*s); err == nil {
		d.refuseVM(*s, &spec)
		d.tests.fold(&spec)
		d.steward.fold(ctx, *s, &spec)
		d.tell(ctx, decide.Guided{Spec: spec})
	}
}

// test lets the holder test its device for the T that its status leads to. After
// an error of the connection the holder says whether it does.
func (k *keeper) test(ctx context.Context, agree func(hold.Status) (time.Duration, error)) (hold.Status, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, err := k.ask(ctx)
	if err != nil {
		return hold.Status{}, err
	}
	t, err := agree(s)
	if err != nil {
		return hold.Status{}, err
	}
	s, err = k.client.Test(ctx, t)
	if err != nil {
		if again, trouble := k.ask(ctx); trouble == nil && again.State == hold.Testing && !again.LastPet.IsZero() {
			return again, nil
		}
		return s, fmt.Errorf("test the watchdog: %w", err)
	}
	return s, nil
}
