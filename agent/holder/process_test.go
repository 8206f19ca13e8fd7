package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/watchdog"
)

const ms = time.Millisecond

func TestIdleHolderTellsAboutItsDevice(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	s := m.ok(m.dial().Status(t.Context()))
	want := watchdog.Facts{Driver: "file", Identity: "simulated watchdog", Kind: watchdog.KindFile, Kappa: 1020, Min: 500 * ms, Max: time.Hour}
	if s.State != hold.Idle || s.Device != want || s.Boot != "98aff813-e2f5-4e3d-9d1c-79b6e0e8af9e" || s.Version == "" || s.PetDelay != 500*ms {
		t.Errorf("status %+v", s)
	}
	if _, err := os.Stat(m.path("watchdog")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an idle holder has opened its device: %v", err)
	}
}

func TestPetsEveryQuarterWhileExtended(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	s := m.ok(c.Arm(t.Context(), time.Second, in(3*time.Second)))
	if s.State != hold.Armed || s.Timeout != time.Second {
		t.Fatalf("armed: %+v", s)
	}
	m.until("ten pings", func() bool {
		s = m.ok(c.Extend(t.Context(), in(3*time.Second)))
		return s.Pets >= 10
	})
	at := m.pinged()
	r := m.registers()
	if r[running] != 1 || time.Duration(r[timeout]) != time.Second || r[kappa] != 1020 || r[pings] < 10 {
		t.Errorf("registers %v", r)
	}
	// Opening and setting T ping, too; the rest is the rhythm.
	for i := 3; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap < 200*ms || gap > time.Second {
			t.Errorf("%v between pings %d and %d, want about 250ms", gap, i-1, i)
		}
	}
	t.Logf("worst pet delay %v", s.WorstDelay)
	m.isAlive()
}

func TestA6PetUntilPassedResets(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	until := in(1200 * ms)
	m.ok(m.dial().Arm(t.Context(), time.Second, until))
	m.isReset()
	if late := until.Age(clock.Now()); late < 0 || late > time.Second {
		t.Errorf("reset %v after petUntil", late)
	}
	m.lastPingBefore(until)
}

// The agent may die as it likes: petUntil decides.
func TestDisconnectionChangesNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	until := in(1500 * ms)
	m.ok(c.Arm(t.Context(), time.Second, until))
	_ = c.Close()
	before := len(m.pinged())
	m.until("ping without an agent", func() bool { return len(m.pinged()) > before })
	m.isReset()
	m.lastPingBefore(until)
}

func TestA1LatchResetsAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Minute, in(time.Minute)))
	begin := clock.Now()
	_, err := c.Latch(t.Context())
	if err == nil {
		t.Error("the latch was answered as if nothing had happened")
	}
	m.isReset()
	if took := begin.Age(clock.Now()); took > time.Second {
		t.Errorf("reset after %v", took)
	}
}

func TestKilledHolderGoesOnUnderTheOldDeadline(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	until := in(4 * time.Second)
	m.ok(m.dial().Arm(t.Context(), 2*time.Second, until))
	m.kill()
	before := len(m.pinged())
	m.start()
	s := m.ok(m.dial().Status(t.Context()))
	if s.State != hold.Armed || s.PetUntil != until || s.Timeout != 2*time.Second {
		t.Errorf("resumed with %+v, want Armed until %v", s, until)
	}
	m.until("ping of the successor", func() bool { return len(m.pinged()) > before })
	m.isReset()
	m.lastPingBefore(until)
}

func TestA6KilledHolderIsTooLate(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	until := in(700 * ms)
	m.ok(m.dial().Arm(t.Context(), 2*time.Second, until))
	m.kill()
	before := len(m.pinged())
	m.until("petUntil", func() bool { return until.Passed(clock.Now()) })
	m.start()
	m.isReset()
	if after := len(m.pinged()); after != before {
		t.Errorf("%d pings before the death, %d after the restart", before, after)
	}
}

