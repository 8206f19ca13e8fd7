package notify

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// ErrNotManaged means that no service manager listens: NOTIFY_SOCKET is empty.
var ErrNotManaged = errors.New("not started by a service manager (NOTIFY_SOCKET is empty)")

// Ready tells the service manager that the service has started (READY=1). It
// can block while the manager does not read. The error is ErrNotManaged
// without a manager.
func Ready() error {
	sent, err := daemon.SdNotify(false, daemon.SdNotifyReady)
	if err == nil && !sent {
		return ErrNotManaged
	}
	return err
}

// StoreFD puts a duplicate of fd into the service's FD store under that name,
// so that the file stays open when this process dies and the next one gets it
// through LISTEN_FDS. FDPOLL=0 keeps the manager from dropping a descriptor
// that signals an error, as a watchdog does.
//
// The unit needs FileDescriptorStoreMax=1 or more and NotifyAccess=main. The
// manager does not confirm. StoreFD never blocks; the error is ErrNotManaged
// without a manager, and EAGAIN where it does not read.
func StoreFD(name string, fd int) error {
	return send("FDSTORE=1\nFDNAME="+name+"\nFDPOLL=0", unix.UnixRights(fd))
}

// RemoveFD makes the service manager close the descriptors that it stores
// under that name. It does so a little later, never blocks, and its errors are
// those of StoreFD.
func RemoveFD(name string) error {
	return send("FDSTOREREMOVE=1\nFDNAME="+name, nil)
}

// send does what daemon.SdNotify does, but carries descriptors and does not
// block.
func send(state string, rights []byte) error {
	path := os.Getenv("NOTIFY_SOCKET")
	switch {
	case path == "":
		return ErrNotManaged
	case !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "@"):
		return fmt.Errorf("notify service manager: NOTIFY_SOCKET %q is no unix socket", path)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	defer unix.Close(fd)
	// SockaddrUnix takes a leading @ for the abstract namespace, as systemd does.
	err = unix.Sendmsg(fd, []byte(state), rights, &unix.SockaddrUnix{Name: path}, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	if err != nil {
		return fmt.Errorf("notify service manager at %s: %w", path, err)
	}
	return nil
}
