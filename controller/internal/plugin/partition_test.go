package plugin

import (
	"os"
	"strings"
	"testing"
)

// The document that shows a partition, screen by screen, has each command.
func TestThePartitionShowsEachCommand(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/PARTITION.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Command(Env{Getenv: os.Getenv}).Commands() {
		if c.Name() != "completion" && !strings.Contains(string(text), "\n$ kubectl picket "+c.Name()) {
			t.Errorf("%s is not shown", c.Name())
		}
	}
}