// A boot that latched and could not reset stays latched in the marker.
func TestA6LatchedMarkerResetsAtOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	marker := hold.NewMarker("98aff813-e2f5-4e3d-9d1c-79b6e0e8af9e", hold.Record{State: hold.Latched})
	if err := os.WriteFile(m.path("marker"), marker, 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	m.wait("reset of the machine", m.off)
	if _, err := os.Stat(m.path("watchdog")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the device was opened: %v", err)
	}
}

func TestMarkerOfAnotherBootBindsNobody(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	if err := os.WriteFile(m.path("marker"), hold.NewMarker("another", hold.Record{State: hold.Latched}), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Minute, in(time.Minute)))
	m.isAlive()
}

// A marker that nobody can read may be that of a latched boot.
func TestCorruptMarkerOfARunningDeviceIsNotPinged(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	m.ok(m.dial().Arm(t.Context(), time.Minute, in(time.Minute)))
	m.kill()
	before := len(m.pinged())
	if err := os.WriteFile(m.path("marker"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the marker must not be replaced by an innocent one
		m.start()
		c := m.dial()
		if _, err := c.Arm(t.Context(), time.Minute, in(time.Minute)); !errors.Is(err, hold.ErrRefused) {
			t.Errorf("arm: %v, want ErrRefused", err)
		}
		if s, _ := c.Status(t.Context()); !strings.Contains(s.LastError, "marker is corrupt") {
			t.Errorf("last error %q", s.LastError)
		}
		m.kill()
	}
	if after := len(m.pinged()); after != before {
		t.Errorf("%d pings before, %d after", before, after)
	}
	m.isAlive()
}

func TestForeignRunningDeviceIsRefused(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	m.ok(m.dial().Arm(t.Context(), time.Minute, in(time.Minute)))
	m.kill()
	if err := os.Remove(m.path("marker")); err != nil {
		t.Fatal(err)
	}
	m.start()
	if _, err := m.dial().Arm(t.Context(), time.Minute, in(time.Minute)); !errors.Is(err, hold.ErrRefused) || !strings.Contains(err.Error(), "not for us") {
		t.Errorf("arm: %v", err)
	}
}

func TestFreePetsWithoutADeadlineUntilArmed(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	until := in(time.Second)
	m.ok(c.Arm(t.Context(), time.Second, until))
	if s := m.ok(c.Free(t.Context())); s.State != hold.Free {
		t.Fatalf("freed: %v", s.State)
	}
	m.kill() // and stays free through a restart
	m.start()
	c = m.dial()
	m.until("ping after the old petUntil", func() bool {
		at := m.pinged()
		return at[len(at)-1] > until.Raw+500*ms
	})
	m.isAlive()
	again := in(600 * ms)
	m.ok(c.Arm(t.Context(), time.Second, again))
	m.isReset()
	m.lastPingBefore(again)
}

func TestDisarmStopsTheDog(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Second, in(time.Second)))
	if s := m.ok(c.Disarm(t.Context())); s.State != hold.Idle {
		t.Errorf("state %v", s.State)
	}
	if m.registers()[running] != 0 {
		t.Error("the dog still runs")
	}
	m.ok(c.Arm(t.Context(), time.Minute, in(time.Minute)))
	if m.registers()[running] != 1 {
		t.Error("the dog does not run")
	}
}

func TestSetTimeout(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Second, in(time.Minute)))
	if s := m.ok(c.SetTimeout(t.Context(), 5*time.Minute, in(time.Minute))); s.Timeout != 5*time.Minute {
		t.Errorf("timeout %v", s.Timeout)
	}
	// 150 ms become 200 in this device; more than was published must not stand.
	s, err := c.SetTimeout(t.Context(), 5*time.Minute+150*ms, in(time.Minute))
	if !errors.Is(err, hold.ErrRefused) || s.Timeout != 5*time.Minute || time.Duration(m.registers()[timeout]) != 5*time.Minute {
		t.Errorf("timeout %v, error %v", s.Timeout, err)
	}
	if s, err = c.SetTimeout(t.Context(), 100*ms, in(time.Minute)); !errors.Is(err, hold.ErrDevice) || s.Timeout != 5*time.Minute {
		t.Errorf("below the minimum: timeout %v, error %v", s.Timeout, err)
	}
	if _, err = c.SetTimeout(t.Context(), time.Minute, in(0)); !errors.Is(err, hold.ErrExpired) {
		t.Errorf("without a petUntil: %v", err)
	}
}

