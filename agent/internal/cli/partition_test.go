package cli

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The document that shows a partition, screen by screen, has each command: all but
// the live screen, which is status, peers, matrix and why, and the one that changes
// the agent.
func TestThePartitionShowsEachCommand(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/PARTITION.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Commands("v") {
		shown := strings.Contains(string(text), "\n$ picket-agent "+c.Name())
		if want := !slices.Contains([]string{"top", "rotate-key"}, c.Name()); shown != want {
			t.Errorf("%s is shown: %v, want %v", c.Name(), shown, want)
		}
	}
}
