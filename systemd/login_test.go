package systemd

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// standInLogin plays logind.
type standInLogin struct {
	conn       *dbus.Conn
	preparing  atomic.Bool
	asked      chan []string
	inhibitors chan *os.File // our ends
}

func newStandInLogin(t *testing.T) (*standInLogin, *Login) {
	t.Helper()
	socket := startBus(t)
	s := &standInLogin{conn: serve(t, socket, loginName), asked: make(chan []string, 4), inhibitors: make(chan *os.File, 4)}
	for _, iface := range []string{loginInterface, "org.freedesktop.DBus.Properties"} {
		if err := s.conn.ExportMethodTable(map[string]any{"Inhibit": s.inhibit, "Get": s.get}, loginPath, iface); err != nil {
			t.Fatal(err)
		}
	}
	l, err := DialLogin(t.Context(), socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return s, l
}

func (s *standInLogin) inhibit(what, who, why, mode string) (dbus.UnixFD, *dbus.Error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, dbus.MakeFailedError(err)
	}
	s.inhibitors <- r
	s.asked <- []string{what, who, why, mode}
	return dbus.UnixFD(w.Fd()), nil
}

func (s *standInLogin) get(_, _ string) (dbus.Variant, *dbus.Error) {
	return dbus.MakeVariant(s.preparing.Load()), nil
}

func (s *standInLogin) prepare(t *testing.T, begins bool) {
	t.Helper()
	if err := s.conn.Emit(loginPath, loginInterface+"."+prepareForShutdown, begins); err != nil {
		t.Fatal(err)
	}
}

func TestInhibitors(t *testing.T) {
	s, l := newStandInLogin(t)
	for mode, take := range map[string]func(context.Context, string, string) (io.Closer, error){"delay": l.Delay, "block": l.Block} {
		inhibitor, err := take(limited(t), Sleep, "because")
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"sleep", "Picket", "because", mode}, <-s.asked); d != "" {
			t.Error(d)
		}
		if err := errors.Join(inhibitor.Close(), (<-s.inhibitors).Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestWatchShutdown(t *testing.T) {
	s, l := newStandInLogin(t)
	ctx, cancel := context.WithCancel(limited(t))
	began, ended := make(chan bool, 4), make(chan error, 1)
	s.preparing.Store(true)
	go func() { ended <- l.WatchShutdown(ctx, func() { began <- true }) }()
	<-began // it was under way already, and the signals are on their way from here on
	s.prepare(t, false)
	s.prepare(t, true)
	<-began
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(began) != 0 {
		t.Error("a shutdown that was called off counts as one")
	}
}

func TestWatchShutdownEndsWithTheBus(t *testing.T) {
	s, l := newStandInLogin(t)
	began, ended := make(chan bool, 1), make(chan error, 1)
	s.preparing.Store(true)
	go func() { ended <- l.WatchShutdown(limited(t), func() { began <- true }) }()
	<-began
	_ = l.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the watch ended without a reason")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the watch goes on without a bus")
	}
}
