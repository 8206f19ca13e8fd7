package daemon

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/block"
	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/internal/hold"
	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/agent/internal/rejoin"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/deploy"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// TestMain plays the supervised worker, and an agent's child, when the test program
// is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == child.Name {
		if err := child.Main(os.Args[2], os.Stdin, os.Stdout, block.Probes(), rejoin.Steps()); err != nil {
			os.Exit(1)
		}
		return
	}
	if file := os.Getenv("PICKET_TEST_WORKER"); file != "" {
		os.Exit(crashTwice(file))
	}
	goleak.VerifyTestMain(m)
}

// crashTwice counts its runs in a file; the third one ends well.
func crashTwice(file string) int {
	text, _ := os.ReadFile(file) // absent at first
	runs, _ := strconv.Atoi(string(text))
	if err := os.WriteFile(file, []byte(strconv.Itoa(runs+1)), 0o600); err != nil {
		return 9
	}
	if runs < 2 {
		return 1
	}
	policy, err := unix.SchedGetAttr(0, 0)
	if err != nil || policy.Policy != unix.SCHED_RR && os.Geteuid() == 0 {
		return 8
	}
	return 0
}

func TestSuperviseRestartsACrashedWorker(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runs")
	t.Setenv("PICKET_TEST_WORKER", file)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := Supervise(ctx, slog.New(slog.DiscardHandler), []string{os.Args[0]}); err != nil {
		t.Fatal(err)
	}
	runs, err := os.ReadFile(file)
	if err != nil || string(runs) != "3" {
		t.Errorf("the worker ran %s times, %v; want 3", runs, err)
	}
}

// A13: a worker that stays though it was told to stop, and then crashes, comes back
// and is told again; one that cannot run at all does not hold up the pod.
func TestA13_AWorkerThatCrashesWhileItStaysIsRestarted(t *testing.T) {
	for name, tt := range map[string]struct {
		by     syscall.Signal
		second string // what the worker does when it runs again
		want   int
		fails  bool
	}{
		"it may go then":      {syscall.SIGTERM, `trap 'kill $!; exit 0' TERM; sleep 30 & wait; exit 4`, 2, false},
		"by another signal":   {syscall.SIGHUP, `trap 'kill $!; exit 0' TERM; sleep 30 & wait; exit 4`, 2, false},
		"it cannot run again": {syscall.SIGTERM, "exit 5", lastTries + 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "runs")
			script := `[ -e "$0" ] && { echo >>"$0"; ` + tt.second + `; }; trap 'kill $!' TERM; sleep 30 & echo >>"$0"; wait; exit 3`
			ended := make(chan error, 1)
			go func() {
				ended <- Supervise(t.Context(), slog.New(slog.DiscardHandler), []string{"/bin/sh", "-c", script, file})
			}()
			until(t, "the worker to run", func() bool { text, _ := os.ReadFile(file); return len(text) > 0 })
			if err := syscall.Kill(os.Getpid(), tt.by); err != nil {
				t.Fatal(err)
			}
			err := <-ended
			if runs, _ := os.ReadFile(file); len(runs) != tt.want || (err != nil) != tt.fails {
				t.Errorf("the worker ran %d times, want %d: %v", len(runs), tt.want, err)
			}
		})
	}
}

func TestMailboxKeepsTheNewest(t *testing.T) {
	m := newMailbox[int]()
	for i := range 5 {
		m.put(i)
	}
	if got := <-m; got != 4 {
		t.Errorf("the mailbox held %d, want the newest, 4", got)
	}
	select {
	case got := <-m:
		t.Errorf("an older value %d is still there", got)
	default:
	}
}

func TestJournalKeepsTheNewestAndNeverBlocks(t *testing.T) {
	j := newJournal(slog.New(slog.DiscardHandler)) // nobody reads its lines
	for i := range 2 * journalSize {
		j.note(timing.At(time.Duration(i)), decide.Note{Rule: decide.A2, What: strconv.Itoa(i)}, decide.Verdict{})
	}
	all := j.all()
	if len(all) != journalSize || all[len(all)-1].note.What != strconv.Itoa(2*journalSize-1) {
		t.Errorf("%d entries, the last one %v", len(all), all[len(all)-1])
	}
}

