package systemd

import (
	"context"
	"fmt"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

const (
	managerName      = "org.freedesktop.systemd1"
	managerPath      = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerInterface = "org.freedesktop.systemd1.Manager"

	unknownProperty  = "org.freedesktop.DBus.Error.UnknownProperty"
	refusedProperty  = "org.freedesktop.DBus.Error.PropertyReadOnly"
	unknownUnit      = "org.freedesktop.systemd1.NoSuchUnit"
	propertiesSet    = "org.freedesktop.DBus.Properties.Set"
	propertiesGet    = "org.freedesktop.DBus.Properties.Get"
	stoppingState    = "stopping"
	replaceConflicts = "replace"
)

// A Manager is a conversation with the host's service manager. It is not for
// concurrent use.
type Manager struct {
	// object is the manager's, on a connection of its own: go-systemd reads
	// properties as text and writes none.
	object dbus.BusObject
	own    *dbus.Conn
	// conn is go-systemd's, and nil until a unit is asked for: its two
	// connections are many round trips, and a busy manager takes its time.
	conn    *sd.Conn
	connect func() (*sd.Conn, error)
}

// Dial returns a Manager that is reached by its private socket, see
// PrivateSocket. The conversation ends with ctx, or by Close. The error is
// ErrAbsent where nobody listens.
func Dial(ctx context.Context, socket string) (*Manager, error) {
	return newManager(ctx, private(socket))
}

func newManager(ctx context.Context, dial dialer) (*Manager, error) {
	own, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("reach systemd: %w", err)
	}
	return &Manager{own: own, object: own.Object(managerName, managerPath), connect: func() (*sd.Conn, error) {
		return sd.NewConnection(func() (*dbus.Conn, error) { return dial(ctx) })
	}}, nil
}

// units returns the connection on which units are asked for.
func (m *Manager) units() (*sd.Conn, error) {
	if m.conn == nil {
		conn, err := m.connect()
		if err != nil {
			return nil, fmt.Errorf("reach systemd: %w", err)
		}
		m.conn = conn
	}
	return m.conn, nil
}

// Close ends the conversation.
func (m *Manager) Close() {
	if m.conn != nil {
		m.conn.Close()
	}
	_ = m.own.Close() // nothing is lost: every call was answered
}

// Stopping reports whether the host is shutting down: the manager has a job for
// one of the targets that end it.
func (m *Manager) Stopping(ctx context.Context) (bool, error) {
	var state string
	err := m.get(ctx, "SystemState", &state)
	return state == stoppingState, err
}

// get reads a property of the manager into value. Its error is unknownProperty
// where this manager has none of that name.
func (m *Manager) get(ctx context.Context, name string, value any) error {
	var v dbus.Variant
	err := m.object.CallWithContext(ctx, propertiesGet, 0, managerInterface, name).Store(&v)
	if err == nil {
		err = v.Store(value)
	}
	if err != nil {
		return fmt.Errorf("read %s of systemd: %w", name, err)
	}
	return nil
}

// set writes a property of the manager, until it is executed anew.
func (m *Manager) set(ctx context.Context, name string, value any) error {
	err := m.object.CallWithContext(ctx, propertiesSet, 0, managerInterface, name, dbus.MakeVariant(value)).Store()
	if err != nil {
		return fmt.Errorf("set %s of systemd to %v: %w", name, value, err)
	}
	return nil
}

// reloadWithin is what a reload may take: on a slow emulated machine 12 s were
// measured.
const reloadWithin = 30 * time.Second

// Reload makes the manager read its configuration and all units again, which
// takes a busy host seconds.
func (m *Manager) Reload(ctx context.Context) error {
	err := m.object.CallWithContext(ctx, managerInterface+".Reload", 0).Store()
	if err != nil {
		return fmt.Errorf("make systemd read its configuration again: %w", err)
	}
	return nil
}

// job waits for the end of a job that start queues.
func (m *Manager) job(ctx context.Context, start func(*sd.Conn, chan<- string) (int, error)) (string, error) {
	units, err := m.units()
	if err != nil {
		return "", err
	}
	ended := make(chan string, 1)
	if _, err := start(units, ended); err != nil {
		return "", err
	}
	select {
	case result := <-ended:
		return result, nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// StartUnit starts a unit that the host has, such as modprobe@softdog.service,
// and waits for it.
func (m *Manager) StartUnit(ctx context.Context, name string) error {
	result, err := m.job(ctx, func(units *sd.Conn, ended chan<- string) (int, error) {
		return units.StartUnitContext(ctx, name, replaceConflicts, ended)
	})
	if err == nil && result != jobDone {
		err = fmt.Errorf("its job ended as %q: see `systemctl status %s`", result, name)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	return nil
}
