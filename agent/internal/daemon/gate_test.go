package daemon

import (
	"errors"
	"os"
	"testing"

	"github.com/picket-dev/picket/systemd"
)

// Without systemd there is no gate, and nothing of it on the host.
func TestNoGateWithoutSystemd(t *testing.T) {
	c := Default()
	c.Root, c.Node = t.TempDir(), "n1"
	if err := (&Daemon{config: c}).placeGate(t.Context()); !errors.Is(err, systemd.ErrAbsent) {
		t.Errorf("error %v, want %v", err, systemd.ErrAbsent)
	}
	left, err := os.ReadDir(c.Root)
	if err != nil || len(left) > 0 {
		t.Errorf("on the host: %v, %v", left, err)
	}
}
