package rejoin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/block"
	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

const workStep = "step"

// An order is what a child is to do.
type order struct {
	Config Config        `json:"config"`
	Step   teardown.Step `json:"step"`
}

// Steps returns what a child can do for an Executor.
func Steps() map[string]child.Work {
	return map[string]child.Work{workStep: func(text json.RawMessage) (any, error) {
		var o order
		if err := json.Unmarshal(text, &o); err != nil {
			return nil, err
		}
		return nil, o.do()
	}}
}

// do carries out the order in this process, which is of no other use then.
func (o order) do() error {
	if o.Config.Enter != "" {
		if err := enter(o.Config.Enter, 0); err != nil {
			return err
		}
		o.Config.Host.Sys, o.Config.Host.Proc, o.Config.Host.Dev, o.Config.Host.Root = "/sys", "/proc", "/dev", "/"
	}
	switch s := o.Step; s.Op {
	case teardown.Offline:
		return o.onDevice("device/state", "offline\n")
	case teardown.DeleteSCSI:
		return o.onDevice("device/delete", "1\n")
	case teardown.UnmapRBD:
		return o.unmapRBD()
	case teardown.CutMap:
		return o.cutMap()
	case teardown.CloseCrypt, teardown.Deactivate, teardown.RemoveMap:
		return o.removeMap()
	case teardown.FailQueue:
		return o.failQueue()
	case teardown.FlushMultipath:
		return o.flushMultipath()
	case teardown.DetachLoop:
		return o.onNode(unix.LOOP_CLR_FD)
	case teardown.UnmapNBD:
		return o.onNode(nbdDisconnect)
	case teardown.Disconnect:
		return o.disconnect()
	case teardown.SetManual:
		return o.setManual()
	case teardown.Logout:
		return o.logout()
	case teardown.ShutDown, teardown.Unmount:
		return o.onMount()
	case teardown.Freeze:
		return o.freeze("1", "FROZEN")
	case teardown.Kill:
		return o.kill()
	case teardown.OpUnknown, teardown.Note, teardown.Wait, teardown.Verify, teardown.Attest:
	}
	return fmt.Errorf("%v is no work for a child", o.Step.Op)
}

// enter takes this goroutine's thread, for good, into a mount namespace; want is
// its number, 0 for any.
func enter(path string, want uint64) error {
	ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(ns)
	var st unix.Stat_t
	if err := unix.Fstat(ns, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if want != 0 && st.Ino != want {
		return fmt.Errorf("%s is namespace %d by now, not %d", path, st.Ino, want)
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare the root directory: %w", err)
	}
	if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("enter %s: %w", path, err)
	}
	return nil
}

// device returns the directory in sysfs of the device that the step means, and
// refuses another one that has its name by now.
func (o order) device() (string, error) {
	dir := filepath.Join(o.Config.Host.Sys, "class/block", strings.ReplaceAll(o.Step.Name, "/", "!"))
	if err := same(filepath.Join(dir, "dev"), o.Step.Device.String()); err != nil {
		return "", err
	}
	if o.Step.Map != "" {
		if err := same(filepath.Join(dir, "dm/name"), o.Step.Map); err != nil {
			return "", err
		}
	}
	return dir, o.sameUnit(dir)
}

// sameUnit refuses a device that has the number and the name of the step's, and is
// another by now (35).
func (o order) sameUnit(dir string) error {
	if unit := block.Unit(dir); unit != o.Step.Unit {
		return fmt.Errorf("%s is unit %q by now, not %q", o.Step.Name, unit, o.Step.Unit)
	}
	return nil
}

// same refuses a file of sysfs that says something else by now.
func same(path, want string) error {
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text := strings.TrimSpace(string(got)); text != want {
		return fmt.Errorf("%s is %q by now, not %q", path, text, want)
	}
	return nil
}

// write writes to a file of sysfs or of a cgroup, which must be there.
func write(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// onDevice writes to a file of the step's device.
func (o order) onDevice(name, text string) error {
	dir, err := o.device()
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, name), text)
}

// unmapRBD unmaps an image by force. It waits for requests in flight.
func (o order) unmapRBD() error {
	bus := filepath.Join(o.Config.Host.Sys, "bus/rbd")
	dir := filepath.Join(bus, "devices", fmt.Sprint(o.Step.ID))
	if err := same(filepath.Join(dir, "major"), fmt.Sprint(o.Step.Device.Major)); err != nil {
		return err
	}
	if err := same(filepath.Join(dir, "minor"), fmt.Sprint(o.Step.Device.Minor)); err != nil {
		return err
	}
	if err := o.sameUnit(dir); err != nil {
		return err
	}
	text := fmt.Sprintf("%d force", o.Step.ID)
	err := write(filepath.Join(bus, "remove_single_major"), text)
	if errors.Is(err, os.ErrNotExist) { // single_major=N
		err = write(filepath.Join(bus, "remove"), text)
	}
	return err
}

// nbdDisconnect is NBD_DISCONNECT of linux/nbd.h.
const nbdDisconnect = 0xab08

// onNode sends a request without an argument to the step's device node.
func (o order) onNode(request uint) error {
	if _, err := o.device(); err != nil {
		return err
	}
	path := filepath.Join(o.Config.Host.Dev, o.Step.Name)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if n := (teardown.Number{Major: unix.Major(st.Rdev), Minor: unix.Minor(st.Rdev)}); n != o.Step.Device || st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return fmt.Errorf("%s is device %v, not %v", path, n, o.Step.Device)
	}
	if err := unix.IoctlSetInt(fd, request, 0); err != nil {
		return &os.PathError{Op: "ioctl on", Path: path, Err: err}
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
