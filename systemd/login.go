package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/godbus/dbus/v5"
)

const (
	loginName      = "org.freedesktop.login1"
	loginPath      = dbus.ObjectPath("/org/freedesktop/login1")
	loginInterface = "org.freedesktop.login1.Manager"

	prepareForShutdown = "PrepareForShutdown"
)

// A Login is a conversation with logind. go-systemd's login1 always talks to
// the bus of the machine that it runs on; this one is told which.
type Login struct {
	conn   *dbus.Conn
	object dbus.BusObject
}

// DialLogin returns a Login that is reached by the D-Bus daemon's socket, see
// SystemBus. The conversation ends with ctx, or by Close. The error is
// ErrAbsent where nobody listens.
func DialLogin(ctx context.Context, socket string) (*Login, error) {
	conn, err := shared(socket)(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach logind: %w", err)
	}
	return &Login{conn: conn, object: conn.Object(loginName, loginPath)}, nil
}

// Close ends the conversation. Inhibitors stay until they are closed.
func (l *Login) Close() error { return l.conn.Close() }

// What an inhibitor is against.
const (
	Shutdown = "shutdown"
	Sleep    = "sleep"
)

// Delay makes logind wait with the deed, for some seconds at most, until the
// inhibitor is closed.
func (l *Login) Delay(ctx context.Context, what, why string) (io.Closer, error) {
	return l.inhibit(ctx, what, why, "delay")
}

// Block makes logind refuse the deed until the inhibitor is closed.
func (l *Login) Block(ctx context.Context, what, why string) (io.Closer, error) {
	return l.inhibit(ctx, what, why, "block")
}

func (l *Login) inhibit(ctx context.Context, what, why, mode string) (io.Closer, error) {
	var fd dbus.UnixFD
	err := l.object.CallWithContext(ctx, loginInterface+".Inhibit", 0, what, "Picket", why, mode).Store(&fd)
	if err != nil {
		return nil, fmt.Errorf("inhibit %s (%s): %w", what, mode, err)
	}
	return os.NewFile(uintptr(fd), what+" inhibitor"), nil
}

// WatchShutdown calls begins whenever logind prepares a shutdown or a reboot,
// also if it does so already. It returns when ctx ends, with nil, or when the
// bus breaks.
func (l *Login) WatchShutdown(ctx context.Context, begins func()) error {
	signals := make(chan *dbus.Signal, 4)
	l.conn.Signal(signals)
	defer l.conn.RemoveSignal(signals)
	match := []dbus.MatchOption{
		dbus.WithMatchObjectPath(loginPath), dbus.WithMatchInterface(loginInterface), dbus.WithMatchMember(prepareForShutdown),
	}
	if err := l.conn.AddMatchSignalContext(ctx, match...); err != nil {
		return fmt.Errorf("watch for a shutdown: %w", err)
	}
	var now dbus.Variant
	err := l.object.CallWithContext(ctx, propertiesGet, 0, loginInterface, "PreparingForShutdown").Store(&now)
	if err != nil {
		return fmt.Errorf("ask logind for a shutdown: %w", err)
	}
	if now.Value() == true {
		begins()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case s, ok := <-signals:
			switch {
			case !ok && ctx.Err() != nil:
				return nil
			case !ok:
				return errors.New("watch for a shutdown: the bus closed the connection")
			case s.Name == loginInterface+"."+prepareForShutdown && len(s.Body) == 1 && s.Body[0] == true:
				begins()
			}
		}
	}
}
