package systemd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Where the sockets lie below the host's root.
const (
	// PrivateSocket is the manager's own; root reaches it without a D-Bus
	// daemon.
	PrivateSocket = "run/systemd/private"
	// SystemBus is the D-Bus daemon's, where logind is.
	SystemBus = "run/dbus/system_bus_socket"
)

// ErrAbsent means that nobody serves the socket: this host has no systemd, or
// no D-Bus daemon.
var ErrAbsent = errors.New("it is not there")

// A dialer makes a connection that ends with ctx at the latest.
type dialer func(ctx context.Context) (*dbus.Conn, error)

// private returns the dialer of a socket with one peer behind it: no Hello.
func private(socket string) dialer {
	return func(ctx context.Context) (*dbus.Conn, error) {
		conn, err := dial(ctx, socket)
		if err != nil {
			return nil, err
		}
		if err := rouse(ctx, conn); err != nil {
			return nil, errors.Join(fmt.Errorf("no answer at %s: %w", socket, err), conn.Close())
		}
		return conn, nil
	}
}

const (
	ping = "org.freedesktop.DBus.Peer.Ping"
	// pingFirst is the time for the first ping; each one after has twice as much,
	// pingMost at most.
	pingFirst = 100 * time.Millisecond
	pingMost  = 2 * time.Second
)

// rouse pings the peer until it answers, so that the calls which follow are heard.
// A busy manager that reads the end of the authentication and the first message at
// once leaves the message lying until another arrives (systemd
// issue 17425).
func rouse(ctx context.Context, conn *dbus.Conn) error {
	peer := conn.Object(managerName, managerPath)
	for within := pingFirst; ; within = min(2*within, pingMost) {
		try, end := context.WithTimeout(ctx, within)
		err := peer.CallWithContext(try, ping, 0).Err
		end()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
}

// shared returns the dialer of a bus.
func shared(socket string) dialer {
	return func(ctx context.Context) (*dbus.Conn, error) {
		conn, err := dial(ctx, socket)
		if err != nil {
			return nil, err
		}
		if err := conn.Hello(); err != nil {
			return nil, errors.Join(fmt.Errorf("greet the bus at %s: %w", socket, err), conn.Close())
		}
		return conn, nil
	}
}

// dial authenticates by the user's number; a name would need a look-up that an
// empty image cannot do.
func dial(ctx context.Context, socket string) (*dbus.Conn, error) {
	conn, err := dbus.Dial("unix:path="+dbus.EscapeBusAddressValue(socket), dbus.WithContext(ctx))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) {
		err = fmt.Errorf("%w: %w", ErrAbsent, err)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", socket, err)
	}
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return nil, errors.Join(fmt.Errorf("authenticate at %s: %w", socket, err), conn.Close())
	}
	return conn, nil
}

// named reports whether err is the D-Bus error of that name.
func named(err error, name string) bool {
	if e, ok := errors.AsType[dbus.Error](err); ok {
		return e.Name == name
	}
	e, ok := errors.AsType[*dbus.Error](err)
	return ok && e.Name == name
}
