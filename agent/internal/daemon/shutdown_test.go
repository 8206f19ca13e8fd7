package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/launch"
)

// A13: what a SIGTERM means on a host without a systemd that answers.
func TestA13_Farewell(t *testing.T) {
	for name, tt := range map[string]struct {
		files    map[string]string
		child    bool // the holder ends with the pod
		external bool // the holder is somebody else's
		want     decide.Event
	}{
		"an upgrade":                             {want: decide.Stop{}},
		"an upgrade, with a child":               {child: true, want: decide.Stop{Uninstall: true}},
		"a holder of somebody else's":            {child: true, external: true, want: decide.Stop{}},
		"an uninstall":                           {files: map[string]string{"run/picket/uninstall": ""}, want: decide.Stop{Uninstall: true}},
		"a shutdown":                             {files: map[string]string{"run/picket/shutdown": ""}, want: decide.Shutdown{}},
		"a shutdown of an uninstalled node":      {files: map[string]string{"run/picket/shutdown": "", "run/picket/uninstall": ""}, want: decide.Shutdown{}},
		"a shutdown that would ping the dog":     {files: map[string]string{"run/picket/shutdown": "", "proc/1/comm": "systemd\n"}, want: decide.Stop{}},
		"a shutdown under another first process": {files: map[string]string{"run/picket/shutdown": "", "proc/1/comm": "init\n"}, want: decide.Shutdown{}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range tt.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d := &Daemon{config: Config{Root: root, Run: "run/picket"}, keeper: &keeper{}, log: slog.New(slog.DiscardHandler)}
			d.keeper.status.Store(&hold.Status{State: hold.Armed, Outlives: !tt.child})
			if !tt.external {
				d.launcher = launch.New(launch.Default(), d.config.host(), "boot", d.keeper, d.log)
			}
			if diff := cmp.Diff(tt.want, d.farewell(t.Context())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// systemd-shutdown uses its configured device, else the first one.
func TestSameDog(t *testing.T) {
	for _, tt := range []struct {
		path, name string
		want       bool
	}{
		{"", "watchdog0", true},
		{"", "watchdog1", false},
		{"", "", true},
		{"", "watchdog", true},
		{"/dev/watchdog", "watchdog0", true},
		{"/dev/watchdog0", "watchdog1", false},
		{"/dev/watchdog1", "watchdog1", true},
		{"/dev/watchdog1", "watchdog0", false},
		{"/dev/watchdog1", "", true},
	} {
		if got := sameDog(tt.path, tt.name); got != tt.want {
			t.Errorf("systemd uses %q, the holder %q: same %v, want %v", tt.path, tt.name, got, tt.want)
		}
	}
}