// A host that shuts down: the dog runs on with the long T, nobody pings it any
// more, and a holder that is killed and started again knows.
func TestCoast(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.config["outlives"] = true
	m.start()
	c := m.dial()
	until := in(1500 * ms)
	m.ok(c.Arm(t.Context(), time.Second, until))
	s := m.ok(c.Coast(t.Context(), 5*time.Minute, until))
	if s.State != hold.Coasting || s.Timeout != 5*time.Minute || !s.PetUntil.IsZero() || !s.Stored {
		t.Errorf("coasting: %+v", s)
	}
	last := m.registers()
	if time.Duration(last[timeout]) != 5*time.Minute || time.Duration(last[lastPing]) >= until.Raw {
		t.Errorf("registers %v", last)
	}
	if s := m.ok(c.Coast(t.Context(), 5*time.Minute, until)); s.State != hold.Coasting {
		t.Errorf("coasting again: %v", s.State)
	}
	if s, err := c.Disarm(t.Context()); !errors.Is(err, hold.ErrRefused) || !strings.Contains(err.Error(), "reboot the host") || s.State != hold.Coasting {
		t.Errorf("disarm: %v, %v", s.State, err)
	}
	m.kill()
	m.start()
	c = m.dial()
	m.until("petUntil and the old T", func() bool { return until.Add(1500 * ms).Passed(clock.Now()) })
	if s := m.ok(c.Status(t.Context())); s.State != hold.Coasting || s.Timeout != 5*time.Minute || !s.Stored {
		t.Errorf("resumed with %+v", s)
	}
	_ = m.holder.cmd.Process.Signal(syscall.SIGTERM)
	if code := m.exited(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := m.registers(); got != last {
		t.Errorf("registers %v after the last ping, %v in the end", last, got)
	}
	m.isAlive()
}

func TestA1LatchResetsACoastingHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Minute, in(time.Minute)))
	m.ok(c.Coast(t.Context(), 5*time.Minute, in(time.Minute)))
	if _, err := c.Latch(t.Context()); err == nil {
		t.Error("the latch was answered as if nothing had happened")
	}
	m.isReset()
}

// A dog that makes more of the long T than was published is taken back, and
// petted as before.
func TestCoastRefusesALongerTimeout(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Second, in(time.Minute)))
	s, err := c.Coast(t.Context(), 5*time.Minute+150*ms, in(time.Minute))
	if !errors.Is(err, hold.ErrRefused) || s.State != hold.Armed || s.Timeout != time.Second || time.Duration(m.registers()[timeout]) != time.Second {
		t.Errorf("%v with %v, error %v, registers %v", s.State, s.Timeout, err, m.registers())
	}
	before := len(m.pinged())
	m.until("ping", func() bool { return len(m.pinged()) > before })
}

