package rejoin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/teardown"
)

// fsShutdown is FS_IOC_SHUTDOWN, and noLogFlush its argument: stop at once, and
// do not write the journal either.
const (
	fsShutdown = 0x8004587d
	noLogFlush = 2
)

// onMount unmounts the step's mount, or tells its file system to shut down, in
// the namespace where it is.
func (o order) onMount() error {
	if o.Step.PID > 0 {
		path := filepath.Join(o.Config.Host.Proc, strconv.Itoa(o.Step.PID), "ns/mnt")
		if err := enter(path, o.Step.Namespace); err != nil {
			return err
		}
	}
	// Opened by path alone, nothing of the file system is asked for.
	mode := unix.O_PATH | unix.O_NOFOLLOW
	if o.Step.Op == teardown.ShutDown {
		mode = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_DIRECTORY
	}
	fd, err := unix.Open(o.Step.Point, mode|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: o.Step.Point, Err: err}
	}
	id, err := mountID(fd)
	if err == nil && id != o.Step.Mount {
		err = fmt.Errorf("what is at %s is mount %d by now, not %d", o.Step.Point, id, o.Step.Mount)
	}
	if err == nil && o.Step.Op == teardown.ShutDown {
		err = unix.IoctlSetPointerInt(fd, fsShutdown, noLogFlush)
	}
	if err := errors.Join(err, unix.Close(fd)); err != nil { // an open descriptor would keep it busy
		return err
	}
	if o.Step.Op == teardown.ShutDown {
		return nil
	}
	if err := unix.Unmount(o.Step.Point, unix.UMOUNT_NOFOLLOW); err != nil {
		return &os.PathError{Op: "unmount", Path: o.Step.Point, Err: err}
	}
	return nil
}

// mountID returns the mount on which an open file lies.
func mountID(fd int) (int, error) {
	// The own /proc, which the namespace may lack, is not needed: statx knows
	// since Linux 5.8.
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
	if err == nil && st.Mask&unix.STATX_MNT_ID != 0 {
		return int(st.Mnt_id), nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strconv.Atoi(strings.TrimSpace(value))
		}
	}
	return 0, errors.New("the kernel does not tell on which mount a file lies")
}
