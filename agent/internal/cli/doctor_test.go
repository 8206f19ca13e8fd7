package cli

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// healthy are the files of a host without systemd that has all it needs: its
// holder runs, and a self-test has seen its watchdog work.
func healthy() map[string]string {
	return map[string]string{
		"proc/cmdline": "quiet\n", "proc/sys/kernel/hostname": "r1-node-1\n", "proc/sysrq-trigger": "", "proc/cpuinfo": "flags\t: fpu\n",
		"proc/sys/kernel/osrelease": "6.1.0-43-amd64\n", "proc/sys/kernel/sysrq": "438\n", "proc/sys/kernel/panic": "10\n",
		"proc/sys/kernel/panic_on_oops": "1\n", "proc/sys/kernel/hung_task_panic": "0\n",
		"proc/sys/kernel/sched_rt_runtime_us": "950000\n", "proc/sys/kernel/sched_rt_period_us": "1000000\n",
		"proc/sys/kernel/random/boot_id":                                  "6a0f1d5e-8c5b-4b6e-9f57-0a4c1a3b2d10\n",
		"sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
		"etc/machine-id":                       "0123456789abcdef0123456789abcdef\n",
		"sys/class/dmi/id/product_uuid":        "d516efe5-6184-42f2-a5cd-b5df382b2f04\n",
		"sys/class/watchdog/watchdog0/dev":     "1:3\n",
		"sys/class/watchdog/watchdog0/state":   "active\n",
		"sys/class/watchdog/watchdog0/options": "0x8180\n", "sys/class/watchdog/watchdog0/nowayout": "0\n",
		"sys/class/watchdog/watchdog0/identity": "i6300ESB timer\n",
		"var/lib/picket/selftest.json":          `{"findings":[{"driver":"i6300esb","identity":"i6300ESB timer","kernel":"6.1.0-43-amd64","resets":true,"kappa":1011,"timeout":10000000000}],"last":"it resets"}`,
		"proc/700/comm":                         "picket-holder\n", "proc/700/oom_score_adj": "-1000\n",
		"proc/700/status":        "VmLck:\t    8192 kB\n",
		"proc/700/task/700/stat": "700 (picket-holder) S" + strings.Repeat(" 0", 36) + " 1 2 0\n",
	}
}

// links are the device nodes of that host, and what its holder has open.
func links() map[string]string {
	return map[string]string{"dev/watchdog0": "/dev/null", "proc/700/fd/3": "/dev/null"}
}

// neglected is a host on which nobody has prepared anything.
func neglected() map[string]string {
	files := healthy()
	maps.Copy(files, map[string]string{
		"proc/cpuinfo": "flags\t: fpu hypervisor\n", "proc/sys/kernel/panic": "0\n", "proc/sys/kernel/hung_task_panic": "1\n",
		"proc/sys/kernel/hung_task_timeout_secs": "120\n", "proc/sys/kernel/sched_rt_runtime_us": "-1\n",
		"sys/class/watchdog/watchdog0/identity": "Software Watchdog\n", "sys/class/watchdog/watchdog0/state": "inactive\n",
		"sys/class/dmi/id/product_uuid": "03000200-0400-0500-0006-000700080009\n", "proc/700/comm": "sshd\n",
	})
	return files
}

func TestDoctorGolden(t *testing.T) {
	good := hostWith(t, healthy(), links())
	bad := hostWith(t, neglected(), map[string]string{"dev/watchdog0": "/dev/null"})
	nobody := "/nonexistent"
	t.Setenv("NODE_NAME", "")
	oneWay := nodes()["one-way"]
	oneWay.Endpoints = append(oneWay.Endpoints, &peerv1.Endpoint{Url: "https://10.0.3.10:6443", Answered: ms(300), RoundTrip: ms(900)})
	for _, tt := range []struct {
		name, root, run string
		code            int
	}{
		{"fine", good, serve(t, agent{status: armed()}), 0},
		{"no-agent", good, nobody, 2},
		{"neglected", bad, nobody, 1},
		{"one-way", good, serve(t, agent{status: oneWay}), 1},
		{"unarmed", bad, serve(t, agent{status: nodes()["unarmed"]}), 1},
		{"outage", good, serve(t, agent{status: nodes()["outage"]}), 1},
	} {
		for _, columns := range []string{"80", "120"} {
			t.Run(tt.name+"-"+columns, func(t *testing.T) {
				t.Setenv("COLUMNS", columns)
				out, code := call(t, "doctor", "--root", tt.root, "--run", tt.run)
				if code != tt.code {
					t.Errorf("exit code %d, want %d", code, tt.code)
				}
				if strings.Contains(out, "\x1b") {
					t.Error("colour without a terminal")
				}
				golden(t, "doctor-"+tt.name+"-"+columns, out)
			})
		}
	}
}

// JSON and YAML say the same, and what the screen does.
func TestDoctorForMachines(t *testing.T) {
	root := hostWith(t, neglected(), nil)
	asJSON, code := call(t, "doctor", "-o", "json", "--root", root, "--run", "/nonexistent")
	asYAML, _ := call(t, "doctor", "-o", "yaml", "--root", root, "--run", "/nonexistent")
	asJSON, _, _ = strings.Cut(asJSON, "\nError: ")
	asYAML, _, _ = strings.Cut(asYAML, "\nError: ")
	var a, b any
	if err := json.Unmarshal([]byte(asJSON), &a); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v, %s", code, err, asJSON)
	}
	if err := yaml.Unmarshal([]byte(asYAML), &b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	if !strings.Contains(asJSON, `"id": "VirtualMachine",`+"\n      "+`"severity": "error"`) {
		t.Error(asJSON)
	}
}

// What was asked for wrongly could not be looked at.
func TestDoctorFlags(t *testing.T) {
	if out, code := call(t, "doctor", "-o", "xml"); code != 2 || !strings.Contains(out, "use table, wide, json or yaml") {
		t.Errorf("exit code %d, %s", code, out)
	}
}
