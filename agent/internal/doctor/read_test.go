package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/internal/host"
)

// place makes a host's root of these files.
func place(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// stat is a line of /proc/PID/stat of a process whose name is a trap.
func stat(priority, policy int) string {
	fields := make([]string, 50)
	for i := range fields {
		fields[i] = "0"
	}
	fields[0], fields[fieldPriority], fields[fieldPolicy] = "S", fmt.Sprint(priority), fmt.Sprint(policy)
	return "700 (a) b (c) " + strings.Join(fields, " ") + "\n"
}

func TestRead(t *testing.T) {
	root := place(t, map[string]string{
		"proc/sysrq-trigger":              "",
		"proc/sys/kernel/hostname":        "n1\n",
		"proc/sys/kernel/sysrq":           "438\n",
		"proc/sys/kernel/panic":           "-1\n",
		"proc/sys/kernel/hung_task_panic": "a few\n",
		"proc/cmdline":                    "quiet\n",
		"proc/sys/kernel/random/boot_id":  "6a0f1d5e-8c5b-4b6e-9f57-0a4c1a3b2d10\n",
		"etc/machine-id":                  "0123456789abcdef0123456789abcdef\n",
		"proc/700/comm":                   "picket-holder\n",
		"proc/700/oom_score_adj":          "-1000\n",
		"proc/700/status":                 "Name:\tpicket-holder\nVmLck:\t    8192 kB\n",
		"proc/700/task/700/stat":          stat(0, 0),
		"proc/700/task/701/stat":          stat(1, 2),
		"proc/800/comm":                   "kubelet\n",
		"run/systemd/system/mark":         "",
		"sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
	})
	f := Read(t.Context(), host.Config{Root: root, Run: "run/picket", State: "var/lib/picket", BreakGlass: "etc/picket/unarmed"})
	if !f.Systemd.There || !strings.Contains(f.Systemd.Trouble, "private") {
		t.Errorf("%+v", f.Systemd)
	}
	if f.Clock.Trouble != "" || f.Clock.Raw < settle*4/5 || f.Clock.Boot < settle*4/5 || f.Clock.Source != "tsc" {
		t.Errorf("%+v", f.Clock)
	}
	f.Systemd.Trouble, f.Clock = "", Clock{}
	want := Facts{
		Node: "n1", Machine: Machine{HasMachineID: true}, Systemd: Systemd{There: true},
		Holder: Holder{PID: 700, Policy: 2, Priority: 1, Locked: 8 << 20, OOM: -1000},
		Sysrq:  Sysrq{Mask: "438"}, Kernel: Kernel{Panic: new(-1)},
	}
	if d := cmp.Diff(want, f); d != "" {
		t.Error(d)
	}
}

// A host that shows nothing is no reason to stop: each fact says what is missing.
func TestReadOfNothing(t *testing.T) {
	root := t.TempDir()
	f := Read(t.Context(), host.Config{Root: root, Run: "run/picket", State: "var/lib/picket", BreakGlass: "etc/picket/unarmed"})
	if f.Sysrq.Trouble == "" || f.Systemd.There || f.Holder != (Holder{}) || f.Machine.BreakGlass == "" {
		t.Errorf("%+v", f)
	}
}

func TestBrokenHolderFiles(t *testing.T) {
	sound := map[string]string{
		"700/comm": "picket-holder\n", "700/oom_score_adj": "0\n", "700/status": "VmLck:\t0 kB\n", "700/task/700/stat": stat(1, 2),
	}
	for file, text := range map[string]string{
		"700/oom_score_adj": "much", "700/task/700/stat": "700 (x) S 1", "700/task/701/stat": strings.Replace(stat(7, 2), " 7 ", " x ", 1),
	} {
		files := map[string]string{file: text}
		for k, v := range sound {
			if k != file {
				files[k] = v
			}
		}
		if h := readHolder(place(t, files)); h.Trouble == "" {
			t.Errorf("%s: %+v", file, h)
		}
	}
	delete(sound, "700/status")
	if h := readHolder(place(t, sound)); h != (Holder{}) {
		t.Errorf("a process that has ended: %+v", h)
	}
}

// Clocks that were not watched for long enough are not judged.
func TestClockOfAnImpatientPerson(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := readClock(ctx, t.TempDir())
	if _, found := clock(Facts{Clock: c}); c != (Clock{}) || found != nil {
		t.Errorf("%+v: %+v", c, found)
	}
}
