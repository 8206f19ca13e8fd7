package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/attached"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/rejoin"
	"github.com/picket-dev/picket/agent/teardown"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// A cleaner looks at the host's storage and tears down what has moved: a
// rejoin.Executor. Look may be called at any time.
type cleaner interface {
	Look(ctx context.Context) teardown.Inventory
	Run(ctx context.Context, aim teardown.Aim, attachments func(context.Context, teardown.Inventory) teardown.Attachments) rejoin.Outcome
	Forget() error
}

// An asker says what is attached to this node: an attached.Reader.
type asker interface {
	Read(ctx context.Context, inv teardown.Inventory, f attached.Fence) attached.Answer
}

// A steward looks after the node's storage. It says what the node has and, after a
// fence, rids it of what has moved, or says what blocks. It works in a goroutine of
// its own, which the core and the publication of its status never wait for; what
// it asks of the core is one thing, a reset, and it asks by way of A14.
type steward struct {
	boot    string
	host    cleaner
	api     asker
	glance  func() string
	spec    func() *v1alpha1.NodeGuardSpec // nil: the controller has not spoken yet
	changed func()                         // the storage is to be published
	guide   func(context.Context)          // tells the core the controller's word anew
	spent   func() string                  // why no more resets are good, or nothing
	reached func() bool                    // an API server gave a roll when last asked
	note    func(decide.Note)
	pace    *pace
	log     *slog.Logger
	pause   pauses

	word  chan struct{} // the controller has spoken
	said  atomic.Pointer[v1alpha1.Storage]
	last  atomic.Pointer[account]
	doom  atomic.Pointer[string] // why this boot must not go on
	asked chan struct{}          // holds one while a person is answered
	limit limit                  // of this boot, if it was fenced and is not clean

	// Owned by run.
	seen    string         // the glance before the last look
	looked  timing.Instant // when that began
	unquiet bool           // it has to be looked at again, whatever the glance says
	again   time.Duration  // until the next look after a fence
}

// pauses are how long a steward waits.
type pauses struct {
	glance  time.Duration // between two glances
	look    time.Duration // between two looks at a node in peace, at least
	anyway  time.Duration // after which it looks though a glance shows nothing new
	again   time.Duration // between two looks after a fence, at first
	most    time.Duration // and at most: each that finds nothing new doubles the pause
	patient time.Duration // for an API server that does not answer a fenced boot
	run     time.Duration // for all of a rejoin in a fenced boot
	report  time.Duration // for the word before a reset to be published
}

// defaultPauses cost a node in peace at most one look in 15 s, each some tenths of
// a second of a processor, and a glance of less than a millisecond.
func defaultPauses() pauses {
	return pauses{
		glance: 2 * time.Second, look: 15 * time.Second, anyway: 5 * time.Minute,
		again: 3 * time.Second, most: time.Minute, patient: 20 * time.Second, run: 5 * time.Minute, report: time.Second,
	}
}

func newSteward(boot string, log *slog.Logger) *steward {
	s := &steward{
		boot: boot, log: log, pause: defaultPauses(), pace: &pace{},
		word: make(chan struct{}, 1), asked: make(chan struct{}, 1),
		changed: func() {}, guide: func(context.Context) {}, spent: func() string { return "" },
		reached: func() bool { return true }, note: func(decide.Note) {},
	}
	s.said.Store(&v1alpha1.Storage{State: v1alpha1.StorageUnknown, Message: "nobody has looked yet"})
	return s
}

// hear says that the controller has spoken.
func (s *steward) hear() {
	select {
	case s.word <- struct{}{}:
	default: // it is known already
	}
}

// fold keeps from the core a fence that is dealt with by a teardown, from now on
// within bounds, and tells it of one where only a reset is safe (A14).
func (s *steward) fold(ctx context.Context, by v1alpha1.NodeGuardSpec, spec *decide.Spec) {
	switch {
	case s.doom.Load() != nil:
		spec.FencedBoot = s.boot
	case by.FencedBoot != s.boot:
		s.limit.lift()
	case by.Rejoin == v1alpha1.RejoinClean:
		spec.FencedBoot = ""
		s.bind(ctx)
	}
}

// bind has this boot, which was fenced, reset unless the rejoins of it end, each
// within its time. Not even a look that never comes back keeps it alive.
func (s *steward) bind(ctx context.Context) {
	s.limit.set(s.pause.run, func() {
		if !s.outlived() {
			s.reset(ctx, fmt.Sprintf("no rejoin has ended within %v", s.pause.run))
		}
	})
}

// A limit is the end of the time that a fenced boot has. The zero limit is none.
type limit struct {
	mu    sync.Mutex
	timer *time.Timer
}

// set has it come after that time, if none was set since it was last lifted.
func (l *limit) set(after time.Duration, come func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer == nil {
		l.timer = time.AfterFunc(after, come)
	}
}

