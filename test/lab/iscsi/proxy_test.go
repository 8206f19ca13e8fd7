package iscsi

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/picket-dev/picket/test/cluster/proc"
)

func TestMain(m *testing.M) {
	// The goroutine that starts processes lasts as long as the program.
	first, err := proc.Start(proc.Command{Name: "true", Argv: []string{"true"}})
	if err != nil {
		panic(err)
	}
	first.KillGroup()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

func TestRefusalsAreKept(t *testing.T) {
	target := listen(t)
	defer target.Close()
	_, p := startProxy(t, target.Addr().String())
	i := &initiator{t: t}
	conn, err := dialer(p.cfg.Listener.Addr().String())(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	i.conn = conn
	i.send(write10(1, 1, 0, 1, make([]byte, 512)))
	if _, err := i.receive(); err == nil {
		t.Error("the connection was answered")
	}
	if err := p.Refused(); err == nil || !strings.Contains(err.Error(), "before the login") {
		t.Errorf("refused: %v", err)
	}
}

func TestEvidenceIsNotOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "writes.jsonl")
	l, err := CreateLog(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := l.record(Write{Kind: Command, Initiator: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.record(Write{}); err == nil {
		t.Error("a closed log records")
	}
	if _, err := CreateLog(path); err == nil {
		t.Error("the log was made anew")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(content), "\n")
	for name, damaged := range map[string]string{
		"a line is missing": lines[0] + lines[2],
		"a line is cut":     lines[0] + lines[1][:20],
	} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLog(path); err == nil {
			t.Errorf("%s, and the log is read all the same", name)
		}
	}
}

func TestRedirectRules(t *testing.T) {
	got := RedirectRules(13260, netip.MustParseAddrPort("10.9.0.1:3260"))
	if !strings.Contains(got, "ip daddr 10.9.0.1 tcp dport 3260 redirect to :13260\n") {
		t.Error(got)
	}
}