func TestConfig(t *testing.T) {
	good := `node: n1
root: /host
listen: 10.0.0.1:9735
holder: {sysrq: /proc/sysrq-trigger}
api: {endpoints: ["https://10.0.0.9:6443"]}
`
	tests := []struct{ name, text, want string }{
		{"good", good, ""},
		{"unknown key", good + "listne: x\n", "listne"},
		{"no node", "listen: 10.0.0.1:9735\n", "node is empty"},
		{"nowhere to be reached", "node: n1\nlisten: :9735\n", "advertise is empty"},
		{"name advertised", good + "advertise: [n1.example:9735]\n", "advertise must be addresses"},
		{"plain http", good + "api: {endpoints: [\"http://10.0.0.9\"]}\n", "already set"},
		{"who starts the holder", strings.Replace(good, "sysrq: ", "launch: Systemctl, sysrq: ", 1), "holder.launch"},
		{"nothing that resets the host", strings.Replace(good, "{sysrq: /proc/sysrq-trigger}", "{launch: Child}", 1), "holder.sysrq"},
		{"a holder of somebody else's", strings.Replace(good, "{sysrq: /proc/sysrq-trigger}", "{launch: External, socket: run/x}", 1), "holder.socket must be"},
		{"metrics", good + "metrics: 127.0.0.1:9464\n", ""},
		{"metrics on every address", good + "metrics: \":9464\"\n", ""},
		{"metrics on IPv6", good + "metrics: \"[::1]:9464\"\n", ""},
		{"metrics without a port", good + "metrics: 127.0.0.1\n", "metrics must be an address with a port"},
		{"metrics at a name", good + "metrics: localhost:9464\n", "metrics must be an address with a port"},
		{"metrics at any port", good + "metrics: 127.0.0.1:0\n", "metrics must be an address with a port"},
		{"stop", good + "stopWithin: 0s\n", "stopWithin must be longer"},
		{"run outside of root", good + "run: ../run\n", "not a path below root"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("NODE_NAME", "")
			t.Setenv("HOST_IP", "")
			file := filepath.Join(t.TempDir(), "agent.yaml")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(file)
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %v, want one that says %q", err, tt.want)
			}
		})
	}
}

