package gate

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// Only bad usage fails: the kubelet starts whatever the gate found.
func TestCommand(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, test := range []struct {
		name string
		args []string
		want string // in the error, or in the log if there is to be none
		bad  bool
	}{
		{"nothing to ask with", []string{"--kubeconfig", none}, "reason=CannotAsk", false},
		{"unknown flag", []string{"--bounds", "3m"}, "unknown flag", true},
		{"argument", []string{"worker-1"}, "unknown command", true},
		{"no time", []string{"--bound", "0s"}, "bound > 0", true},
		{"no number", []string{"--bound", "three"}, "invalid argument", true},
		{"relative kubeconfig", []string{"--kubeconfig", "kubelet.conf"}, "not an absolute path", true},
		{"no kubeconfig", []string{"--kubeconfig", ""}, "no kubeconfig", true},
		{"server without a scheme", []string{"--server", "10.0.0.1:6443"}, "is no URL", true},
		{"path as a name", []string{"--node", "a/b"}, "is no name of a node", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			cmd := Command()
			cmd.SetArgs(test.args)
			cmd.SetErr(&log)
			cmd.SetOut(&log)
			err := cmd.ExecuteContext(t.Context())
			if (err != nil) != test.bad {
				t.Fatalf("error %v", err)
			}
			said := log.String()
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, test.want) {
				t.Errorf("said %q, want %q in it", said, test.want)
			}
		})
	}
}
