package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/proto/timing"
)

// holderPath is picket-holder with the simulated watchdog, built once.
var holderPath string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "holder")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	holderPath = filepath.Join(dir, "picket-holder")
	build := exec.Command("go", "build", "-tags", "testdevice", "-o", holderPath, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build picket-holder: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// machine is a simulated host: the files of a holder, and one process that
// lives until the host is reset.
type machine struct {
	t      *testing.T
	dir    string
	config map[string]any
	power  *exec.Cmd     // in the process group that a reset kills
	off    chan struct{} // closed when it has died
	holder *process
}

// process is a holder that runs.
type process struct {
	cmd  *exec.Cmd
	log  *bytes.Buffer
	done chan struct{}
}

const slack = 10 * time.Second // a bound for what should take milliseconds

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "pkt") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &machine{t: t, dir: dir, off: make(chan struct{}), power: exec.Command("sleep", "600")}
	m.power.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.power.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = m.power.Wait()
		close(m.off)
	}()
	t.Cleanup(func() { _ = m.power.Process.Kill(); <-m.off })
	m.boot("98aff813-e2f5-4e3d-9d1c-79b6e0e8af9e")
	m.config = map[string]any{
		"device": m.path("watchdog"), "sysrq": m.path("sysrq"), "marker": m.path("marker"), "socket": m.path("socket"),
		"bootID": m.path("boot_id"), "petDelay": "500ms", "resetGroup": m.power.Process.Pid,
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) boot(id string) {
	m.t.Helper()
	if err := os.WriteFile(m.path("boot_id"), []byte(id+"\n"), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) writeConfig() string {
	m.t.Helper()
	text, err := json.Marshal(m.config)
	if err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path("config"), text, 0o644); err != nil {
		m.t.Fatal(err)
	}
	return m.path("config")
}

// start starts a holder with that environment.
func (m *machine) start(env ...string) {
	m.t.Helper()
	m.startWith(nil, env...)
}

// startWith starts a holder as a service manager does that has stored the dog.
func (m *machine) startWith(stored *os.File, env ...string) {
	m.t.Helper()
	// LISTEN_PID must name the holder itself, which the shell becomes.
	p := &process{cmd: exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" --config "$1"`, holderPath, m.writeConfig()),
		log: new(bytes.Buffer), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	if stored != nil {
		p.cmd.Env = append(p.cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=watchdog")
		p.cmd.ExtraFiles = []*os.File{stored}
	}
	p.cmd.Stderr = p.log
	m.run(p)
}

func (m *machine) run(p *process) {
	m.t.Helper()
	if err := p.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	m.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if m.t.Failed() {
			m.t.Logf("holder's log:\n%s", p.log)
		}
	})
	m.holder = p
}

// kill is the kill -9 of the holder.
func (m *machine) kill() {
	_ = m.holder.cmd.Process.Kill()
	<-m.holder.done
}

// exited waits for the end of the holder and returns its exit code, -1 for a
// signal.
func (m *machine) exited() int {
	m.t.Helper()
	m.wait("the holder's exit", m.holder.done)
	return m.holder.cmd.ProcessState.ExitCode()
}

func (m *machine) wait(what string, c <-chan struct{}) {
	m.t.Helper()
	select {
	case <-c:
	case <-time.After(slack):
		m.t.Fatalf("no %s within %v", what, slack)
	}
}

// until polls for cond.
func (m *machine) until(what string, cond func() bool) {
	m.t.Helper()
	end := time.After(slack)
	for !cond() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-end:
			m.t.Fatalf("no %s within %v", what, slack)
		}
	}
}

// dial waits for the holder's socket.
func (m *machine) dial() *hold.Client {
	m.t.Helper()
	var c *hold.Client
	m.until("socket of the holder", func() bool {
		var err error
		if c, err = hold.Dial(context.Background(), m.path("socket")); err != nil {
			return false
		}
		// The socket of a holder that is gone accepts, and closes.
		_, err = c.Status(context.Background())
		return err == nil
	})
	m.t.Cleanup(func() { _ = c.Close() })
	return c
}

// ok fails the test on an error of a call.
func (m *machine) ok(s hold.Status, err error) hold.Status {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// registers reads the simulated watchdog: word by word, as a test's judge
// would.
func (m *machine) registers() [8]uint64 {
	m.t.Helper()
	b, err := os.ReadFile(m.path("watchdog"))
	if err != nil || len(b) != 64 || string(b[:8]) != "PKTWDOG1" {
		m.t.Fatalf("registers of the watchdog: %q, %v", b, err)
	}
	var words [8]uint64
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return words
}

const (
	running  = 1
	timeout  = 2
	lastPing = 3
	pings    = 4
	nowayout = 5
	kappa    = 6
)

// pinged returns the raw time of each ping so far.
func (m *machine) pinged() []time.Duration {
	m.t.Helper()
	b, err := os.ReadFile(m.path("watchdog.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.t.Fatal(err)
	}
	var at []time.Duration
	for ; len(b) >= 16; b = b[16:] {
		at = append(at, time.Duration(binary.LittleEndian.Uint64(b)))
		if n := binary.LittleEndian.Uint64(b[8:]); n != uint64(len(at)) {
			m.t.Fatalf("ping %d has number %d", len(at), n)
		}
	}
	return at
}

// lastPingBefore fails the test if the dog was pinged after the deadline, but
// for δ.
func (m *machine) lastPingBefore(deadline timing.Instant) {
	m.t.Helper()
	for _, at := range m.pinged() {
		if at > deadline.Raw+500*time.Millisecond {
			m.t.Errorf("A6: pinged %v after petUntil", at-deadline.Raw)
		}
	}
}

// isReset waits for the reset of the machine and its record.
func (m *machine) isReset() {
	m.t.Helper()
	m.wait("reset of the machine", m.off)
	m.wait("end of the holder", m.holder.done)
	text, err := os.ReadFile(m.path("sysrq"))
	if string(text) != "b" || err != nil {
		m.t.Errorf("sysrq got %q, %v; want b", text, err)
	}
	if m.registers()[running] != 0 {
		m.t.Error("the dog runs after the reset")
	}
}

func (m *machine) isAlive() {
	m.t.Helper()
	select {
	case <-m.off:
		m.t.Fatal("the machine was reset")
	default:
	}
}

func in(d time.Duration) timing.Instant { return clock.Now().Add(d) }

func (m *machine) logHas(text string) {
	m.t.Helper()
	if !strings.Contains(m.holder.log.String(), text) {
		m.t.Errorf("log does not say %q:\n%s", text, m.holder.log)
	}
}