func TestSIGTERM(t *testing.T) {
	for name, c := range map[string]struct {
		bring   func(*testing.T, *machine, *hold.Client)
		state   hold.State // in the marker
		running uint64
	}{
		"Idle": {func(t *testing.T, m *machine, c *hold.Client) {}, hold.Idle, 0},
		"Armed": {func(t *testing.T, m *machine, c *hold.Client) {
			m.ok(c.Arm(t.Context(), time.Minute, in(time.Minute)))
		}, hold.Armed, 1},
		"Coasting": {func(t *testing.T, m *machine, c *hold.Client) {
			m.ok(c.Arm(t.Context(), time.Minute, in(time.Minute)))
			m.ok(c.Coast(t.Context(), 2*time.Minute, in(time.Minute)))
		}, hold.Coasting, 1},
		"Free": {func(t *testing.T, m *machine, c *hold.Client) {
			m.ok(c.Arm(t.Context(), time.Minute, in(time.Minute)))
			m.ok(c.Free(t.Context()))
		}, hold.Idle, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.start()
			c.bring(t, m, m.dial())
			_ = m.holder.cmd.Process.Signal(syscall.SIGTERM)
			if code := m.exited(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			if name != "Idle" {
				if got := m.registers()[running]; got != c.running {
					t.Errorf("running %d, want %d", got, c.running)
				}
			}
			marker, _ := os.ReadFile(m.path("marker"))
			if r, v := hold.ReadMarker(marker, "98aff813-e2f5-4e3d-9d1c-79b6e0e8af9e"); v != hold.Ours || r.State != c.state {
				t.Errorf("marker %v %v, want %v", v, r.State, c.state)
			}
			m.isAlive()
		})
	}
}

func TestNowayoutNeedsAnOutlivingHolder(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.config["testDevice"] = map[string]any{"nowayout": true, "kappa": 2000}
	m.start()
	c := m.dial()
	if _, err := c.Arm(t.Context(), time.Minute, in(time.Minute)); !errors.Is(err, hold.ErrRefused) {
		t.Errorf("arm: %v, want ErrRefused", err)
	}
	_ = m.holder.cmd.Process.Signal(syscall.SIGTERM)
	m.exited()
	m.config["outlives"] = true
	m.start()
	c = m.dial()
	s := m.ok(c.Arm(t.Context(), time.Minute, in(time.Minute)))
	if !s.Device.Nowayout || s.Device.Kappa != 2000 || !s.Outlives || !s.Stored {
		t.Errorf("status %+v", s)
	}
	if s, err := c.Disarm(t.Context()); !errors.Is(err, hold.ErrRefused) || s.State != hold.Free {
		t.Errorf("disarm: %v, %v", s.State, err)
	}
	if m.registers()[nowayout] != 1 || m.registers()[running] != 1 {
		t.Errorf("registers %v", m.registers())
	}
}

func TestArmIsRefusedWithoutSysrq(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.config["sysrq"] = m.path("missing/sysrq")
	m.start()
	if _, err := m.dial().Arm(t.Context(), time.Minute, in(time.Minute)); !errors.Is(err, hold.ErrRefused) || !strings.Contains(err.Error(), "privileged pod") {
		t.Errorf("arm: %v", err)
	}
}

func TestSecondHolderRefusesToStart(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Minute, in(time.Minute)))
	first := m.holder
	m.start()
	if code := m.exited(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	m.logHas("another picket-holder runs")
	m.holder = first
	m.ok(c.Extend(t.Context(), in(time.Minute)))
}

func TestNewAgentReplacesTheOld(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	first, second := m.dial(), m.dial()
	m.ok(second.Arm(t.Context(), time.Minute, in(time.Minute)))
	// The old agent must not free what the new one armed.
	if _, err := first.Free(t.Context()); !errors.Is(err, hold.ErrReplaced) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("free by the old agent: %v", err)
	}
	if s := m.ok(second.Status(t.Context())); s.State != hold.Armed {
		t.Errorf("state %v", s.State)
	}
}

func TestGarbageIsAnswered(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	m.dial()
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: m.path("socket"), Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(slack))
	for _, garbage := range []string{"hello", strings.Repeat("x", hold.RequestSize), strings.Repeat("y", 5000)} {
		b := make([]byte, 2*hold.ReplySize)
		if _, err := conn.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := hold.DecodeReply(b[:n]); err != nil || !errors.Is(r.Err, hold.ErrInvalid) {
			t.Errorf("%.10q: reply %v, %v", garbage, r.Err, err)
		}
	}
}

