//go:build testdevice

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/systemd/notify"
)

// fileOpener simulates a watchdog in a file. The file is a record of eight
// little-endian words, the dog's registers, which outlive the process that has
// it open: magic, running, timeout in ns, last ping on CLOCK_MONOTONIC_RAW in
// ns, number of pings, nowayout, κ·1000, reserved. Beside it, PATH.log gets a
// record of 16 bytes for each ping: the time and the number.
//
// A simulated dog fires in the eye of the test: κ·timeout after the last ping,
// while running. Unlike a real one, it is not pinged by the death of the
// process that has it open: where the holder outlives its agent, the test plays
// the FD store, so the device counts as stored.
type fileOpener struct {
	path    string
	dog     simulated
	outlive bool
	adopted int
	log     *journal
}

const (
	fileMagic = "PKTWDOG1"
	fileSize  = 64
	// fileTimeout is the timeout of a simulated dog that was opened and not
	// set.
	fileTimeout = 30 * time.Second
)

// registers is the record, word by word.
type registers struct {
	running  uint64
	timeout  time.Duration
	lastPing time.Duration
	pings    uint64
	nowayout uint64
	kappa    uint64
}

// read leaves r as it is where the file is new.
func (r *registers) read(f *os.File) error {
	var b [fileSize]byte
	n, err := f.ReadAt(b[:], 0)
	if n == 0 {
		return nil
	}
	if err != nil || string(b[:8]) != fileMagic {
		return fmt.Errorf("%s is no simulated watchdog (%d bytes read): %w", f.Name(), n, errors.Join(err, errors.ErrUnsupported))
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	*r = registers{running: word(1), timeout: time.Duration(word(2)), lastPing: time.Duration(word(3)),
		pings: word(4), nowayout: word(5), kappa: word(6)}
	return nil
}

func (r *registers) write(f *os.File) error {
	var b [fileSize]byte
	copy(b[:], fileMagic)
	for i, v := range []uint64{r.running, uint64(r.timeout), uint64(r.lastPing), r.pings, r.nowayout, r.kappa} {
		binary.LittleEndian.PutUint64(b[8*(i+1):], v)
	}
	_, err := f.WriteAt(b[:], 0)
	return err
}

func (o *fileOpener) facts(r registers) watchdog.Facts {
	return watchdog.Facts{Driver: "file", Identity: "simulated watchdog", Kind: watchdog.KindFile, Kappa: int(r.kappa),
		Min: time.Duration(o.dog.MinTimeout), Max: time.Duration(o.dog.MaxTimeout), Nowayout: r.nowayout != 0}
}

// fresh returns the registers of a dog that was never started.
func (o *fileOpener) fresh() registers {
	r := registers{kappa: uint64(o.dog.Kappa)}
	if o.dog.Nowayout {
		r.nowayout = 1
	}
	return r
}

// Inspect reads the registers.
func (o *fileOpener) Inspect() (watchdog.Facts, watchdog.Answer, error) {
	r := o.fresh()
	f, err := os.Open(o.path)
	if errors.Is(err, fs.ErrNotExist) {
		return o.facts(r), watchdog.No, nil
	}
	if err != nil {
		return watchdog.Facts{}, watchdog.Unknown, err
	}
	defer f.Close()
	if err := r.read(f); err != nil {
		return watchdog.Facts{}, watchdog.Unknown, err
	}
	if r.running != 0 {
		return o.facts(r), watchdog.Yes, nil
	}
	return o.facts(r), watchdog.No, nil
}

// Open starts the dog if it does not run.
func (o *fileOpener) Open(want time.Duration, resume bool) (opened, error) {
	f, err := o.file()
	if err != nil {
		return opened{}, fmt.Errorf("open simulated watchdog: %w", err)
	}
	d := &fileDevice{file: f, granularity: time.Duration(o.dog.Granularity), registers: o.fresh()}
	if err := d.read(f); err != nil {
		return opened{}, errors.Join(err, f.Close())
	}
	d.facts = o.facts(d.registers)
	switch {
	case resume:
	case d.running != 0:
		err = fmt.Errorf("%s runs already, and not for us", o.path)
	case d.nowayout != 0 && !o.outlive:
		err = fmt.Errorf("%s is nowayout, and this holder does not outlive the agent (outlives: true)", o.path)
	default:
		err = d.facts.CheckTimeout(d.round(want))
	}
	if err != nil {
		return opened{}, errors.Join(err, f.Close())
	}
	if d.pingLog, err = os.OpenFile(o.path+".log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		return opened{}, errors.Join(err, f.Close())
	}
	if d.running == 0 {
		d.running, d.timeout = 1, fileTimeout
		if err := d.Ping(); err != nil {
			return opened{}, err
		}
	}
	d.stored = notify.StoreFD(storeName, int(f.Fd())) == nil
	return opened{device: d, facts: d.facts, timeout: d.timeout, stored: d.stored || o.outlive}, nil
}

func (o *fileOpener) file() (*os.File, error) {
	if fd := o.adopted; fd >= 0 {
		o.adopted = -1
		return os.NewFile(uintptr(fd), o.path), nil
	}
	return os.OpenFile(o.path, os.O_RDWR|os.O_CREATE, 0o644)
}

// fileDevice is a simulated dog that is open.
type fileDevice struct {
	registers
	file, pingLog *os.File
	granularity   time.Duration
	facts         watchdog.Facts
	stored        bool
	entry         [16]byte
}

func (d *fileDevice) round(t time.Duration) time.Duration {
	return (t + d.granularity - 1).Truncate(d.granularity)
}

// Ping records the time, first in the registers, then in the log.
func (d *fileDevice) Ping() error {
	d.lastPing = clock.Now().Raw
	d.pings++
	if err := d.write(d.file); err != nil {
		return fmt.Errorf("ping simulated watchdog: %w", err)
	}
	binary.LittleEndian.PutUint64(d.entry[:8], uint64(d.lastPing))
	binary.LittleEndian.PutUint64(d.entry[8:], d.pings)
	_, err := d.pingLog.Write(d.entry[:])
	return err
}

// SetTimeout rounds up to the granularity and pings.
func (d *fileDevice) SetTimeout(t time.Duration) (time.Duration, error) {
	t = d.round(t)
	if err := d.facts.CheckTimeout(t); err != nil {
		return d.timeout, err
	}
	d.timeout = t
	return t, d.Ping()
}

// Close stops the dog.
func (d *fileDevice) Close() error {
	if d.stored {
		if err := notify.RemoveFD(storeName); err != nil {
			return err
		}
	}
	d.running = 0
	return errors.Join(d.write(d.file), d.file.Close(), d.pingLog.Close())
}

// groupResetter simulates the reset of a machine: the process group of the
// configuration is its power, this process too.
type groupResetter struct {
	sysrq *sysrq
	path  string // of the simulated dog, which a reset stops
	group int
}

// Reset writes the record of the reset and ends all processes of the machine.
func (g groupResetter) Reset() error {
	if err := g.sysrq.Reset(); err != nil {
		return err
	}
	if f, err := os.OpenFile(g.path, os.O_WRONLY, 0); err == nil {
		var zero [8]byte
		_, _ = f.WriteAt(zero[:], 8)
	}
	_ = unix.Kill(-g.group, unix.SIGKILL)
	return unix.Kill(os.Getpid(), unix.SIGKILL)
}
