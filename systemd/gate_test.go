package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// aGate is a unit as a host of two kubelets would get it.
func aGate() Gate {
	return Gate{
		Binary:   "/var/lib/picket/picket-agent",
		Args:     []string{"gate", "--node=worker-1", "--server=https://[fd00::1]:6443", "--bound=3m0s"},
		Kubelets: []string{"kubelet.service", "k3s-agent.service"},
		Bound:    3 * time.Minute,
	}
}

func TestGateText(t *testing.T) {
	text, err := aGate().Text()
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(text))
	for _, want := range []string{
		"Type=oneshot\n", "RemainAfterExit=yes\n", "NotifyAccess=main\n",
		"Before=kubelet.service k3s-agent.service\n", "WantedBy=kubelet.service k3s-agent.service\n",
		"Wants=network-online.target\n",
		"ConditionPathExists=/var/lib/picket/picket-agent\n",
		"ExecStart=/var/lib/picket/picket-agent gate --node=worker-1 --server=https://[fd00::1]:6443 --bound=3m0s\n",
		"TimeoutStartSec=210s\n",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "{{") || strings.Contains(text, "<no value>") {
		t.Errorf("not filled in:\n%s", text)
	}
	// What nothing rests on must not be required.
	for _, never := range []string{"RequiredBy", "Requires=", "BindsTo", "PartOf"} {
		if strings.Contains(text, never) {
			t.Errorf("%s in\n%s", never, text)
		}
	}
}

func TestGateTextRefusesWhatAUnitFileReadsOtherwise(t *testing.T) {
	for name, change := range map[string]func(*Gate){
		"no binary":         func(g *Gate) { g.Binary = "" },
		"relative binary":   func(g *Gate) { g.Binary = "picket-agent" },
		"blank":             func(g *Gate) { g.Args[1] = "--node=a b" },
		"new line":          func(g *Gate) { g.Args[1] = "--node=a\nExecStartPre=/bin/true" },
		"specifier":         func(g *Gate) { g.Args[1] = "--node=%H" },
		"variable":          func(g *Gate) { g.Args[1] = "--node=$HOME" },
		"second command":    func(g *Gate) { g.Args[1] = ";" },
		"quote":             func(g *Gate) { g.Args[1] = `--node="a"` },
		"escape":            func(g *Gate) { g.Args[1] = `--node=\x20` },
		"empty argument":    func(g *Gate) { g.Args[1] = "" },
		"no kubelet":        func(g *Gate) { g.Kubelets = nil },
		"two units in one":  func(g *Gate) { g.Kubelets[0] = "a.service b.service" },
		"no time":           func(g *Gate) { g.Bound = 0 },
		"letters of others": func(g *Gate) { g.Args[1] = "--node=wörker" },
	} {
		t.Run(name, func(t *testing.T) {
			g := aGate()
			change(&g)
			if text, err := g.Text(); err == nil {
				t.Errorf("no error, but\n%s", text)
			}
		})
	}
}

// hostTree is a host's root with systemd's own units, a kubelet's and the gate's.
func hostTree(t *testing.T) string {
	t.Helper()
	text, err := aGate().Text()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "usr/lib/systemd/system"), os.DirFS("/usr/lib/systemd/system")); err != nil {
		t.Skipf("cannot copy this host's units: %v", err)
	}
	const kubelet = "[Unit]\nWants=network-online.target\nAfter=network-online.target\n" +
		"[Service]\nExecStart=/var/lib/picket/picket-agent\n[Install]\nWantedBy=multi-user.target\n"
	for name, content := range map[string]string{
		"etc/systemd/system/" + GateUnit:       text,
		"etc/systemd/system/kubelet.service":   kubelet,
		"etc/systemd/system/k3s-agent.service": kubelet,
		"var/lib/picket/picket-agent":          "#!/bin/sh\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if filepath.Ext(name) == "" {
			mode = 0o755
		}
		if err := os.WriteFile(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// tool runs one of systemd's tools on the tree and returns what it says.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	binary, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s here: apt-get install systemd", name)
	}
	out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// systemd itself reads the unit, and finds no unknown key and no cycle.
func TestSystemdReadsTheGate(t *testing.T) {
	root := hostTree(t)
	verify := func() string {
		return tool(t, "systemd-analyze", "verify", "--root="+root, "--man=no", "--generators=no", GateUnit, "kubelet.service")
	}
	if said := verify(); said != "" {
		t.Errorf("systemd-analyze verify says:\n%s", said)
	}
	unit := filepath.Join(root, "etc/systemd/system", GateUnit)
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for what, bend := range map[string][2]string{
		"an unknown key": {"Before=", "Befor="},
		"a bad time":     {"TimeoutStartSec=210s", "TimeoutStartSec=21x"},
	} {
		if err := os.WriteFile(unit, []byte(strings.Replace(string(text), bend[0], bend[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if verify() == "" {
			t.Errorf("systemd-analyze verify does not see %s", what)
		}
	}
}

// What systemd makes of [Install] is a gate before each kubelet, wherever the
// unit lies.
func TestSystemdEnablesTheGate(t *testing.T) {
	for name, file := range map[string]string{
		"where the manager looks": GateUnit, "anywhere": "/var/lib/picket/" + GateUnit,
	} {
		t.Run(name, func(t *testing.T) {
			root := hostTree(t)
			path := "/etc/systemd/system/" + GateUnit
			if filepath.IsAbs(file) {
				if err := os.Rename(filepath.Join(root, path), filepath.Join(root, file)); err != nil {
					t.Fatal(err)
				}
				path = file
			}
			links := func() map[string]string {
				all := make(map[string]string)
				for _, dir := range []string{"kubelet", "k3s-agent"} {
					link := "etc/systemd/system/" + dir + ".service.wants/" + GateUnit
					if to, err := os.Readlink(filepath.Join(root, link)); err == nil {
						all[dir] = to
					}
				}
				return all
			}
			tool(t, "systemctl", "--root="+root, "enable", file)
			if diff := cmp.Diff(map[string]string{"kubelet": path, "k3s-agent": path}, links()); diff != "" {
				t.Errorf("enabled (-want +got):\n%s", diff)
			}
			tool(t, "systemctl", "--root="+root, "disable", GateUnit)
			if diff := cmp.Diff(map[string]string{}, links()); diff != "" {
				t.Errorf("disabled (-want +got):\n%s", diff)
			}
		})
	}
}