// A stopped holder that goes on after petUntil finds it passed: it does not
// ping again, it resets.
func TestA6StoppedHolder(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	until := in(time.Second)
	m.ok(m.dial().Arm(t.Context(), time.Second, until))
	_ = m.holder.cmd.Process.Signal(syscall.SIGSTOP)
	m.until("petUntil and some more", func() bool { return until.Add(700 * ms).Passed(clock.Now()) })
	m.isAlive()
	_ = m.holder.cmd.Process.Signal(syscall.SIGCONT)
	m.isReset()
	m.lastPingBefore(until)
}

func TestFDStoreKeepsTheDevice(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.config["outlives"] = true
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path("notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	_ = manager.SetDeadline(time.Now().Add(slack))
	env := "NOTIFY_SOCKET=" + m.path("notify")
	m.start(env)
	c := m.dial()
	if text, _ := receive(t, manager); text != "READY=1" {
		t.Errorf("manager was told %q", text)
	}
	until := in(8 * time.Second)
	if s := m.ok(c.Arm(t.Context(), 2*time.Second, until)); !s.Stored || !s.Outlives {
		t.Errorf("status %+v", s)
	}
	text, stored := receive(t, manager)
	if text != "FDSTORE=1\nFDNAME=watchdog\nFDPOLL=0" || stored == nil {
		t.Fatalf("manager was told %q with %v", text, stored)
	}
	defer stored.Close()
	m.kill()
	// The manager alone has the device now; a new file would be another dog.
	if err := os.Rename(m.path("watchdog"), m.path("elsewhere")); err != nil {
		t.Fatal(err)
	}
	m.startWith(stored, env)
	c = m.dial()
	if s := m.ok(c.Status(t.Context())); s.State != hold.Armed || s.PetUntil != until || !s.Stored {
		t.Errorf("resumed with %+v", s)
	}
	before := count(t, stored)
	m.until("ping of the adopted device", func() bool { return count(t, stored) > before })
	m.ok(c.Disarm(t.Context()))
	for text != "FDSTOREREMOVE=1\nFDNAME=watchdog" {
		text, _ = receive(t, manager) // or the deadline of the socket
	}
}

// A holder that coasts keeps the descriptor that the service manager hands
// back, and neither opens nor pings the dog, nor takes it out of the store.
func TestFDStoreOfACoastingHolder(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Second, in(time.Minute)))
	m.ok(c.Coast(t.Context(), 5*time.Minute, in(time.Minute)))
	m.kill()
	stored, err := os.OpenFile(m.path("watchdog"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	last := m.registers()
	m.startWith(stored)
	c = m.dial()
	if s := m.ok(c.Status(t.Context())); s.State != hold.Coasting || !s.Stored {
		t.Errorf("resumed with %+v", s)
	}
	links, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(m.holder.cmd.Process.Pid), "fd/*"))
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, l := range links {
		if to, _ := os.Readlink(l); to == m.path("watchdog") {
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("the dog is open %d times in the holder, want once", kept)
	}
	_ = m.holder.cmd.Process.Signal(syscall.SIGTERM)
	if code := m.exited(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := m.registers(); got != last {
		t.Errorf("registers %v after the last ping, %v in the end", last, got)
	}
}

// receive returns one message to the service manager, with its descriptor.
func receive(t *testing.T, manager *net.UnixConn) (string, *os.File) {
	t.Helper()
	b, oob := make([]byte, 4096), make([]byte, 256)
	n, oobn, _, _, err := manager.ReadMsgUnix(b, oob)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) == 0 {
		return string(b[:n]), nil
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("descriptors %v, %v", fds, err)
	}
	return string(b[:n]), os.NewFile(uintptr(fds[0]), "stored")
}

// count returns the number of pings of an open simulated watchdog.
func count(t *testing.T, f *os.File) uint64 {
	t.Helper()
	var b [8]byte
	if _, err := f.ReadAt(b[:], 32); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint64(b[:])
}
