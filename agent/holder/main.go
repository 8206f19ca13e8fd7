package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/systemd/notify"
)

// version is set by the linker.
var version = "dev"

// storeName is the name of the device in the service manager's FD store.
const storeName = "watchdog"

const usage = `picket-holder keeps this node's watchdog from firing while the agent says so.

usage: picket-holder --config FILE

The file is JSON. These keys must be written (values of a real node):
  {"device": "/dev/watchdog", "sysrq": "/proc/sysrq-trigger",
   "marker": "/run/picket/marker", "socket": "/run/picket/holder.sock"}
and these have defaults: petDelay "1s", outlives false, strict false, bootID,
procRoot, sysRoot. Under systemd give the unit NotifyAccess=main and
FileDescriptorStoreMax=1, and set outlives.

flags:
`

func main() {
	// The thread that starts here makes every pet.
	runtime.LockOSThread()
	path := flag.String("config", "", "JSON `file` with the configuration")
	showVersion := flag.Bool("version", false, "print the version and exit")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if *showVersion {
		fmt.Println(version)
		return
	}
	if err := run(*path); err != nil {
		fmt.Fprintln(os.Stderr, "picket-holder:", err)
		os.Exit(1)
	}
}

func run(path string) error {
	cfg, err := load(path)
	if err != nil {
		return err
	}
	boot, err := cfg.Boot()
	if err != nil {
		return err
	}
	lock, err := lockMarker(cfg.Marker)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(lock)
	log := newJournal(slog.NewJSONHandler(os.Stderr, nil))
	defer log.flush()
	l, err := start(cfg, boot, log)
	if err != nil {
		return err
	}
	log.info("holder started", "boot", boot, "version", version, "locked", l.status.Locked,
		"real_time", l.status.RealTime, "unkillable", l.status.Unkillable)
	go func() {
		if err := notify.Ready(); err != nil && !errors.Is(err, notify.ErrNotManaged) {
			log.warn("service manager not told", "error", err)
		}
	}()
	err = l.run()
	// Until here the device must not become garbage.
	runtime.KeepAlive(l)
	return err
}

func load(path string) (config, error) {
	cfg := defaults()
	if path == "" {
		return cfg, errors.New("no configuration: write --config FILE (see --help)")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return cfg, fmt.Errorf("read configuration: %w", err)
	}
	if err := hold.Decode(text, &cfg); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	if err := cfg.Validate(); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// start finds out what the last holder left, and goes on from there. A boot
// that must not live is reset before anything else is tried.
func start(cfg config, boot string, log *journal) (*loop, error) {
	sysrq, noReset := openSysrq(cfg.Sysrq)
	adopted := adopt()
	l := &loop{opener: cfg.opener(adopted, log), reset: cfg.resetter(sysrq), log: log}
	e := hold.Evidence{Adopted: adopted >= 0, NoReset: noReset}
	e.Record, e.Verdict = readMarker(cfg.Marker, boot)
	if e.Verdict == hold.Corrupt {
		_, e.Active, _ = l.opener.Inspect()
	}
	machine, action, why := hold.Resume(e, time.Duration(cfg.PetDelay), clock.Now())
	l.machine = machine
	if s := machine.Record().State; s == hold.Coasting || s == hold.Testing {
		// It opens nothing. What the store handed over stays open, and stored.
		l.open.stored = cfg.stored(adopted)
	}
	if action.Act == hold.Reset {
		_ = l.carry(action, why)
	}
	var err error
	switch {
	case machine.Unread():
	case e.Verdict == hold.Ours:
		l.marker, err = mapMarker(cfg.Marker, e.Record)
	default:
		l.marker, err = newMarker(cfg.Marker, boot, machine.Record())
	}
	// Who survived a reset stays, whatever fails: the end of this process
	// could ping.
	latched := machine.Record().State == hold.Latched
	if err != nil && !latched {
		return nil, err
	}
	l.status = hold.Status{Outlives: cfg.Outlives, Boot: boot, Version: version}
	granted, err := harden()
	if err != nil && cfg.Strict && !latched {
		return nil, fmt.Errorf("strict: %w", err)
	}
	if err != nil {
		log.warn("kernel does not grant all protections", "error", err)
	}
	l.status.Locked, l.status.RealTime, l.status.Unkillable = granted.locked, granted.realTime, granted.unkillable
	if l.wake, err = newWake(); err != nil {
		return nil, err
	}
	if l.listener, err = listen(cfg.Socket); err != nil {
		return nil, err
	}
	if !latched {
		_ = l.carry(action, why)
	}
	return l, nil
}

// adopt returns the device's descriptor from the FD store, or -1. It is a
// duplicate that no garbage collector knows.
func adopt() int {
	fd := -1
	for _, f := range activation.Files(true) {
		if fd < 0 && f.Name() == storeName {
			if dup, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3); err == nil {
				fd = dup
			}
		}
		if fd >= 0 || f.Name() != storeName {
			_ = f.Close()
		}
	}
	return fd
}
