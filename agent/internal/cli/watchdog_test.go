package cli

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/durationpb"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

var update = flag.Bool("update", false, "write the golden files")

// hostWith makes a host's root. Its device nodes are links to devices that do
// nothing.
func hostWith(t *testing.T, files, links map[string]string) string {
	t.Helper()
	root := t.TempDir()
	put := func(path string, write func(string) error) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := write(path); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range files {
		put(path, func(p string) error { return os.WriteFile(p, []byte(text), 0o600) })
	}
	for path, target := range links {
		put(path, func(p string) error { return os.Symlink(target, p) })
	}
	return root
}

// watched is a host whose systemd holds the hardware watchdog, with softdog
// beside it, which a self-test has measured, and a dog that nobody knows.
func watched(t *testing.T) string {
	return hostWith(t, map[string]string{
		"run/systemd/system/mark":                   "",
		"proc/sys/kernel/osrelease":                 "6.1.0-43-amd64\n",
		"proc/1/comm":                               "systemd\n",
		"sys/class/watchdog/watchdog0/dev":          "1:3\n",
		"sys/class/watchdog/watchdog0/identity":     "i6300ESB timer\n",
		"sys/class/watchdog/watchdog0/options":      "0x8180\n",
		"sys/class/watchdog/watchdog0/nowayout":     "0\n",
		"sys/class/watchdog/watchdog0/state":        "active\n",
		"sys/class/watchdog/watchdog1/dev":          "1:5\n",
		"sys/class/watchdog/watchdog1/identity":     "Software Watchdog\n",
		"sys/class/watchdog/watchdog1/options":      "0x8180\n",
		"sys/class/watchdog/watchdog1/nowayout":     "0\n",
		"sys/class/watchdog/watchdog1/state":        "inactive\n",
		"sys/class/watchdog/watchdog2/dev":          "1:7\n",
		"sys/class/watchdog/watchdog2/identity":     "Strange Dog\n",
		"sys/class/watchdog/watchdog2/options":      "0x1\n",
		"sys/class/watchdog/watchdog2/state":        "inactive\n",
		"sys/module/softdog/parameters/soft_noboot": "0\n",
		"var/lib/picket/selftest.json":              `{"findings":[{"driver":"softdog","identity":"Software Watchdog","kernel":"6.1.0-43-amd64","resets":true,"kappa":1031,"timeout":10000000000}],"last":"softdog resets within 10.31s of a timeout of 10s: κ=1.03, timed by 2 neighbours"}`,
	}, map[string]string{
		"dev/watchdog0": "/dev/null", "dev/watchdog1": "/dev/zero", "dev/watchdog2": "/dev/full",
		"proc/1/fd/7": "/dev/null",
	})
}

func TestWatchdogGolden(t *testing.T) {
	root := watched(t)
	run := serve(t, agent{status: &peerv1.StatusReply{WatchdogPolicy: &peerv1.WatchdogPolicy{
		Prefer: "Hardware", Systemd: "TakeOver", Outlives: true, RealTimeout: durationpb.New(5100 * time.Millisecond),
		PetDelay: durationpb.New(time.Second), ShutdownTimeout: durationpb.New(5 * time.Minute),
	}}})
	for _, tt := range []struct {
		name, args, run string
		code            int
	}{
		{"cooperate", "watchdog", t.TempDir(), 0},
		{"cooperate-json", "watchdog -o json", t.TempDir(), 0},
		{"cooperate-yaml", "watchdog -o yaml", t.TempDir(), 0},
		{"agent-says-take-over", "watchdog", run, 0},
		{"named", "watchdog --device watchdog2 --profile fast", run, 1},
		{"softdog", "watchdog --prefer Softdog --systemd Cooperate", run, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, code := call(t, append(strings.Fields(tt.args), "--root", root, "--run", tt.run)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			golden(t, "watchdog-"+tt.name, out)
		})
	}
}

func TestWatchdogOfAHostWithoutOne(t *testing.T) {
	root := hostWith(t, map[string]string{"sys/class/net/x": ""}, nil)
	out, code := call(t, "watchdog", "--root", root, "--run", t.TempDir())
	if code != exitDegraded {
		t.Errorf("exit code %d", code)
	}
	golden(t, "watchdog-none", out)
}

func TestWatchdogFlagsAreChecked(t *testing.T) {
	root := watched(t)
	for _, args := range []string{"--prefer Wood", "--systemd Fight", "--profile slow", "-o xml"} {
		out, code := call(t, append(strings.Fields("watchdog "+args), "--root", root, "--run", t.TempDir())...)
		if code != exitFailed || !strings.Contains(out, strings.Fields(args)[1]) {
			t.Errorf("%s: exit code %d, %s", args, code, out)
		}
	}
}

// A damaged record of self-tests is said, and hides nothing else.
func TestWatchdogWithADamagedRecord(t *testing.T) {
	root := watched(t)
	if err := os.WriteFile(filepath.Join(root, "var/lib/picket/selftest.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := call(t, "watchdog", "-o", "json", "--root", root, "--run", t.TempDir())
	var r watchdogReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v, %s", code, err, out)
	}
	if !strings.Contains(r.SelfTest, "lost") || r.Chosen != "watchdog1" || r.Devices[1].Measured {
		t.Errorf("%+v", r)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // a golden file is no secret
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
