package launch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/systemd"
)

const boot = "0d5c5f5a-6a53-4a0b-8a7e-3f3a1d5b9c11"

// TestMain plays a holder when the test program is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "--config" {
		playHolder(os.Args[2])
	}
	goleak.VerifyTestMain(m)
}

// A site is a host on which a Launcher works: a directory, a systemd, watchdogs
// and a holder, none of them real.
type site struct {
	t    *testing.T
	root string
	*Launcher

	mu         sync.Mutex
	candidates []watchdog.Candidate
	calls      []string
	service    *systemd.Service  // the one that runs
	listener   net.Listener      // of the holder that answers
	stored     int               // descriptors of the holder that it keeps
	absent     bool              // there is no systemd
	dogs       systemd.Watchdogs // its watchdogs
	own        systemd.Watchdogs // what the administrator has configured of them
	obstinate  bool              // it reads no drop-in
	deaf       error             // why it cannot reload
	silent     bool              // it does not tell what it has
	startFails error
	once       bool       // that is over with the next start
	mute       bool       // a holder that is started does not answer
	state      hold.State // of the holder that answers
}

func newSite(t *testing.T) *site {
	t.Helper()
	root, err := os.MkdirTemp("", "l") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	s := &site{t: t, root: root, candidates: []watchdog.Candidate{hardware("watchdog0"), soft("watchdog1")}}
	s.write("image/picket-holder", "version 1")
	s.write("dev/watchdog", "")
	h := host.Default()
	h.Root = root
	c := Config{Launch: Auto, Binary: s.path("image/picket-holder"), Sysrq: "/nowhere/sysrq"}
	s.Launcher = s.launcher(c, h)
	t.Cleanup(s.silence)
	return s
}

func (s *site) launcher(c Config, h host.Config) *Launcher {
	l := New(c, h, boot, s, slog.New(slog.DiscardHandler))
	l.dial = func(context.Context) (manager, error) {
		if s.absent {
			return nil, systemd.ErrAbsent
		}
		return s, nil
	}
	l.list = func() ([]watchdog.Candidate, error) { return s.candidates, nil }
	return l
}

func (s *site) path(name string) string { return filepath.Join(s.root, name) }

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// mark leaves the marker of a holder in that state.
func (s *site) mark(state hold.State) {
	s.write("run/picket/marker", string(hold.NewMarker(boot, hold.Record{State: state})))
}

func hardware(name string) watchdog.Candidate {
	return watchdog.Candidate{Path: "/dev/" + name, Number: 251 << 8, Info: watchdog.Info{
		Name: name, Identity: "i6300ESB timer", Options: unix.WDIOF_MAGICCLOSE | unix.WDIOF_SETTIMEOUT, HasOptions: true,
		Active: watchdog.No, Nowayout: watchdog.No,
	}}
}

func soft(name string) watchdog.Candidate {
	c := hardware(name)
	c.Identity, c.SoftNoboot = "Software Watchdog", watchdog.No
	return c
}

// heldByInit is a device that systemd pets.
func heldByInit(c watchdog.Candidate) watchdog.Candidate {
	c.Active, c.Keepers = watchdog.Yes, []watchdog.Keeper{{PID: 1, Name: "systemd"}}
	return c
}

// heldBy is a device that another process has open.
func heldBy(c watchdog.Candidate, name string) watchdog.Candidate {
	c.Active, c.Keepers = watchdog.Yes, []watchdog.Keeper{{PID: 815, Name: name}}
	return c
}

func want() Want { return Want{Profile: timing.Standard()} }

// Peek and Exchange play the daemon's keeper.
func (s *site) Peek() hold.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return hold.Status{}
	}
	return hold.Status{State: s.state, Stored: s.state == hold.Armed, PID: 4711}
}

func (s *site) Exchange(ctx context.Context, f func(context.Context, hold.Status) error) error {
	return f(ctx, s.Peek())
}

// What follows plays systemd.

func (s *site) Inspect(context.Context, string) (systemd.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.service == nil {
		return systemd.State{}, nil
	}
	return systemd.State{Active: "active", PID: 4711, Stored: s.stored}, nil
}

func (s *site) Start(_ context.Context, service systemd.Service) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "start")
	if err := s.startFails; err != nil {
		if s.once {
			s.startFails = nil
		}
		return err
	}
	s.service, s.state = &service, max(s.last(), hold.Idle)
	if !s.mute {
		s.answer()
	}
	return nil
}

func (s *site) Stop(context.Context, string) error {
	s.silence()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, "stop")
	s.service = nil
	return nil
}

func (s *site) LoadModule(_ context.Context, name string) error {
	s.calls = append(s.calls, "load "+name)
	if name != "softdog" {
		return errors.New("no such module")
	}
	s.candidates = append(s.candidates, soft("watchdog9"))
	return nil
}

func (s *site) Watchdogs(context.Context) (systemd.Watchdogs, error) {
	if s.silent {
		return systemd.Watchdogs{}, context.DeadlineExceeded
	}
	return s.dogs, nil
}

func (s *site) Apply(ctx context.Context, _ systemd.DropIn) (systemd.Watchdogs, error) {
	err := s.Reload(ctx)
	return s.dogs, err
}

// Reload reads what is on the host, not what it is told.
func (s *site) Reload(context.Context) error {
	if s.deaf != nil {
		return s.deaf
	}
	s.dogs = s.own
	text, _ := os.ReadFile(s.path(systemd.DropInPath))
	for key, value := range map[string]*time.Duration{
		"RuntimeWatchdogSec": &s.dogs.Runtime, "RebootWatchdogSec": &s.dogs.Reboot, "KExecWatchdogSec": &s.dogs.KExec,
	} {
		if strings.Contains(string(text), "\n"+key+"=0\n") && !s.obstinate {
			*value = 0
		}
	}
	s.calls = append(s.calls, fmt.Sprintf("read %v %v %v", s.dogs.Runtime, s.dogs.Reboot, s.dogs.KExec))
	return nil
}

// has makes systemd have those watchdogs.
func (s *site) has(own systemd.Watchdogs) { s.own, s.dogs = own, own }

func (s *site) Close() {}

// answer makes a holder answer at the site's socket.
func (s *site) answer() {
	if s.listener != nil {
		return
	}
	path := s.path("run/picket/holder.sock")
	_ = os.Remove(path)
	listener, err := net.Listen("unixpacket", path)
	if err != nil {
		s.t.Error(err)
		return
	}
	s.listener = listener
	go serve(listener)
}

// silence ends the holder that answers.
func (s *site) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close()
	}
	s.listener = nil
}

// serve answers every call with the status of an idle holder.
func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		in, out := make([]byte, hold.RequestSize+1), make([]byte, hold.ReplySize)
		for {
			n, err := conn.Read(in)
			if err != nil {
				break
			}
			q, err := hold.DecodeRequest(in[:n])
			hold.Reply{Seq: q.Seq, Status: hold.Status{State: hold.Idle, Now: clock.Now()}, Err: hold.AsError(err)}.Encode(out)
			if _, err := conn.Write(out); err != nil {
				break
			}
		}
		_ = conn.Close()
	}
}

// playHolder is the holder that a nursery starts: it listens where its
// configuration says, until it is told to end.
func playHolder(file string) {
	text, err := os.ReadFile(file)
	c := hold.Default()
	if err == nil {
		err = hold.Decode(text, &c)
	}
	_ = os.Remove(c.Socket)
	var l net.Listener
	if err == nil {
		l, err = net.Listen("unixpacket", c.Socket)
	}
	if err != nil {
		os.Exit(9)
	}
	serve(l)
}
