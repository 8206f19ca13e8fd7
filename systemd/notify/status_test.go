package notify

import (
	"errors"
	"net"
	"testing"
	"time"
)

// A status is one line, whatever an error text holds: a second line would be
// another assignment to the service manager.
func TestStatusIsOneLine(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Status("waits"); !errors.Is(err, ErrNotManaged) {
		t.Errorf("without a manager: %v, want ErrNotManaged", err)
	}
	address := "@picket-status-test"
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	_ = manager.SetReadDeadline(time.Now().Add(10 * time.Second))
	t.Setenv("NOTIFY_SOCKET", address)
	if err := Status("waits for\nREADY=1\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 256)
	n, err := manager.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b[:n]), "STATUS=waits for READY=1"; got != want {
		t.Errorf("manager got %q, want %q", got, want)
	}
}
