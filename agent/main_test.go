package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/grpclog"
	"k8s.io/klog/v2"
)

// TestMain plays picket-agent when the test program is started as one.
func TestMain(m *testing.M) {
	if os.Getenv("PICKET_TEST_AGENT") != "" {
		main()
	}
	os.Exit(m.Run())
}

// A worker that ends while nobody reads its log must be gone, or its supervisor never
// starts another.
func TestTheEndDoesNotWaitForTheLog(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	fd := int(in.Fd())
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until it is full
		_, err = unix.Write(fd, make([]byte, 4096))
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	endsByItself(ctx, t, in)
}

// A log whose reader is gone, with its runtime's shim, is lost; the agent is not.
func TestNobodyIsLeftToReadTheLog(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	endsByItself(t.Context(), t, in)
}

// endsByItself runs an agent without a configuration, which says so on stderr, and
// expects it to exit.
func endsByItself(ctx context.Context, t *testing.T, stderr *os.File) {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0], "run", "--worker", "--config", "/nowhere/agent.yaml")
	cmd.Env, cmd.Stderr = append(os.Environ(), "PICKET_TEST_AGENT=1"), stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() <= 0 {
		t.Errorf("it ended with %v, want an exit code", err)
	}
}

// Whatever logs, a library as well, hands its lines to the log that is given, which
// waits for nobody.
func TestLibrariesLogWithTheAgent(t *testing.T) {
	var lines strings.Builder
	if _, err := logger(&lines, "info"); err != nil {
		t.Fatal(err)
	}
	for name, say := range map[string]func(){
		"slog": func() { slog.Error("of slog") },
		"klog": func() { klog.Error("of klog") },
		"grpc": func() { grpclog.Error("of grpc") },
	} {
		if say(); !strings.Contains(lines.String(), "of "+name) {
			t.Errorf("%s goes its own way; the log has %q", name, lines.String())
		}
	}
}
