package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The binary that nodes run must not know how to simulate a device, nor take
// the keys of one that does.
func TestProductionBinary(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "picket-holder")
	build := exec.Command("go", "build", "-ldflags", "-X main.version=v9.8.7", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, simulated := range []string{"PKTWDOG1", "resetGroup", "testDevice"} {
		if bytes.Contains(program, []byte(simulated)) {
			t.Errorf("the binary contains %q", simulated)
		}
	}
	m := newMachine(t) // only for its files: the configuration is refused
	cfg := m.writeConfig()
	empty := m.path("empty")
	if err := os.WriteFile(empty, []byte(`{}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--version"}, 0, "v9.8.7\n"},
		{[]string{"--help"}, 0, "usage: picket-holder --config FILE"},
		{nil, 1, "write --config FILE"},
		{[]string{"--config", cfg}, 1, `unknown field "resetGroup"`},
		{[]string{"--config", empty}, 1, "device is empty"},
		{[]string{"--config", m.path("missing")}, 1, "read configuration"},
	} {
		cmd := exec.Command(path, c.args...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != c.code || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: exit code %d and %q; want %d and %q", c.args, code, out, c.code, c.want)
		}
	}
}

// The holder's memory is locked, so it must be small.
func TestMemory(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Second, in(time.Minute)))
	for range 2000 {
		m.ok(c.Extend(t.Context(), in(time.Minute)))
	}
	s := m.ok(c.Status(t.Context()))
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.holder.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("RSS %d KiB, locked %v, real time %v, unkillable %v", kib, s.Locked, s.RealTime, s.Unkillable)
	if kib > 10<<10 {
		t.Errorf("RSS %d KiB, budget 10 MiB", kib)
	}
}