// put has it come after that time from now, if one was set.
func (l *limit) put(after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Reset(after)
	}
}

// lift has it not come.
func (l *limit) lift() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// dealtWith reports whether nothing is left to do for the fence that the controller
// names, if any.
func (s *steward) dealtWith() bool {
	spec, said := s.spec(), s.said.Load()
	return spec == nil || spec.FencedBoot == "" || said.State == v1alpha1.StorageClean && said.FencedBoot == spec.FencedBoot
}

// outlived is dealtWith of a fence of this very boot; others are over for it.
func (s *steward) outlived() bool {
	spec := s.spec()
	return spec == nil || spec.FencedBoot != s.boot || s.dealtWith()
}

// release is closed after asked, once a fence is dealt with or, if patience is not
// 0, that has passed; at the latest when ctx ends. An agent that leaves would leave
// the rest of a rejoin to nobody.
func (s *steward) release(ctx context.Context, asked <-chan struct{}, dealtWith func() bool, patience time.Duration) <-chan struct{} {
	released := make(chan struct{})
	go func() {
		defer close(released)
		select {
		case <-asked:
		case <-ctx.Done():
			return
		}
		var enough <-chan time.Time
		if patience > 0 {
			enough = time.After(patience)
		}
		tick := time.NewTicker(s.pause.glance)
		defer tick.Stop()
		for !dealtWith() {
			select {
			case <-tick.C:
			case <-enough:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return released
}

// storage is what the NodeGuard must say now.
func (s *steward) storage() v1alpha1.Storage { return *s.said.Load() }

// run attends to the storage until ctx ends.
func (s *steward) run(ctx context.Context) {
	tick := time.NewTicker(s.pause.glance)
	defer tick.Stop()
	for {
		s.attend(ctx)
		select {
		case <-ctx.Done():
			return
		case <-s.word:
		case <-tick.C:
		}
	}
}

// attend does what is due.
func (s *steward) attend(ctx context.Context) {
	spec := s.spec()
	if spec == nil {
		spec = &v1alpha1.NodeGuardSpec{}
	}
	now := clock.Now()
	if s.said.Load().FencedBoot != spec.FencedBoot {
		// What was found before is not about this fence, and after it no longer.
		s.unquiet = true
		fresh := s.storage()
		fresh.State, fresh.FencedBoot, fresh.Message = v1alpha1.StorageUnknown, spec.FencedBoot, "looking for what is left of volumes that have moved"
		s.say(fresh)
	}
	seen := s.glance()
	age := s.looked.Age(now)
	first := s.looked.IsZero()
	switch {
	case s.doom.Load() != nil || spec.FencedBoot == s.boot && spec.Rejoin != v1alpha1.RejoinClean:
		// The core resets the node at once (A14).
	case spec.FencedBoot != "":
		if s.unquiet || seen != s.seen {
			s.again = s.pause.again
		}
		due := age >= s.again
		if s.said.Load().State == v1alpha1.StorageClean {
			due = age >= s.pause.anyway || due && seen != s.seen
		}
		if s.unquiet || due {
			s.begin(seen, now)
			s.again = min(2*s.again, s.pause.most)
			s.rejoin(ctx, *spec)
		}
	case s.unquiet || first || seen != s.seen && age >= s.pause.look || age >= s.pause.anyway:
		s.begin(seen, now)
		s.look(ctx)
	}
}

// begin notes that a look begins.
func (s *steward) begin(seen string, now timing.Instant) {
	s.seen, s.looked, s.unquiet = seen, now, false
}

// look says what a node in peace has. It does not ask the API, which has nothing
// to say against it.
func (s *steward) look(ctx context.Context) {
	inv := s.host.Look(ctx)
	if ctx.Err() != nil {
		return
	}
	found := v1alpha1.Storage{State: v1alpha1.StorageClean}
	found.Devices, found.Omitted = devicesOf(teardown.Make(inv, teardown.Attachments{}, teardown.Aim{}).Tree)
	switch {
	case slices.ContainsFunc(found.Devices, func(d v1alpha1.Device) bool { return d.Volume != "" }):
		found.State = v1alpha1.StorageInUse
	case len(unread(inv)) > 0:
		found.State, found.Message = v1alpha1.StorageUnknown, short(unread(inv)[0])
	}
	s.say(found)
}

// unread lists what could not be read that may concern any device.
func unread(inv teardown.Inventory) []string {
	var all []string
	for _, u := range inv.Unknown {
		if (u.Device == teardown.Number{}) {
			all = append(all, u.What+" could not be read: "+u.Why)
		}
	}
	return all
}

// say publishes what is new.
func (s *steward) say(found v1alpha1.Storage) {
	last := s.said.Swap(&found)
	if !sameStorage(*last, found) {
		s.changed()
	}
}
