package block

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/teardown"
)

// opensRequest asks what processes have open, now and still after a while: udev
// and its like open devices for moments.
type opensRequest struct {
	Proc  string
	Still time.Duration
}

// opensAnswer is what processes have open.
type opensAnswer struct {
	Opens   []opening
	Pins    []pin
	Unknown []teardown.Unknown
}

// An opening is a process that has block devices open.
type opening struct {
	PID     int
	Devices []teardown.Number
}

// A pin is an open file by which a process keeps a mount namespace.
type pin struct {
	PID, FD int
	ID      uint64
}

func readOpens(r opensRequest) (opensAnswer, error) {
	var a opensAnswer
	entries, err := os.ReadDir(r.Proc)
	if err != nil {
		return a, err
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid > 0 && pid != os.Getpid() {
			a.tryProcess(r.Proc, pid)
		}
	}
	if a.Opens == nil {
		return a, nil
	}
	time.Sleep(r.Still)
	later := opensAnswer{Unknown: a.Unknown}
	for _, o := range a.Opens {
		later.tryProcess(r.Proc, o.PID)
	}
	a.Opens, a.Unknown = lasting(a.Opens, later.Opens), later.Unknown
	return a, nil
}

// lasting returns what both lists have.
func lasting(before, after []opening) []opening {
	var both []opening
	for _, o := range after {
		i := slices.IndexFunc(before, func(b opening) bool { return b.PID == o.PID })
		if i < 0 {
			continue
		}
		o.Devices = slices.DeleteFunc(o.Devices, func(n teardown.Number) bool { return !slices.Contains(before[i].Devices, n) })
		if len(o.Devices) > 0 {
			both = append(both, o)
		}
	}
	return both
}

func (a *opensAnswer) tryProcess(proc string, pid int) {
	if err := a.readProcess(proc, pid); err != nil && !gone(err) {
		a.Unknown = append(a.Unknown, teardown.Unknown{What: fmt.Sprintf("open files of process %d", pid), Why: err.Error()})
	}
}

func (a *opensAnswer) readProcess(proc string, pid int) error {
	dir := filepath.Join(proc, strconv.Itoa(pid), "fd")
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	fds, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	var devices []teardown.Number
	for _, name := range fds {
		link, err := os.Readlink(filepath.Join(dir, name))
		if err != nil {
			if gone(err) {
				continue
			}
			return err
		}
		if id, err := parseSpace(link); err == nil {
			fd, _ := strconv.Atoi(name) // procfs names them so
			a.Pins = append(a.Pins, pin{PID: pid, FD: fd, ID: id})
		}
		if !strings.HasPrefix(link, "/") {
			continue // a socket, a pipe, or nothing on a filesystem
		}
		n, err := opened(filepath.Join(dir, name))
		if err != nil && !gone(err) {
			return err
		}
		if n != (teardown.Number{}) {
			devices = append(devices, n)
		}
	}
	if devices != nil {
		a.Opens = append(a.Opens, opening{PID: pid, Devices: devices})
	}
	return nil
}

// opened returns the number of the block device that a descriptor's link leads
// to, zero for others. Its name may be any: a container has its own nodes. It
// does not let a network filesystem ask its server, which may be dead.
func opened(link string) (teardown.Number, error) {
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, link, unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &s); err != nil {
		return teardown.Number{}, err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFBLK {
		return teardown.Number{}, nil
	}
	return teardown.Number{Major: s.Rdev_major, Minor: s.Rdev_minor}, nil
}

func number(rdev uint64) teardown.Number {
	return teardown.Number{Major: unix.Major(rdev), Minor: unix.Minor(rdev)}
}

// commandsRequest asks for the command lines of processes. Reading one takes a
// lock of its memory, which a process that hangs may hold.
type commandsRequest struct {
	Proc string
	PIDs []int
}

func readCommands(r commandsRequest) (map[int]string, error) {
	all := make(map[int]string)
	for _, pid := range r.PIDs {
		text, err := os.ReadFile(filepath.Join(r.Proc, strconv.Itoa(pid), "cmdline"))
		if err != nil {
			return nil, err
		}
		all[pid] = string(text)
	}
	return all, nil
}

// blockNumber returns the number of a block device, zero for all other files.
func blockNumber(info os.FileInfo) teardown.Number {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || s.Mode&syscall.S_IFMT != syscall.S_IFBLK {
		return teardown.Number{}
	}
	return number(s.Rdev)
}
