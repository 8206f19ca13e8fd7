package daemon

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/watchdog"
)

// tested plays a holder of a device, which it tests when it is told to.
func tested(l net.Listener, device watchdog.Facts) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	status := hold.Status{State: hold.Free, Device: device}
	in, out := make([]byte, hold.RequestSize+1), make([]byte, hold.ReplySize)
	for {
		n, err := conn.Read(in)
		if err != nil {
			return
		}
		q, err := hold.DecodeRequest(in[:n])
		status.Now = clock.Now()
		if q.Op == hold.OpTest {
			status.State, status.Timeout, status.LastPet = hold.Testing, q.Timeout, status.Now
		}
		hold.Reply{Seq: q.Seq, Status: status, Err: hold.AsError(err)}.Encode(out)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// While a holder is exchanged for one with another device, the old one's word
// still stands: what is written down is what is tested.
func TestTheDeviceThatIsTestedIsOnDisk(t *testing.T) {
	dir, err := os.MkdirTemp("", "s") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	d := &Daemon{config: Config{Root: dir}, log: slog.New(slog.DiscardHandler), keeper: &keeper{socket: filepath.Join(dir, "s")}}
	d.openTests()
	l, err := net.Listen("unixpacket", d.keeper.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	slow := watchdog.Facts{Driver: "iTCO_wdt", Identity: "iTCO_wdt", Kind: watchdog.KindHardware, Kappa: 2000}
	go tested(l, slow)
	d.keeper.status.Store(&hold.Status{State: hold.Free, Device: dog})
	d.keeper.reachable.Store(true)
	var agreed watchdog.Facts
	var within time.Duration
	s, err := under{d}.LastPing(t.Context(), func(f watchdog.Facts, timeout time.Duration) error {
		agreed, within = f, timeout
		return nil
	})
	if err != nil || agreed != slow || within != 5*time.Second || s.Timeout != within || s.State != hold.Testing {
		t.Errorf("%+v for %v, on disk; tested %+v, %v", agreed, within, s, err)
	}
	d.keeper.hangUp()
}
