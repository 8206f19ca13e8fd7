package cli

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// agent answers like a running agent.
type agent struct {
	peerv1.UnimplementedAdminServer
	status *peerv1.StatusReply
	test   func(begin bool) (*peerv1.SelfTestReply, error)
	keys   func(begin bool) (*peerv1.RotateKeyReply, error)
}

func (a agent) RotateKey(_ context.Context, r *peerv1.RotateKeyRequest) (*peerv1.RotateKeyReply, error) {
	return a.keys(r.GetBegin())
}

func (a agent) SelfTest(_ context.Context, r *peerv1.SelfTestRequest) (*peerv1.SelfTestReply, error) {
	return a.test(r.GetBegin())
}

func (a agent) Status(context.Context, *peerv1.StatusRequest) (*peerv1.StatusReply, error) {
	return a.status, nil
}

// serve runs the agent in a directory of its own and returns that.
func serve(t *testing.T, a peerv1.AdminServer) string {
	t.Helper()
	dir := place(t)
	listener, err := net.Listen("unix", filepath.Join(dir, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	peerv1.RegisterAdminServer(server, a)
	go func() { _ = server.Serve(listener) }() // ends with Stop
	t.Cleanup(server.Stop)
	return dir
}

// place returns a new directory.
func place(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cli") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// call runs a command and returns what it printed, and its exit code.
func call(t *testing.T, args ...string) (string, int) {
	t.Helper()
	root := &cobra.Command{Use: "picket-agent", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Commands("v0.3.0")...)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), 0
	}
	return out.String() + "\nError: " + err.Error() + "\n", ExitCode(err)
}

// fits fails for a line that is wider than the screen.
func fits(t *testing.T, text string, width int) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > width {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestScreens(t *testing.T) {
	codes := map[string][2]int{ // of status, and of peers and matrix
		"fine": {0, 0}, "rack-cut": {exitDegraded, exitDegraded}, "outage": {exitDegraded, exitDegraded},
		"isolated": {exitCounting, exitDegraded}, "one-way": {exitDegraded, exitDegraded},
		"unarmed": {exitDegraded, 0}, "fresh": {exitDegraded, 0},
	}
	for name, status := range nodes() {
		run := serve(t, agent{status: status})
		for _, columns := range []struct {
			text  string
			width int
		}{{"80", 80}, {"120", 120}} {
			for command, code := range map[string]int{
				"status": codes[name][0], "peers": codes[name][1], "matrix": codes[name][1], "why": 0,
			} {
				if command == "why" && name != "fine" && name != "rack-cut" && name != "fresh" {
					continue // as fine
				}
				t.Run(command+"-"+name+"-"+columns.text, func(t *testing.T) {
					t.Setenv("COLUMNS", columns.text)
					out, got := call(t, command, "--run", run)
					if got != code {
						t.Errorf("exit code %d, want %d", got, code)
					}
					if strings.Contains(out, "\x1b") {
						t.Error("colour without a terminal")
					}
					shown, _, _ := strings.Cut(out, "\nError: ")
					fits(t, shown, columns.width)
					golden(t, command+"-"+name+"-"+columns.text, out)
				})
			}
		}
	}
}

func TestOutputs(t *testing.T) {
	for _, tt := range []struct {
		node, args string
		code       int
	}{
		{"fine", "status -o json", 0},
		{"fine", "status -o yaml", 0},
		{"fine", "status -o wide", 0},
		{"one-way", "peers -o wide", exitDegraded},
		{"fine", "peers -o yaml", 0},
		{"fine", "why -o json", 0},
		{"rack-cut", "matrix --by subnet", exitDegraded},
		{"rack-cut", "matrix --by rack", exitDegraded},
		{"rack-cut", "matrix --by zone", exitDegraded},
		{"rack-cut", "matrix --by name=^(r[0-9]+)-", exitDegraded},
		{"rack-cut", "matrix -o wide", exitDegraded},
		{"rack-cut", "matrix -o json", exitDegraded},
	} {
		t.Run(tt.args, func(t *testing.T) {
			out, code := call(t, append(strings.Fields(tt.args), "--run", serve(t, agent{status: nodes()[tt.node]}))...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			name := strings.NewReplacer(" --by ", "-by-", " -o ", "-o-", "=^(r[0-9]+)-", "").Replace(tt.args)
			golden(t, "output-"+name, out)
		})
	}
}

func TestFlagsAreChecked(t *testing.T) {
	run := serve(t, agent{status: armed()})
	for _, tt := range []struct{ args, says string }{
		{"status -o xml", "use table, wide, json or yaml"},
		{"watchdog self-test -o xml", "use table, wide, json or yaml"},
		{"matrix --by row", "NAME=REGEXP"},
		{"matrix --by rack=(", "missing closing"},
		{"why -n -1", "0 for all"},
		{"top", "top needs a terminal"},
	} {
		out, code := call(t, append(strings.Fields(tt.args), "--run", run)...)
		if code != exitFailed || !strings.Contains(out, tt.says) {
			t.Errorf("%s: exit code %d, %s; want %q", tt.args, code, out, tt.says)
		}
	}
}

// Every command shows how it is used.
func TestHelp(t *testing.T) {
	var walk func([]*cobra.Command)
	walk = func(all []*cobra.Command) {
		for _, c := range all {
			if c.Example == "" || c.Short == "" || c.Long == "" {
				t.Errorf("%s: no example, or no description", c.CommandPath())
			}
			walk(c.Commands())
		}
	}
	walk(Commands("v0.3.0"))
}

func TestCompletion(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"sta", "status"},
		{"status -o ", "yaml"},
		{"matrix --by ", "subnet"},
	} {
		words := strings.Split(tt.args, " ")
		out, code := call(t, append([]string{cobra.ShellCompNoDescRequestCmd}, words...)...)
		if code != 0 || !strings.Contains(out, tt.want+"\n") {
			t.Errorf("%q: exit code %d, %s; want %s", tt.args, code, out, tt.want)
		}
	}
}
