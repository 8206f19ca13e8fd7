package launch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/systemd"
)

const (
	// checkEvery is how often the launcher looks whether the holder is there.
	checkEvery = 2 * time.Second
	// againAfter is the pause after a failure, and before a holder that gates is
	// looked at again.
	againAfter = 10 * time.Second
	// pollEvery is the pace of waiting for a process.
	pollEvery = 50 * time.Millisecond
)

// A Keeper talks to the holder.
type Keeper interface {
	// Peek returns the holder's newest status, the zero one where it cannot be
	// reached at present.
	Peek() hold.Status
	// Exchange calls f with the holder's status of this moment, the zero one
	// where it cannot be reached, and tells the holder nothing until f has
	// returned.
	Exchange(ctx context.Context, f func(context.Context, hold.Status) error) error
}

// A Report says how it stands with the launch. The zero Report is that of a
// Launcher which was not asked for anything yet.
type Report struct {
	// Device is the kernel's name of the holder's device, such as watchdog0;
	// empty where nothing was launched.
	Device string
	// Problem says why there is no holder, or not the one that is wanted, and
	// what to do about it; empty where there is none.
	Problem string
	// Settled says that the newest Want has been looked at.
	Settled bool
	// Quiet says that systemd was seen to stay off the holder's watchdog: when it
	// reboots the host, and while that runs. Without it the Problem says why not,
	// and nothing may be armed.
	Quiet bool
	// Keeps is the process of the holder whose device systemd was seen to keep
	// in its FD store; 0 where it was not.
	Keeps int
}

// A record is what this boot's holder was launched with.
type record struct {
	Device string
	Binary string // its fingerprint
	Config hold.Config
	PID    int // of a child
}

// Validate has nothing to refuse.
func (record) Validate() error { return nil }

// A Launcher keeps the holder that the policy wants on the host.
type Launcher struct {
	cfg    Config
	paths  paths
	boot   string
	log    *slog.Logger
	keeper Keeper
	// dial reaches the host's systemd, list looks at its watchdogs.
	dial func(context.Context) (manager, error)
	list func() ([]watchdog.Candidate, error)

	wants    chan numbered
	newest   atomic.Int64 // the number of the newest Want
	told     atomic.Pointer[told]
	launched *host.Memory[record]
	done     *Want // the last one that was carried out

	quiet  bool      // systemd stays off the holder's watchdog
	loud   error     // why it does not, although it was told to
	keeps  int       // the process whose device it keeps
	looked time.Time // when that was seen
}

// manager is the host's systemd.
type manager interface {
	services
	dogs
	Close()
}

// New returns a Launcher for the host and its boot of that ID. The Config must
// be valid. With External it launches nothing, and only keeps systemd off the
// watchdogs.
func New(c Config, h host.Config, boot string, k Keeper, log *slog.Logger) *Launcher {
	l := &Launcher{
		cfg: c, paths: paths{Config: h}, boot: boot, log: log, keeper: k, wants: make(chan numbered, 1),
		launched: host.NewMemory[record](h, "launched", boot),
	}
	l.dial = func(ctx context.Context) (manager, error) {
		return systemd.Dial(ctx, filepath.Join(h.Root, systemd.PrivateSocket))
	}
	l.list = func() ([]watchdog.Candidate, error) {
		all, err := watchdog.List(l.paths.roots())
		tests, trouble := host.NewDisk[watchdog.Record](h, watchdog.RecordFile).Load()
		if trouble != nil {
			log.Warn("what self-tests of the watchdog found is lost", "err", trouble)
		}
		tests.Apply(all, host.KernelRelease(h))
		return all, err
	}
	l.told.Store(&told{})
	return l
}

// numbered is a Want and how many there have been, told what came of it.
type numbered struct {
	Want
	number int64
}

type told struct {
	Report
	number int64
}

// Report returns how it stands.
func (l *Launcher) Report() Report {
	t := l.told.Load()
	r := t.Report
	r.Settled = t.number != 0 && t.number == l.newest.Load()
	return r
}

// Want tells the launcher what the policy asks for. Only one goroutine may call
// it.
func (l *Launcher) Want(w Want) {
	select {
	case <-l.wants:
	default:
	}
	l.wants <- numbered{w, l.newest.Add(1)}
}

// Run launches the holder as soon as it is wanted, and brings it back whenever
// it is gone, until ctx ends. It then leaves the holder as it is.
func (l *Launcher) Run(ctx context.Context) {
	var want numbered
	check := time.NewTimer(0)
	if !check.Stop() {
		<-check.C
	}
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case want = <-l.wants:
		case <-check.C:
		}
		wait := checkEvery
		device, err := l.ensure(ctx, want.Want)
		err = errors.Join(l.look(ctx), err)
		next := told{Report{Device: device, Quiet: l.quiet, Keeps: l.keeps}, want.number}
		if err != nil {
			next.Problem, wait = err.Error(), againAfter
		}
		if old := l.told.Swap(&next); old.Problem != next.Problem && err != nil && ctx.Err() == nil {
			l.log.Warn("the holder is not launched as wanted", "err", err)
		}
		check.Reset(wait)
	}
}

// errGating means that the holder must not be touched now.
var errGating = errors.New("the holder that runs is not the one that is wanted; it gates, and is exchanged when the node is unarmed")

// find returns the home of the holder. The conversation with systemd, which is
// nil for a child, ends with end.
func (l *Launcher) find(ctx context.Context) (h home, init dogs, end func(), err error) {
	child := nursery{binary: l.cfg.Binary, config: l.paths.here(l.paths.hostRun(configName)), proc: l.paths.roots().Proc}
	if l.cfg.Launch == Child {
		return child, nil, func() {}, nil
	}
	m, err := l.systemd(ctx)
	switch {
	case err != nil:
		return nil, nil, nil, err
	case m != nil:
		return hosted{manager: m, paths: l.paths}, m, m.Close, nil
	case l.cfg.Launch == Systemd:
		return nil, nil, nil, fmt.Errorf("find systemd, as holder.launch says: %w", systemd.ErrAbsent)
	}
	return child, nil, func() {}, nil
}
