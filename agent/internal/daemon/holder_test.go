package daemon

import (
	"errors"
	"testing"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/launch"
)

// A holder that may be exchanged in a moment is not armed: the exchange would
// have to wait until the node is unarmed again.
func TestNothingIsArmedBeforeTheLaunchHasSettled(t *testing.T) {
	report := launch.Report{}
	k := &keeper{launched: func() launch.Report { return report }, wish: wish{mode: decide.HoldArmed}}
	status := hold.Status{State: hold.Free}
	if got, err := k.command(t.Context(), status); err != nil || got != status { // a call would meet no client
		t.Errorf("%+v, %v", got, err)
	}
	report.Settled = true
	if k.settled() || k.forbidden() != "" {
		t.Error("arms before systemd was seen to stay off the watchdogs")
	}
	report.Problem = "systemd would ping the watchdog"
	if k.settled() || k.forbidden() != report.Problem {
		t.Errorf("a loud systemd: settled %v, forbidden %q", k.settled(), k.forbidden())
	}
	report.Quiet = true
	if !k.settled() || k.forbidden() != "" {
		t.Error("a settled launch does not arm")
	}
}

// What keeps the holder from starting is what the node says of itself.
func TestTheLaunchsProblemIsTheCause(t *testing.T) {
	report := launch.Report{Problem: "watchdog0 is kept by systemd"}
	k := &keeper{launched: func() launch.Report { return report }}
	err := errors.New("connect: no such file or directory")
	if got := k.blame(err); got != report.Problem {
		t.Errorf("blames %q", got)
	}
	k.reachable.Store(true)
	if got := k.blame(err); got != err.Error() {
		t.Errorf("blames %q, and the holder has spoken", got)
	}
}
