package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/proto/timing"
)

// A holder that may be exchanged in a moment is not armed: the exchange would
// have to wait until the node is unarmed again.
func TestNothingIsArmedBeforeTheLaunchHasSettled(t *testing.T) {
	report := launch.Report{}
	k := &keeper{launched: func() launch.Report { return report }, wish: wish{mode: decide.HoldArmed}}
	status := hold.Status{State: hold.Free}
	if got, err := k.command(t.Context(), status); err != nil || got != status { // a call would meet no client
		t.Errorf("%+v, %v", got, err)
	}
	report.Settled = true
	if k.settled() || k.forbidden() != "" {
		t.Error("arms before systemd was seen to stay off the watchdogs")
	}
	report.Problem = "systemd would ping the watchdog"
	if k.settled() || k.forbidden() != report.Problem {
		t.Errorf("a loud systemd: settled %v, forbidden %q", k.settled(), k.forbidden())
	}
	report.Quiet = true
	if !k.settled() || k.forbidden() != "" {
		t.Error("a settled launch does not arm")
	}
}

// What keeps the holder from starting is what the node says of itself.
func TestTheLaunchsProblemIsTheCause(t *testing.T) {
	report := launch.Report{Problem: "watchdog0 is kept by systemd"}
	k := &keeper{launched: func() launch.Report { return report }}
	err := errors.New("connect: no such file or directory")
	if got := k.blame(err); got != report.Problem {
		t.Errorf("blames %q", got)
	}
	k.reachable.Store(true)
	if got := k.blame(err); got != err.Error() {
		t.Errorf("blames %q, and the holder has spoken", got)
	}
}

// The launcher may be exchanging the holder while the agent ends; the race
// detector sees where both use one connection.
func TestAnExchangeWhileTheKeeperEnds(t *testing.T) {
	dir, err := os.MkdirTemp("", "k") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	holder, err := net.Listen("unixpacket", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	k := &keeper{
		socket: socket, wishes: newMailbox[wish](), report: func(context.Context, decide.Held) {},
		launched: func() launch.Report { return launch.Report{} },
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var ends sync.WaitGroup
	ends.Go(func() { k.run(ctx) })
	for range 3 {
		short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond) // this holder does not answer
		if err := k.Exchange(short, func(context.Context, hold.Status) error { return nil }); err != nil {
			t.Error(err)
		}
		cancel()
	}
	ends.Wait()
}

// A later deadline is one exchange with the holder; whatever else changes begins
// with its status.
func TestOnlyALaterDeadlineIsNotAskedBefore(t *testing.T) {
	at := func(s int) timing.Instant { return timing.At(time.Duration(s) * time.Second) }
	armed := wish{mode: decide.HoldArmed, timeout: 10 * time.Second, petUntil: at(5)}
	last := hold.Status{State: hold.Armed, Timeout: 10 * time.Second, PetUntil: at(4)}
	tests := []struct {
		name string
		edit func(*wish, *hold.Status)
		want bool
	}{
		{"a later deadline", func(*wish, *hold.Status) {}, true},
		{"the same deadline: how is the holder?", func(w *wish, _ *hold.Status) { w.petUntil = at(4) }, false},
		{"another timeout", func(w *wish, _ *hold.Status) { w.timeout = 20 * time.Second }, false},
		{"another mode", func(w *wish, _ *hold.Status) { w.mode = decide.HoldCoast }, false},
		{"a holder that said it is latched", func(_ *wish, s *hold.Status) { s.State = hold.Latched }, false},
		{"a holder that has said nothing yet", func(_ *wish, s *hold.Status) { *s = hold.Status{} }, false},
	}
	for _, tt := range tests {
		k := &keeper{wish: armed, last: last}
		tt.edit(&k.wish, &k.last)
		if got := k.onlyLater(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A later deadline waits for the next one only where that costs nothing but a
// part of a roll's life, and only if the agent crashes meanwhile.
func TestOnlyALaterDeadlineMayWait(t *testing.T) {
	now := timing.At(time.Hour)
	armed := wish{order: 3, mode: decide.HoldArmed, timeout: 10 * time.Second, petUntil: now.Add(5 * time.Second)}
	last := hold.Status{State: hold.Armed, Timeout: 10 * time.Second, PetUntil: now.Add(4800 * time.Millisecond)}
	tests := []struct {
		name string
		edit func(*keeper)
		want bool
	}{
		{"right after another", func(*keeper) {}, true},
		{"a while after another", func(k *keeper) { k.told = now.Add(-extendEvery) }, false},
		{"the first one", func(k *keeper) { k.told = timing.Instant{} }, false},
		{"the holder's deadline is near", func(k *keeper) { k.last.PetUntil = now.Add(2 * holderPoll) }, false},
		{"another order", func(k *keeper) { k.wish.order++ }, false},
		{"another timeout", func(k *keeper) { k.wish.timeout++ }, false},
		{"latch", func(k *keeper) { k.wish.mode = decide.HoldLatched }, false},
		{"a new holder", func(k *keeper) { k.last = hold.Status{} }, false},
	}
	for _, tt := range tests {
		k := &keeper{wish: armed, done: armed, last: last, told: now.Add(-extendEvery / 2)}
		tt.edit(k)
		if got := k.mayWait(now); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// What is reported wakes the core, whose verdict brings the next wish: a holder
// that is away must not be reported for ever, only once.
func TestAHolderThatIsAwayIsReportedOnce(t *testing.T) {
	reports := 0
	k := &keeper{
		socket: filepath.Join(t.TempDir(), "holder.sock"), since: clock.Now().Add(-2 * holderPatience),
		launched: func() launch.Report { return launch.Report{} },
		report:   func(context.Context, decide.Held) { reports++ },
	}
	for range 3 {
		k.serve(t.Context())
	}
	if reports != 1 {
		t.Errorf("reported %d times", reports)
	}
}
