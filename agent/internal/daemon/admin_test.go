package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
)

// A node that a self-test or a shutdown is about to reset does not stay up.
func TestNextSaysWhatTheWatchdogWillDo(t *testing.T) {
	now := timing.At(time.Hour)
	dog := watchdog.Facts{Kappa: 2000}
	for name, tt := range map[string]struct {
		verdict decide.Verdict
		holder  *hold.Status
		want    string
	}{
		"unarmed":       {decide.Verdict{Phase: decide.Unarmed}, nil, "stays up whatever happens"},
		"armed":         {decide.Verdict{Phase: decide.Armed, Hold: decide.HoldArmed, PetUntil: now.Add(4 * time.Second)}, nil, "resets in 4.0s"},
		"latched":       {decide.Verdict{Phase: decide.Latched}, nil, "resets"},
		"testing":       {decide.Verdict{Phase: decide.Unarmed}, &hold.Status{State: hold.Testing, Timeout: 5 * time.Second, Device: dog}, "must reset it 10s after"},
		"shutting down": {decide.Verdict{Phase: decide.Armed, Hold: decide.HoldCoast, Timeout: 5 * time.Minute}, &hold.Status{}, "resets it 5m0s after"},
	} {
		if got := next(tt.verdict, tt.holder, now); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
