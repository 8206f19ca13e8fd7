//go:build !testdevice

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	mdlwatchdog "github.com/mdlayher/watchdog"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/systemd/notify"
)

// kernelOpener opens a watchdog of the Linux kernel.
type kernelOpener struct {
	cfg     hold.Config
	adopted int // a descriptor from the FD store, or -1
	log     *journal
}

func (o *kernelOpener) number() (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(o.cfg.Device, &st); err != nil {
		return 0, fmt.Errorf("find watchdog %s: %w: load its driver, or `modprobe softdog`", o.cfg.Device, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return 0, fmt.Errorf("%s is no character device: write the path of a watchdog, such as /dev/watchdog", o.cfg.Device)
	}
	return st.Rdev, nil
}

// Inspect reads sysfs, which never pings.
func (o *kernelOpener) Inspect() (watchdog.Facts, watchdog.Answer, error) {
	n, err := o.number()
	if errors.Is(err, os.ErrNotExist) {
		return watchdog.Facts{}, watchdog.No, err
	}
	if err != nil {
		return watchdog.Facts{}, watchdog.Unknown, err
	}
	info, err := watchdog.Find(o.cfg.SysRoot, n)
	return info.Facts(), info.Active, err
}

// Open takes the adopted descriptor, else opens the device by path.
func (o *kernelOpener) Open(want time.Duration, resume bool) (opened, error) {
	n, err := o.number()
	if err != nil {
		return opened{}, err
	}
	info, err := watchdog.Find(o.cfg.SysRoot, n)
	if err != nil {
		return opened{}, err
	}
	if fd := o.adopted; fd >= 0 {
		o.adopted = -1
		return o.complete(descriptor(fd), fd, info, nil)
	}
	use := &watchdog.Use{Device: o.cfg.Device, Timeout: wholeSeconds(want), Outlives: o.cfg.Outlives, Resume: resume}
	if !resume {
		if err := info.Check(*use); err != nil {
			if info.Active == watchdog.Yes {
				err = fmt.Errorf("%w; %w", err, o.busy(n))
			}
			return opened{}, err
		}
	}
	h, fd, err := o.open(n)
	if errors.Is(err, unix.EBUSY) {
		return opened{}, o.busy(n)
	}
	if err != nil {
		return opened{}, fmt.Errorf("open watchdog: %w", err)
	}
	if resume {
		use = nil
	}
	return o.complete(h, fd, info, use)
}

func (o *kernelOpener) busy(n uint64) error {
	numbers := watchdog.Numbers(o.cfg.SysRoot, n)
	return watchdog.Busy(o.cfg.Device, watchdog.Keepers(o.cfg.ProcRoot, numbers))
}

// open opens the device and returns its descriptor. The library knows only
// /dev/watchdog; any other path is opened here.
func (o *kernelOpener) open(n uint64) (handle, int, error) {
	if o.cfg.Device != "/dev/watchdog" {
		fd, err := unix.Open(o.cfg.Device, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		return descriptor(fd), fd, err
	}
	d, err := mdlwatchdog.Open()
	if errors.As(err, new(*os.PathError)) {
		return nil, -1, err
	}
	fd, ok := ownDescriptor(n)
	switch {
	case err != nil && ok:
		// GETSUPPORT failed, and the library has left an armed descriptor
		// behind. Once disarmed, the garbage collector may close it.
		_, _ = unix.Write(fd, []byte("V"))
		return nil, -1, fmt.Errorf("ask %s for its abilities: %w", o.cfg.Device, err)
	case err != nil:
		return nil, -1, err
	case !ok:
		return nil, -1, errors.Join(fmt.Errorf("find the descriptor of %s in /proc/self/fd: not there", o.cfg.Device), d.Close())
	}
	return d, fd, nil
}

// complete asks the open device about itself, checks it against use where that
// is not nil, and hands its descriptor to the FD store.
func (o *kernelOpener) complete(h handle, fd int, info watchdog.Info, use *watchdog.Use) (opened, error) {
	err := support(fd, &info)
	if err == nil {
		err = info.ReadModule(o.cfg.SysRoot)
	}
	info.Active = watchdog.Unknown // it runs now, by our opening it
	if err == nil && use != nil {
		err = info.Check(*use)
	}
	var t time.Duration
	if err == nil {
		t, err = h.Timeout()
	}
	if err != nil && use != nil {
		return opened{}, errors.Join(err, h.Close())
	}
	if err != nil {
		// Ours and running: a close would stop or ping it. It is kept, and
		// the T that nobody knows is set anew by the caller.
		o.log.warn("watchdog does not tell about itself", "device", o.cfg.Device, "error", err)
	}
	k := &kernelDevice{handle: h, fd: fd, facts: info.Facts(), sysRoot: o.cfg.SysRoot}
	if n, err := o.number(); err == nil {
		k.number = n
	}
	err = notify.StoreFD(storeName, fd)
	k.stored = err == nil
	if err != nil && !errors.Is(err, notify.ErrNotManaged) {
		o.log.warn("watchdog is not in the FD store", "error", err)
	}
	if k.facts.Kind == watchdog.KindSoftdog && info.SoftNoboot == watchdog.Unknown {
		o.log.warn("kernel does not tell whether softdog was loaded with soft_noboot=1, which makes it harmless: test it once", "device", o.cfg.Device)
	}
	return opened{device: k, facts: k.facts, timeout: t, stored: k.stored}, nil
}

// handle is what the library's Device and a bare descriptor have in common.
type handle interface {
	Ping() error
	Timeout() (time.Duration, error)
	Close() error
}

// kernelDevice is an open watchdog. The loop keeps it until the process ends:
// a library Device that becomes garbage is closed by its finalizer, and the
// host reset some seconds later.
type kernelDevice struct {
	handle
	fd      int
	facts   watchdog.Facts
	sysRoot string
	number  uint64
	stored  bool
}

// SetTimeout sets whole seconds, rounded up, and reads back what the driver
// made of it.
func (k *kernelDevice) SetTimeout(t time.Duration) (time.Duration, error) {
	t = wholeSeconds(t)
	err := k.facts.CheckTimeout(t)
	if err == nil {
		if err = unix.IoctlSetPointerInt(k.fd, unix.WDIOC_SETTIMEOUT, int(t/time.Second)); err != nil {
			err = fmt.Errorf("set timeout %v: %w", t, err)
		}
	}
	got, readErr := k.Timeout()
	if readErr != nil {
		return 0, errors.Join(err, fmt.Errorf("read timeout back: %w", readErr))
	}
	return got, err
}

// Close stops the device by the magic character. The FD store's duplicate goes
// first, as the device stops only with its last descriptor; then sysfs tells
// whether it has.
func (k *kernelDevice) Close() error {
	var errs []error
	if k.stored {
		errs = append(errs, notify.RemoveFD(storeName))
	}
	errs = append(errs, k.handle.Close())
	for range 100 {
		info, err := watchdog.Find(k.sysRoot, k.number)
		if err != nil || info.Active != watchdog.Yes {
			return errors.Join(append(errs, err)...)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.Join(append(errs, errors.New("watchdog still runs a second after its magic close"))...)
}

// descriptor is a watchdog that was not opened by the library.
type descriptor int

func (d descriptor) Ping() error { return unix.IoctlWatchdogKeepalive(int(d)) }

func (d descriptor) Timeout() (time.Duration, error) {
	s, err := unix.IoctlGetInt(int(d), unix.WDIOC_GETTIMEOUT)
	return time.Duration(s) * time.Second, err
}

func (d descriptor) Close() error {
	_, err := unix.Write(int(d), []byte("V"))
	return errors.Join(err, unix.Close(int(d)))
}

// support completes i by what the open device says about itself.
func support(fd int, i *watchdog.Info) error {
	s, err := unix.IoctlGetWatchdogInfo(fd)
	if err != nil {
		return fmt.Errorf("ask watchdog for its abilities: %w", err)
	}
	i.Options, i.HasOptions = s.Options, true
	i.Identity = strings.TrimRight(string(s.Identity[:]), "\x00")
	return nil
}

// ownDescriptor returns this process's descriptor of the device of that
// number.
func ownDescriptor(number uint64) (int, bool) {
	entries, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		return -1, false
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(filepath.Base(e))
		var st unix.Stat_t
		if err == nil && unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == number {
			return fd, true
		}
	}
	return -1, false
}

func wholeSeconds(t time.Duration) time.Duration {
	return (t + time.Second - 1).Truncate(time.Second)
}
