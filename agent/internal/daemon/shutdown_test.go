package daemon

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/proto/timing"
)

// A13: what a SIGTERM means on a host without a systemd that answers.
func TestA13_Farewell(t *testing.T) {
	shutdown, uninstall := "run/picket/shutdown", "run/picket/uninstall"
	for name, tt := range map[string]struct {
		files    []string
		told     bool // by the controller, to leave
		child    bool // the holder ends with the pod
		external bool // the holder is somebody else's
		loud     bool // systemd may ping the watchdog
		want     decide.Event
	}{
		"an upgrade":                         {want: decide.Stop{}},
		"an upgrade, with a child":           {child: true, want: decide.Stop{Uninstall: true}},
		"a holder of somebody else's":        {child: true, external: true, want: decide.Stop{}},
		"an uninstall":                       {files: []string{uninstall}, want: decide.Stop{Uninstall: true}},
		"a word of the controller":           {told: true, want: decide.Stop{Uninstall: true}},
		"a shutdown of a dismissed node":     {told: true, files: []string{shutdown}, want: decide.Shutdown{}},
		"a shutdown":                         {files: []string{shutdown}, want: decide.Shutdown{}},
		"a shutdown of an uninstalled node":  {files: []string{shutdown, uninstall}, want: decide.Shutdown{}},
		"a shutdown that would ping the dog": {files: []string{shutdown}, loud: true, want: decide.Stop{}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, file := range tt.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			quiet := func() launch.Report { return launch.Report{Quiet: !tt.loud} }
			d := &Daemon{config: Config{Root: root, Run: "run/picket"}, keeper: &keeper{launched: quiet}, log: slog.New(slog.DiscardHandler)}
			d.keeper.status.Store(&hold.Status{State: hold.Armed, Outlives: !tt.child})
			if d.dismissed = newDismissal(); tt.told {
				d.dismissed.tell()
			}
			if tt.external {
				d.config.Holder.Launch = launch.External
			}
			if diff := cmp.Diff(tt.want, d.farewell(t.Context())); diff != "" {
				t.Error(diff)
			}
			if _, err := os.Stat(filepath.Join(root, shutdown)); d.hostEnds.Load() != (err == nil) {
				t.Errorf("the host shuts down: %v", d.hostEnds.Load())
			}
		})
	}
}

// A13: an agent that stays, since its node would reset, does not hold up its host's
// shutdown, whenever that comes.
func TestA13_AnAgentThatStaysGoesWithItsHost(t *testing.T) {
	d := aDaemon(t, io.Discard)
	ctx, stop := context.WithCancel(t.Context())
	work, cancel := context.WithCancel(t.Context())
	defer cancel()
	left := make(chan struct{})
	go func() { defer close(left); d.loop(ctx, work) }()
	d.tell(work, decide.Held{Mode: decide.HoldArmed, Timeout: 10 * time.Second, PetUntil: clock.Now().Add(time.Hour)})
	until(t, "it goes on as armed", func() bool { v := d.verdict.Load(); return v != nil && v.Memory.Promise.Armed })
	stop()
	select {
	case <-left:
		t.Fatal("it left an armed node")
	case <-time.After(10 * d.config.StopWithin.Duration):
	}
	put(t, d.config.Root, filepath.Join(d.config.Run, "shutdown"), "")
	select {
	case <-left:
	case <-time.After(5 * time.Second):
		t.Error("the host waits for it")
		cancel()
	}
}

// A13: what an uninstall leaves on the host, and why, is said.
func TestA13_AnUninstallTakesTheHolderAlongOrSaysWhyNot(t *testing.T) {
	for name, tt := range map[string]struct {
		armed bool
		hold  decide.HoldMode
		left  bool
	}{
		"armed to the end":            {armed: true, hold: decide.HoldArmed, left: true},
		"no holder was ever reached":  {hold: decide.HoldUnknown},
		"the device could not be had": {hold: decide.HoldFree},
		"disarmed":                    {hold: decide.HoldIdle},
	} {
		t.Run(name, func(t *testing.T) {
			c := Default()
			c.Root = t.TempDir()
			binary := filepath.Join(c.Root, c.State, "picket-holder")
			for _, file := range []string{filepath.Join(c.Root, c.Run, "uninstall"), binary} {
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			var said strings.Builder
			d := &Daemon{config: c, log: slog.New(slog.NewTextHandler(&said, nil)), keeper: &keeper{socket: filepath.Join(c.Root, "nowhere")}}
			d.launcher = launch.New(c.Holder, c.host(), "b1", d.keeper, d.log)
			d.verdict.Store(&decide.Verdict{Hold: tt.hold, Memory: decide.Memory{Promise: timing.Promise{Armed: tt.armed}}})
			left := d.vacate(t.Context())
			if _, err := os.Stat(binary); tt.left != (err == nil) || tt.left != strings.Contains(said.String(), "stays on the host") {
				t.Errorf("the holder: %v; said %q", err, said.String())
			}
			if tt.left != (left != nil) {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Every verdict says whether the node is armed; logind hears of the changes.
func TestTheVigilAsksOnce(t *testing.T) {
	refused := errors.New("refused")
	var asked []error
	v := &vigil{block: func() (io.Closer, error) {
		if len(asked) == 0 {
			asked = append(asked, refused)
			return nil, refused
		}
		asked = append(asked, nil)
		return io.NopCloser(nil), nil
	}}
	var said []error
	for _, armed := range []bool{false, true, true, false, false, true, true, false} {
		if err := v.keep(armed); err != nil {
			said = append(said, err)
		}
		if v.held != nil && !armed {
			t.Error("an unarmed node may not sleep")
		}
	}
	if d := cmp.Diff([]error{refused, nil}, asked, cmpopts.EquateErrors()); d != "" || len(said) != 1 {
		t.Errorf("said %v; asked (-want +got):\n%s", said, d)
	}
}