// The agent runs with the manifests as they are: every key is known, and the
// downward API tells what they leave out.
func TestTheManifestsConfigurationLoads(t *testing.T) {
	t.Setenv("NODE_NAME", "n1")
	t.Setenv("HOST_IP", "fd00::1")
	objects, err := deploy.Workloads("picket:test")
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range objects {
		var m corev1.ConfigMap
		if err := yaml.Unmarshal(raw, &m); err != nil || m.Kind != "ConfigMap" {
			continue
		}
		file := filepath.Join(t.TempDir(), "agent.yaml")
		if err := os.WriteFile(file, []byte(m.Data["agent.yaml"]), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff([]string{"[fd00::1]:9735"}, c.addresses()); d != "" {
			t.Error(d)
		}
		if c.Node != "n1" || c.run() != "/host/run/picket" || c.Holder.Launch != launch.Auto {
			t.Errorf("%+v", c)
		}
		return
	}
	t.Error("the manifests hold no configuration")
}

// A pod that is killed on its way out leaves an armed node, which resets, or half of
// Picket on the host: there is time for people to notice.
func TestTheGracePeriodCoversTheWayOut(t *testing.T) {
	objects, err := deploy.Workloads("picket:test")
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range objects {
		var set appsv1.DaemonSet
		if err := yaml.Unmarshal(raw, &set); err != nil || set.Kind != "DaemonSet" {
			continue
		}
		grace := time.Duration(*set.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
		if need := 30*24*time.Hour + leaveWithin; grace < need {
			t.Errorf("the grace period is %v, want a month at least", grace)
		}
		return
	}
	t.Error("the manifests hold no DaemonSet")
}

func TestSpecOfRefusesImpossibleTimings(t *testing.T) {
	life := metav1.Duration{Duration: time.Second}
	if _, err := specOf(v1alpha1.NodeGuardSpec{Timing: v1alpha1.Timing{RollLife: &life}}); err == nil {
		t.Error("a roll's life of 1 s at an interval of 1 s was accepted")
	}
	s, err := specOf(v1alpha1.NodeGuardSpec{Unarmed: "Observe", Witnesses: []v1alpha1.Peer{{Node: "w"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := decide.Spec{
		Witnesses: []string{"w"}, Profile: timing.Standard(), ProbeEvery: time.Second, Unarmed: "Observe",
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("spec (-want +got):\n%s", d)
	}
}

// A12: a virtual machine stays unarmed unless the policy or the host itself
// accepts it; a reason that the controller has counts before that.
func TestA12_AVirtualMachineNeedsConsent(t *testing.T) {
	accepting := v1alpha1.WatchdogPolicy{AcceptVirtualMachines: true}
	for _, tt := range []struct {
		name, hypervisor string
		host             bool
		guard            v1alpha1.NodeGuardSpec
		want             string
	}{
		{name: "bare metal"},
		{name: "refused by default", hypervisor: "QEMU", want: "VirtualMachine"},
		{name: "the policy accepts it", hypervisor: "QEMU", guard: v1alpha1.NodeGuardSpec{Watchdog: accepting}},
		{name: "the host accepts it", hypervisor: "QEMU", host: true},
		{name: "observing", hypervisor: "QEMU", guard: v1alpha1.NodeGuardSpec{Unarmed: "Observe"}, want: "Observe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := &Daemon{hypervisor: tt.hypervisor, config: Config{AcceptVM: tt.host}}
			spec, err := specOf(tt.guard)
			if err != nil {
				t.Fatal(err)
			}
			d.refuseVM(tt.guard, &spec)
			if spec.Unarmed != tt.want || (tt.want == "VirtualMachine") != strings.Contains(spec.Because, "acceptVirtualMachines") {
				t.Errorf("unarmed %q because %q, want %q and the way out", spec.Unarmed, spec.Because, tt.want)
			}
		})
	}
}

// A11: a holder that says that its device fails must not look well.
func TestHeldOf(t *testing.T) {
	facts := watchdog.Facts{Driver: "softdog", Identity: "Software Watchdog", Kind: watchdog.KindSoftdog, Kappa: 1020, Min: time.Second}
	device := decide.Device{Usable: true, Min: time.Second, Granule: time.Second, Kappa: 1020, Ungated: 1}
	kept := device
	kept.Ungated = 0
	tests := []struct {
		name   string
		status hold.Status
		want   decide.Held
	}{
		{"armed", hold.Status{State: hold.Armed, Device: facts, Timeout: 10 * time.Second, Outlives: true, Stored: true, PID: 7},
			decide.Held{Mode: decide.HoldArmed, Device: kept, Timeout: 10 * time.Second}},
		{"outlives, and nobody saw that its device does", hold.Status{State: hold.Armed, Device: facts, Outlives: true, Stored: true, PID: 8},
			decide.Held{Mode: decide.HoldArmed, Device: device}},
		{"outlives, but its device does not", hold.Status{State: hold.Free, Device: facts, Outlives: true},
			decide.Held{Mode: decide.HoldFree, Device: device}},
		{"failing", hold.Status{State: hold.Armed, Device: facts, Failing: true, LastError: "ping: I/O error"},
			decide.Held{Mode: decide.HoldArmed, Device: device, Err: "ping: I/O error"}},
		{"latched", hold.Status{State: hold.Latched, Device: facts}, decide.Held{Mode: decide.HoldLatched, Device: device}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := &keeper{launched: func() launch.Report { return launch.Report{Keeps: 7} }}
			if d := cmp.Diff(tt.want, heldOf(tt.status, k.kept(tt.status))); d != "" {
				t.Errorf("held (-want +got):\n%s", d)
			}
		})
	}
}
