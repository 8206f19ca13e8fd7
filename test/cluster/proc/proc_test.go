package proc

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperEnv makes the test binary play a harness that dies without cleaning up.
const helperEnv = "PROC_TEST_HARNESS"

func TestMain(m *testing.M) {
	if file := os.Getenv(helperEnv); file != "" {
		dieWithChildren(file)
	}
	os.Exit(m.Run())
}

// dieWithChildren starts a child that starts a grandchild, waits for the PIDs
// of both in file, reports and kills itself.
func dieWithChildren(file string) {
	script := "sleep 300 & echo $$ $! >" + file + ".tmp; mv " + file + ".tmp " + file + "; wait"
	if _, err := Start(Command{Name: "tree", Argv: []string{"/bin/sh", "-c", script}}); err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(file); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	os.Stdout.WriteString("ready\n")
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func TestNothingOutlivesAKilledHarness(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pids")
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), helperEnv+"="+file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("harness said %q: %v", line, err)
	}
	_ = cmd.Wait()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for field := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, "process "+field+" to end", func() bool { return gone(pid) })
	}
}

func TestKillGroupEndsGrandchildren(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	p, err := Start(Command{Name: "tree", Argv: []string{"/bin/sh", "-c", "sleep 300 & echo $! >" + file + "; wait"}})
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	waitFor(t, "the grandchild", func() bool {
		text, _ := os.ReadFile(file)
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil
	})
	p.KillGroup()
	waitFor(t, "the grandchild's end", func() bool { return gone(pid) })
	if err := p.Signal(syscall.SIGCONT); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to an ended child: %v, want ErrProcessDone", err)
	}
}

func TestJoinGroup(t *testing.T) {
	leader, err := Start(Command{Name: "leader", Argv: []string{"sleep", "300"}})
	if err != nil {
		t.Fatal(err)
	}
	member, err := Start(Command{Name: "member", Argv: []string{"sleep", "300"}, Group: leader.Group()})
	if err != nil {
		t.Fatal(err)
	}
	leader.KillGroup()
	select {
	case <-member.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("member outlived its group")
	}
}

func TestStopKillsWhatIgnoresSIGTERM(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ready")
	p, err := Start(Command{Name: "deaf", Argv: []string{"/bin/sh", "-c", "trap '' TERM; touch " + file + "; while :; do sleep 1; done"}})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the trap", func() bool { _, err := os.Stat(file); return err == nil })
	if err := p.Stop(context.Background(), 50*time.Millisecond); err == nil {
		t.Error("stop of a deaf child reported no error")
	}
	if p.State() == nil {
		t.Error("still running after Stop")
	}
}

// gone reports that a process has ended; a zombie counts, its parent may be
// slow to reap.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 10 s", what)
		}
	}
}
