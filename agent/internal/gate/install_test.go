package gate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/systemd"
)

var _ manager = (*systemd.Manager)(nil)

// fakeManager notes what it is asked for.
type fakeManager struct {
	units []string
	calls []string
	err   error
}

func (f *fakeManager) Loaded(_ context.Context, units []string) ([]string, error) {
	return slices.DeleteFunc(slices.Clone(units), func(u string) bool { return !slices.Contains(f.units, u) }), f.err
}

func (f *fakeManager) Enable(_ context.Context, file string, changed bool) error {
	f.calls = append(f.calls, "enable "+file+map[bool]string{true: ", changed"}[changed])
	return f.err
}

func (f *fakeManager) Disable(_ context.Context, unit string) error {
	f.calls = append(f.calls, "disable "+unit)
	return f.err
}

// called returns what was asked for since it was called last.
func (f *fakeManager) called() []string {
	calls := f.calls
	f.calls = nil
	return calls
}

// site returns a host, with directories that it has, and its manager.
func site(t *testing.T, dirs ...string) (Site, *fakeManager) {
	t.Helper()
	s := Site{Root: t.TempDir(), State: "var/lib/picket", Binary: filepath.Join(t.TempDir(), "picket-agent")}
	writeFile(t, s.Binary, "version 1")
	for _, d := range dirs {
		if err := os.MkdirAll(filepath.Join(s.Root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s, &fakeManager{units: []string{"kubelet.service"}}
}

// files returns the files on the host, and how each begins.
func files(t *testing.T, s Site) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(s.Root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(s.Root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		all[name] = string(text[:min(len(text), 9)])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func settings() Config {
	c := Default()
	c.Node = nodeName
	c.Servers = []string{"https://10.0.0.1:6443", "https://10.0.0.2:6443"}
	return c
}

const (
	unitInEtc   = "etc/systemd/system/picket-gate.service"
	unitInState = "var/lib/picket/picket-gate.service"
	agentOnHost = "var/lib/picket/picket-agent"
)

func TestInstallChangesWhatDiffers(t *testing.T) {
	s, m := site(t, "etc/systemd/system")
	c := settings()
	for _, step := range []struct {
		what   string
		before func()
		calls  []string
		binary string
	}{
		{"first", func() {}, []string{"enable picket-gate.service, changed"}, "version 1"},
		{"again", func() {}, []string{"enable picket-gate.service"}, "version 1"},
		{"upgrade", func() { writeFile(t, s.Binary, "version 2") }, []string{"enable picket-gate.service"}, "version 2"},
		{"other API servers", func() { c.Servers = c.Servers[:1] }, []string{"enable picket-gate.service, changed"}, "version 2"},
		{"another kubelet", func() { m.units = append(m.units, "k3s.service") }, []string{"enable picket-gate.service, changed"}, "version 2"},
		{"somebody changed the unit", func() { writeFile(t, filepath.Join(s.Root, unitInEtc), "x") }, []string{"enable picket-gate.service, changed"}, "version 2"},
	} {
		step.before()
		if err := Install(t.Context(), m, s, c); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if diff := cmp.Diff(step.calls, m.called()); diff != "" {
			t.Errorf("%s: asked for (-want +got):\n%s", step.what, diff)
		}
		if diff := cmp.Diff(map[string]string{unitInEtc: "# Written", agentOnHost: step.binary}, files(t, s)); diff != "" {
			t.Errorf("%s: on the host (-want +got):\n%s", step.what, diff)
		}
	}
	text, err := os.ReadFile(filepath.Join(s.Root, unitInEtc))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ExecStart=/var/lib/picket/picket-agent gate --bound=3m0s --node=worker-1 --server=https://10.0.0.1:6443\n",
		"Before=kubelet.service k3s.service\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// The unit calls the binary with flags that the binary knows.
func TestInstalledArgumentsAreTheCommands(t *testing.T) {
	c := settings()
	c.Kubeconfigs = []string{"/a", "/b"}
	cmd := Command()
	if err := cmd.ParseFlags(c.args()[1:]); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, name := range []string{"node", "server", "kubeconfig", "bound"} {
		got[name] = cmd.Flag(name).Value.String()
	}
	want := map[string]string{
		"node": nodeName, "server": "[https://10.0.0.1:6443,https://10.0.0.2:6443]", "kubeconfig": "[/a,/b]", "bound": "3m0s",
	}
	if diff := cmp.Diff(want, got); diff != "" || c.args()[0] != cmd.Name() {
		t.Errorf("%v (-want +got):\n%s", c.args(), diff)
	}
}

func TestInstallWhereEtcCannotBeWritten(t *testing.T) {
	for name, dirs := range map[string][]string{
		"not mounted":     nil,
		"something there": {unitInEtc + "/directory"},
	} {
		t.Run(name, func(t *testing.T) {
			s, m := site(t, dirs...)
			if err := Install(t.Context(), m, s, settings()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"enable /var/lib/picket/picket-gate.service, changed"}, m.called()); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{unitInState: "# Written", agentOnHost: "version 1"}, files(t, s)); diff != "" {
				t.Errorf("on the host (-want +got):\n%s", diff)
			}
		})
	}
}

// A host whose /etc can be written later has one unit, not two.
func TestInstallMovesTheUnit(t *testing.T) {
	s, m := site(t)
	for range 2 {
		if err := Install(t.Context(), m, s, settings()); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(s.Root, "etc/systemd/system"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]string{unitInEtc: "# Written", agentOnHost: "version 1"}, files(t, s)); diff != "" {
		t.Errorf("on the host (-want +got):\n%s", diff)
	}
}

func TestInstallLeavesTheHostAlone(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name   string
		change func(*Site, *fakeManager, *Config)
		want   error
	}{
		{"no kubelet under systemd", func(_ *Site, m *fakeManager, _ *Config) { m.units = []string{"sshd.service"} }, ErrNoKubelet},
		{"systemd does not answer", func(_ *Site, m *fakeManager, _ *Config) { m.err = broken }, broken},
		{"bad settings", func(_ *Site, _ *fakeManager, c *Config) { c.Bound = 0 }, nil},
		{"a name that a unit file reads otherwise", func(_ *Site, _ *fakeManager, c *Config) { c.Node = "a b" }, nil},
		{"no binary", func(s *Site, _ *fakeManager, _ *Config) { s.Binary += "x" }, os.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, m := site(t, "etc/systemd/system")
			c := settings()
			test.change(&s, m, &c)
			err := Install(t.Context(), m, s, c)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if got := files(t, s); len(got) > 0 {
				t.Errorf("on the host: %v", got)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	for name, dirs := range map[string][]string{"from etc": {"etc/systemd/system"}, "from state": nil} {
		t.Run(name, func(t *testing.T) {
			s, m := site(t, dirs...)
			if err := Install(t.Context(), m, s, settings()); err != nil {
				t.Fatal(err)
			}
			other := filepath.Join(s.Root, s.State, "boots.json")
			writeFile(t, other, "[]")
			m.called()
			for _, calls := range [][]string{{"disable picket-gate.service"}, nil} {
				if err := Remove(t.Context(), m, s); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(calls, m.called()); diff != "" {
					t.Errorf("asked for (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(map[string]string{"var/lib/picket/boots.json": "[]"}, files(t, s)); diff != "" {
					t.Errorf("left on the host (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// Where the unit lies with the state, systemd's link to it has the name that the
// unit would have in /etc. It is one unit, and disabled once.
func TestRemoveOfALinkedUnit(t *testing.T) {
	s, m := site(t)
	if err := Install(t.Context(), m, s, settings()); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(s.Root, unitInEtc)
	if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink("/"+unitInState, link)); err != nil {
		t.Fatal(err)
	}
	m.called()
	if err := Remove(t.Context(), m, s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"disable picket-gate.service"}, m.called()); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if got := files(t, s); len(got) > 0 {
		t.Errorf("left on the host: %v", got)
	}
}

// In a pod of the DaemonSet the host's /etc is read-only: what systemd has removed
// there is gone, whatever such a file system says of it.
func TestRemoveWhereEtcIsReadOnly(t *testing.T) {
	s, m := site(t, "etc/systemd/system")
	etc := filepath.Join(s.Root, "etc")
	removed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its mounts
		err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount(etc, etc, "", unix.MS_BIND, "")
		}
		if err == nil {
			err = unix.Mount("", etc, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
		}
		if err != nil {
			removed <- fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
			return
		}
		removed <- errors.Join(Install(t.Context(), m, s, settings()), Remove(t.Context(), m, s))
	}()
	if err := <-removed; errors.Is(err, errors.ErrUnsupported) {
		t.Skip("needs a mount namespace, so root:", err)
	} else if err != nil {
		t.Error(err)
	}
	if got := files(t, s); len(got) > 0 {
		t.Errorf("left on the host: %v", got)
	}
}

// What systemd does not do must not keep the files on the host: without the
// binary, the unit does nothing.
func TestRemoveWithoutSystemd(t *testing.T) {
	s, m := site(t, "etc/systemd/system")
	if err := Install(t.Context(), m, s, settings()); err != nil {
		t.Fatal(err)
	}
	m.err = errors.New("broken")
	if err := Remove(t.Context(), m, s); !errors.Is(err, m.err) {
		t.Errorf("error %v", err)
	}
	if got := files(t, s); len(got) > 0 {
		t.Errorf("left on the host: %v", got)
	}
}
