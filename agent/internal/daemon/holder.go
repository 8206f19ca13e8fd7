package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
)

const (
	// holderPoll is how long the holder is left alone when there is nothing to
	// tell it: then it is asked how it is.
	holderPoll = time.Second
	// extendEvery is the pause after which a later deadline is told at once. One
	// that comes earlier waits for the next, or for holderPoll: neighbours bring a
	// slightly fresher roll many times a second, and each time holder and agent
	// would wake up. It costs a part of a roll's life, less than holderPoll, if
	// the agent crashes meanwhile, and nothing else.
	extendEvery = 250 * time.Millisecond
	// holderPatience is how long a holder may be away, as while it restarts,
	// before its device counts as failing (A11).
	holderPatience = 2 * time.Second
)

// A wish is what a verdict wants of the holder.
type wish struct {
	order    uint64
	mode     decide.HoldMode
	timeout  time.Duration
	petUntil timing.Instant
}

// A keeper keeps the holder as the verdicts wish, and reports what it says.
type keeper struct {
	socket string
	wishes mailbox[wish]
	report func(context.Context, decide.Held)

	// launched says how it stands with the launch of the holder.
	launched func() launch.Report
	// trusts says that the holder is somebody else's, whose service nobody knows.
	trusts bool

	status    atomic.Pointer[hold.Status] // the newest, for others
	reachable atomic.Bool                 // the last call was answered

	// facts corrects what the holder says of its device by what self-tests found.
	facts func(watchdog.Facts) watchdog.Facts

	mu     sync.Mutex // held while the holder is talked to, or exchanged
	client *hold.Client
	wish   wish
	done   wish           // the last wish that was carried out
	said   *decide.Held   // nil: nothing yet
	known  bool           // the holder has said once what it does
	last   hold.Status    // what it said last in this conversation
	told   timing.Instant // when it was last told a later deadline
	since  timing.Instant // since when the holder cannot be reached
}

// run serves wishes until ctx ends. It leaves the holder as it is.
func (k *keeper) run(ctx context.Context) {
	k.mu.Lock()
	k.since = clock.Now()
	k.mu.Unlock()
	poll := time.NewTimer(holderPoll)
	defer poll.Stop()
	k.serve(ctx)
	for {
		select {
		case <-ctx.Done():
			k.mu.Lock()
			defer k.mu.Unlock()
			k.hangUp()
			return
		case k.wish = <-k.wishes:
			if k.mayWait(clock.Now()) {
				continue
			}
		case <-poll.C:
		}
		k.serve(ctx)
		poll.Reset(holderPoll)
	}
}

// mayWait reports whether the wish is but a later deadline, of which the holder
// has been told another just now and which it has not come near.
func (k *keeper) mayWait(now timing.Instant) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.onlyLater() && k.wish.order == k.done.order &&
		k.told.Age(now) < extendEvery && k.last.PetUntil.After(now.Add(2*holderPoll))
}

// serve carries out the present wish and reports what changed.
func (k *keeper) serve(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	status, err := k.obey(ctx)
	if k.facts != nil {
		status.Device = k.facts(status.Device)
	}
	k.reachable.Store(status.State != hold.StateUnknown)
	if status.State != hold.StateUnknown {
		k.status.Store(&status)
	}
	held := heldOf(status, k.kept(status))
	held.Order = k.done.order
	switch {
	case status.State == hold.StateUnknown && k.since.Age(clock.Now()) < holderPatience:
		return // it may be restarting
	case errors.Is(err, hold.ErrExpired):
		// The wish was late, not the device: the next roll brings a newer one.
	case err != nil:
		held.Err = k.blame(err)
	default:
		k.since = clock.Now()
		held.Err = cmp.Or(held.Err, k.forbidden())
	}
	// The deadline moves all the time; only an agent that resumes needs it.
	said, first := held, !k.known && status.State != hold.StateUnknown
	if k.said != nil && said == *k.said && !first {
		return
	}
	k.said = &said
	if !k.known {
		held.PetUntil, k.known = status.PetUntil, first
	}
	k.report(ctx, held)
}

// blame says why the holder cannot be relied on: where the launch has a problem,
// that is the cause of what the socket says.
func (k *keeper) blame(err error) string {
	if problem := k.launched().Problem; problem != "" && !k.reachable.Load() {
		return problem
	}
	return err.Error()
}

// settled reports whether the holder that runs may be armed: one that is about
// to be exchanged is not, nor one whose device systemd may ping.
func (k *keeper) settled() bool {
	r := k.launched()
	return r.Settled && r.Quiet
}

// kept reports whether the device outlives the holder: systemd was seen to keep
// the one of this very process.
func (k *keeper) kept(s hold.Status) bool {
	return s.Outlives && s.Stored && (k.trusts || s.PID != 0 && s.PID == k.launched().Keeps)
}

// forbidden says why the holder must not be armed, whatever it says itself.
func (k *keeper) forbidden() string {
	if r := k.launched(); r.Settled && !r.Quiet {
		return r.Problem
	}
	return ""
}

