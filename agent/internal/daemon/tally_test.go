package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/agent/internal/peer"
)

// A disk is one whose fsync lasts until somebody lets it go on.
type disk struct {
	slow   bool
	goOn   chan error
	wrote  []bool
	inside int
}

func (d *disk) write(armed bool) error {
	d.inside++
	defer func() { d.inside-- }()
	if d.inside > 1 {
		panic("two writes at once")
	}
	if d.slow {
		if err := <-d.goOn; err != nil {
			return err
		}
	}
	d.wrote = append(d.wrote, armed)
	return nil
}

// An earlier word never overtakes a later one, and nobody waits for the disk.
func TestTheNewestWordIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &disk{slow: true, goOn: make(chan error)}
		y := &tally{write: x.write, log: slog.New(slog.DiscardHandler)}
		told := 0
		says := func(armed, want bool) {
			t.Helper()
			if got := y.says(armed, func() { told++ }); got != want {
				t.Errorf("says(%t) = %t after %v", armed, got, x.wrote)
			}
			synctest.Wait()
		}
		next := func(err error) {
			x.goOn <- err
			synctest.Wait()
		}
		says(true, false)
		says(true, false)
		next(nil)
		says(true, true)
		says(false, false) // hangs
		says(true, false)  // the disk may say false already
		says(false, false)
		says(true, false)
		next(nil)
		says(true, false)
		next(nil)
		says(true, true)
		if d := cmp.Diff([]bool{true, false, true}, x.wrote); d != "" {
			t.Errorf("written (-want +got):\n%s", d)
		}
		says(false, false)
		next(errors.New("no space left"))
		says(true, false) // nobody knows what it says now
		next(errors.New("no space left"))
		if told != 2 {
			t.Errorf("told %d times", told)
		}
		says(true, false)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		y.settle(short) // gives up
		next(nil)
		y.settle(t.Context())
		says(true, true)
	})
}

// A disk that refuses everything, as one that has become read-only, is said once,
// though each try names another file; and anew when it has worked meanwhile.
func TestAnIllDiskIsSaidOnce(t *testing.T) {
	var said strings.Builder
	tries, ill := 0, true
	y := &tally{log: slog.New(slog.NewTextHandler(&said, nil)), write: func(bool) error {
		if tries++; ill {
			return &os.PathError{Op: "open", Path: fmt.Sprintf("/state/boots.json.%d", tries), Err: unix.EROFS}
		}
		return nil
	}}
	for lines := range 2 {
		ill = true
		for range 5 {
			y.says(false, func() {})
			y.settle(t.Context())
		}
		if n := strings.Count(said.String(), "rule=A12"); n != lines+1 {
			t.Errorf("%d lines after %d tries: %s", n, tries, said.String())
		}
		ill = false
		y.says(false, func() {})
		y.settle(t.Context())
		y.known = false // as for another word
	}
}

// aDaemon is one whose holder nobody runs.
func aDaemon(t *testing.T, log io.Writer) *Daemon {
	c := Default()
	c.Node, c.Root, c.Listen, c.Advertise = "n", t.TempDir(), "127.0.0.1:1", []string{"127.0.0.1:1"}
	c.API.Endpoints, c.API.CA, c.API.Token = []string{"https://127.0.0.1:1"}, "/nowhere", "/nowhere"
	c.Holder.Launch, c.StopWithin.Duration = launch.External, 50*time.Millisecond
	put(t, c.Root, "proc/sys/kernel/random/boot_id", thisBoot)
	d, err := newDaemon(c, "v", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	d.beats = peer.NewHeartbeater(d.client, func(peer.Beat) {})
	return d
}

// wished returns what the holder is told by now, HoldUnknown if nothing.
func (d *Daemon) wished() decide.HoldMode {
	select {
	case w := <-d.keeper.wishes:
		return w.mode
	default:
		return decide.HoldUnknown
	}
}

// A12, and promise 2: the disk comes before the holder gates, and never between a
// node and what keeps it up. An upgrade (A13) while fsync hangs lets the holder go.
func TestASlowDiskResetsNobody(t *testing.T) {
	d := aDaemon(t, io.Discard)
	x := &disk{slow: true, goOn: make(chan error)}
	write, begun := d.tally.write, make(chan bool, 1)
	d.tally.write = func(armed bool) error {
		begun <- armed
		return errors.Join(x.write(armed), write(armed))
	}
	begins := func(want bool) {
		t.Helper()
		if got := <-begun; got != want {
			t.Errorf("writes %t, want %t", got, want)
		}
	}
	arming := decide.Verdict{Phase: decide.Arming, Hold: decide.HoldArmed}
	armed := decide.Verdict{Phase: decide.Armed, Hold: decide.HoldArmed}
	unarmed := decide.Verdict{Phase: decide.Unarmed, Hold: decide.HoldFree}
	carry := func(v decide.Verdict, want decide.HoldMode) {
		t.Helper()
		d.carryOut(t.Context(), v)
		if got := d.wished(); got != want {
			t.Errorf("%v, %v: the holder is told %v, want %v", v.Phase, v.Hold, got, want)
		}
	}
	onDisk := func(want string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(d.config.Root, d.config.State, "boots.json"))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("on disk is %s, %v; want %s", text, err, want)
		}
	}
	tick := func() { // the disk is done
		t.Helper()
		x.goOn <- nil
		if e := <-d.events; e != (decide.Tick{}) {
			t.Errorf("the core hears %v", e)
		}
	}
	carry(arming, decide.HoldUnknown)
	begins(true)
	carry(arming, decide.HoldUnknown)
	tick()
	onDisk(`"armed": true`)
	carry(arming, decide.HoldArmed)
	d.keeper.status.Store(&hold.Status{State: hold.Armed})
	carry(armed, decide.HoldArmed)
	carry(unarmed, decide.HoldFree)
	if d.tally.busy != nil {
		t.Error("writes that this boot is unarmed, and the holder still gates")
	}
	d.keeper.status.Store(&hold.Status{State: hold.Free})
	carry(unarmed, decide.HoldFree)
	begins(false) // and hangs
	carry(arming, decide.HoldUnknown)
	carry(armed, decide.HoldArmed) // one that gates all the same gets its deadline
	x.goOn <- nil
	begins(true)
	tick()
	onDisk(`"armed": true`)
	carry(arming, decide.HoldArmed)
}

// A12: a boot that ended in order does not count, wherever the holder ends with the
// agent: it closes its device (A13), as on a host without systemd.
func TestA12ABootWhoseDeviceWasClosedDoesNotCount(t *testing.T) {
	d := aDaemon(t, io.Discard)
	settle := func() bool {
		d.tally.settle(t.Context())
		return d.tally.known
	}
	d.carryOut(t.Context(), decide.Verdict{Phase: decide.Arming, Hold: decide.HoldArmed})
	if !settle() || !d.tally.armed {
		t.Fatal("arming is not on disk")
	}
	idle := decide.Verdict{Phase: decide.Unarmed, Reason: decide.ReasonStopping, Hold: decide.HoldIdle}
	for _, state := range []hold.State{hold.Armed, hold.Latched} {
		d.keeper.status.Store(&hold.Status{State: state})
		if d.carryOut(t.Context(), idle); !settle() || !d.tally.armed {
			t.Errorf("%v: is on disk as unarmed", state)
		}
	}
	d.keeper.status.Store(&hold.Status{State: hold.Idle})
	if d.carryOut(t.Context(), idle); !settle() || d.tally.armed {
		t.Error("the device is closed, and the boot counts as one that ended armed")
	}
}
