package machine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/cluster/rawclock"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/picket-dev/picket/test/cluster/proc.init.func2.1"))
}

// plug is a link that remembers its power.
type plug struct{ on atomic.Bool }

func (p *plug) SetPower(on bool) { p.on.Store(on) }

// newMachine makes a machine that runs one process, and powers it on.
func newMachine(t *testing.T, change func(*Options)) (*Machine, *plug, chan Event) {
	t.Helper()
	link, events := &plug{}, make(chan Event, 100)
	o := Default()
	o.Name, o.Dir, o.BootTime = "node-1", t.TempDir(), 20*time.Millisecond
	o.Links = []Link{link}
	o.Notify = func(e Event) { events <- e }
	o.Commands = func(Boot) []proc.Command {
		return []proc.Command{{Name: "agent", Argv: []string{"/bin/sh", "-c", "sleep 300 & wait"}}}
	}
	if change != nil {
		change(&o)
	}
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	if err := m.PowerOn(); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Cause != PowerOn {
		t.Fatalf("first event: %v", e)
	}
	return m, link, events
}

// next is the next event, which must come soon.
func next(t *testing.T, events <-chan Event) Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(5 * time.Second):
		t.Fatal("no event within 5 s")
		return Event{}
	}
}

// ping plays the holder: it pings the dog with a timeout.
func ping(t *testing.T, m *Machine, timeout time.Duration) time.Duration {
	t.Helper()
	now := rawclock.Now()
	d := Dog{Running: true, Timeout: timeout, Ping: now, Pings: 1, Kappa: 1.02}
	if err := os.WriteFile(m.Device(), d.bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return now
}

func TestDogRecord(t *testing.T) {
	want := Dog{Running: true, Timeout: 10 * time.Second, Ping: 12345, Pings: 7, NoWayOut: true, Kappa: 1.02}
	got, err := parseDog(want.bytes())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range [][]byte{nil, make([]byte, dogSize), want.bytes()[:dogSize-1]} {
		if _, err := parseDog(bad); err == nil {
			t.Errorf("parsed a bad record of %d bytes", len(bad))
		}
	}
}

func TestDogFiresAfterKappaT(t *testing.T) {
	m, link, events := newMachine(t, func(o *Options) { o.Kappa = 1.5 })
	first, _ := m.Boot()
	last := ping(t, m, 200*time.Millisecond)
	e := next(t, events)
	if e.Cause != Watchdog || e.Boot != first.ID {
		t.Fatalf("%v, want the watchdog's end of %s", e, first.ID)
	}
	if due := last + 300*time.Millisecond; e.At < due || e.At > due+50*time.Millisecond {
		t.Errorf("fired %s after the ping, want 300 ms", e.At-last)
	}
	if e := next(t, events); e.Cause != PowerOn || e.Boot == first.ID {
		t.Errorf("after the reset: %v, want a new boot", e)
	}
	if dog, err := m.Dog(); err != nil || dog.Running {
		t.Errorf("the dog after a reset: %v, %v; want it at rest", dog, err)
	}
	if !link.on.Load() {
		t.Error("the new boot's link is dark")
	}
}

func TestPowerCutEndsEverythingAtOnce(t *testing.T) {
	m, link, events := newMachine(t, nil)
	boot, _ := m.Boot()
	agent, err := m.Process("agent")
	if err != nil {
		t.Fatal(err)
	}
	m.PowerCut()
	if agent.State() == nil {
		t.Error("the agent runs without power")
	}
	if boot.Power.Do(func() {}) {
		t.Error("a write after the power cut")
	}
	if link.on.Load() {
		t.Error("the link of a dead machine is up")
	}
	if e := next(t, events); e.Cause != PowerCut {
		t.Errorf("%v, want a power cut", e)
	}
	if _, on := m.Boot(); on {
		t.Error("on again by itself")
	}
}

func TestSysrqAndKilledGroupReset(t *testing.T) {
	for name, act := range map[string]func(*testing.T, *Machine, Boot){
		"sysrq": func(t *testing.T, m *Machine, _ Boot) {
			f, err := os.OpenFile(m.Sysrq(), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteString("b"); err != nil {
				t.Fatal(err)
			}
		},
		"group": func(_ *testing.T, _ *Machine, b Boot) { _ = syscall.Kill(-b.Group, syscall.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			m, _, events := newMachine(t, func(o *Options) { o.StayOff = true })
			boot, _ := m.Boot()
			act(t, m, boot)
			if e := next(t, events); e.Cause != Sysrq || e.Boot != boot.ID {
				t.Errorf("%v, want the sysrq end of %s", e, boot.ID)
			}
			if err := m.PowerOn(); err != nil { // it stayed off
				t.Error(err)
			}
		})
	}
}

func TestRebootEmptiesRunAndKeepsVar(t *testing.T) {
	m, _, events := newMachine(t, nil)
	before := m.Identity()
	for _, name := range []string{"run/picket/marker", "var/lib/picket/budget"} {
		if err := os.WriteFile(filepath.Join(before.Root, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m.Reset()
	next(t, events)
	boot := next(t, events).Boot
	if _, err := os.Stat(filepath.Join(before.Root, "run/picket/marker")); !os.IsNotExist(err) {
		t.Errorf("a marker of the last boot: %v", err)
	}
	if _, err := os.Stat(filepath.Join(before.Root, "var/lib/picket/budget")); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(before.Root, "proc/sys/kernel/random/boot_id"))
	if err != nil || strings.TrimSpace(string(text)) != boot {
		t.Errorf("boot ID %q, %v; want %s", text, err, boot)
	}
	if diff := cmp.Diff(before, m.Identity()); diff != "" {
		t.Error(diff)
	}
}

func TestFreezeStopsAllButTheDog(t *testing.T) {
	m, _, events := newMachine(t, func(o *Options) { o.StayOff = true })
	boot, _ := m.Boot()
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan bool, 1)
	go func() { wrote <- boot.Power.Do(func() {}) }()
	select {
	case <-wrote:
		t.Error("a frozen machine wrote")
	case <-time.After(50 * time.Millisecond):
	}
	if err := m.Thaw(); err != nil {
		t.Fatal(err)
	}
	if !<-wrote {
		t.Error("no write after the thaw")
	}
	if err := m.Freeze(); err != nil {
		t.Fatal(err)
	}
	ping(t, m, 100*time.Millisecond)
	if e := next(t, events); e.Cause != Watchdog {
		t.Errorf("%v, want the watchdog", e)
	}
	if boot.Power.Do(func() {}) {
		t.Error("a write after the reset")
	}
}

func TestSignalReachesWorkers(t *testing.T) {
	m, _, _ := newMachine(t, nil)
	agent, err := m.Process("agent")
	if err != nil {
		t.Fatal(err)
	}
	var workers []int
	for deadline := time.Now().Add(5 * time.Second); len(workers) == 0 && time.Now().Before(deadline); {
		if workers, err = agent.Descendants(); err != nil {
			t.Fatal(err)
		}
	}
	if len(workers) != 1 {
		t.Fatalf("workers: %v, want one", workers)
	}
	if err := m.Signal("agent", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-agent.Done()
	for deadline := time.Now().Add(5 * time.Second); runs(workers[0]); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the worker outlived the kill")
		}
	}
	if _, on := m.Boot(); !on {
		t.Error("a killed agent reset the machine")
	}
	if err := m.Start("agent"); err != nil {
		t.Error(err)
	}
}

// runs reports whether a process runs; a zombie does not.
func runs(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}