// Peek returns the holder's newest status, the zero one where the last call was
// not answered.
func (k *keeper) Peek() hold.Status {
	if s := k.status.Load(); s != nil && k.reachable.Load() {
		return *s
	}
	return hold.Status{}
}

// Exchange calls f with the holder's status of this moment and tells the holder
// nothing until f has returned. A holder that gates must not be kept waiting: f
// looks at the status first.
func (k *keeper) Exchange(ctx context.Context, f func(context.Context, hold.Status) error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	status, err := k.ask(ctx)
	if err != nil {
		status = hold.Status{}
	}
	k.hangUp()
	err = f(ctx, status)
	k.since = clock.Now() // a new holder has as much time as a new agent gives it
	return err
}

// hangUp ends the conversation with the holder, which stays as it is.
func (k *keeper) hangUp() {
	if k.client != nil {
		_ = k.client.Close()
	}
	k.client, k.last = nil, hold.Status{}
}

// obey brings the holder to the wished mode, and returns its status.
func (k *keeper) obey(ctx context.Context) (status hold.Status, err error) {
	defer func() { k.last = status }()
	if k.onlyLater() {
		status, err := k.client.Extend(ctx, k.wish.petUntil)
		if err == nil {
			k.done, k.told = k.wish, clock.Now()
			return status, nil
		}
		// It is not as it was: ask.
	}
	status, err = k.ask(ctx)
	if err != nil {
		return hold.Status{}, err
	}
	status, err = k.command(ctx, status)
	if err == nil {
		k.done = k.wish
	}
	return status, err
}

// onlyLater reports whether a later deadline is all that the holder needs: so it
// is with every roll.
func (k *keeper) onlyLater() bool {
	w, s := k.wish, k.last
	return w.mode == decide.HoldArmed && s.State == hold.Armed && w.timeout == s.Timeout && w.petUntil.After(s.PetUntil)
}

// ask asks the holder for its status.
func (k *keeper) ask(ctx context.Context) (hold.Status, error) {
	if k.client == nil {
		client, err := hold.Dial(ctx, k.socket)
		if err != nil {
			return hold.Status{}, fmt.Errorf("reach picket-holder: %w", err)
		}
		k.client = client
	}
	status, err := k.client.Status(ctx)
	if err != nil {
		return hold.Status{}, fmt.Errorf("ask picket-holder: %w", err)
	}
	return status, nil
}

// command sends the one command, if any, that leads to the wish.
func (k *keeper) command(ctx context.Context, s hold.Status) (hold.Status, error) {
	w := k.wish
	if s.State == hold.Testing && w.mode != decide.HoldLatched {
		return s, nil // nothing else ends a self-test
	}
	switch w.mode {
	case decide.HoldUnknown:
	case decide.HoldIdle:
		if s.State != hold.Idle {
			return k.client.Disarm(ctx)
		}
	case decide.HoldFree:
		if s.State == hold.Armed {
			return k.client.Free(ctx)
		}
	case decide.HoldArmed:
		switch {
		case s.State != hold.Armed && !k.settled():
			// Later: the next poll asks again.
		case s.State != hold.Armed:
			return k.client.Arm(ctx, w.timeout, w.petUntil)
		case w.timeout != s.Timeout && w.timeout != k.done.timeout:
			return k.client.SetTimeout(ctx, w.timeout, w.petUntil)
		case w.petUntil.After(s.PetUntil):
			return k.client.Extend(ctx, w.petUntil)
		}
	case decide.HoldCoast:
		if s.State != hold.Coasting {
			return k.client.Coast(ctx, w.timeout, w.petUntil)
		}
	case decide.HoldLatched:
		return k.client.Latch(ctx)
	}
	return s, nil
}

// heldOf says in the core's words what the holder said; kept, that its device
// outlives it.
func heldOf(s hold.Status, kept bool) decide.Held {
	h := decide.Held{Timeout: s.Timeout, Device: deviceOf(s)}
	if kept {
		h.Device.Ungated = 0
	}
	switch s.State {
	case hold.StateUnknown:
	case hold.Idle:
		h.Mode = decide.HoldIdle
	case hold.Armed:
		h.Mode = decide.HoldArmed
	case hold.Free, hold.Testing: // the core must ask for nothing
		h.Mode = decide.HoldFree
	case hold.Coasting:
		h.Mode = decide.HoldCoast
	case hold.Latched:
		h.Mode = decide.HoldLatched
	}
	if s.Failing {
		h.Err = s.LastError
	}
	return h
}

// deviceOf says what the core must know of the device. One that ends with the
// holder is pinged by its unclean close.
func deviceOf(s hold.Status) decide.Device {
	d := decide.Device{
		Usable: s.Device.Identity != "", Min: s.Device.Min, Max: s.Device.Max,
		Granule: time.Second, Kappa: s.Device.Kappa, PetDelay: s.PetDelay, Ungated: 1,
	}
	if s.Device.Kind == watchdog.KindFile {
		d.Granule = time.Millisecond
	}
	return d
}
