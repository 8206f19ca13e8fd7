package bench

import (
	"fmt"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/fleet"
	"github.com/picket-dev/picket/test/cluster/stage"
)

// startFleet starts a cluster of real processes under the standard profile and
// waits until all nodes are armed. It ends with the benchmark.
func startFleet(b *testing.B, nodes int) *fleet.Fleet {
	b.Helper()
	bin, err := build()
	if err != nil {
		b.Fatal(err)
	}
	o := stage.Default()
	o.Dir, o.Progress = b.TempDir(), os.Stderr
	o.Nodes, o.ControlPlaneNodes = nodes, 0
	f := &fleet.Fleet{
		Dir: o.Dir, Bin: bin, PetDelay: timing.Standard().PetDelay,
		Policy: v1alpha1.FencingPolicySpec{Mode: v1alpha1.Enforce, Profile: "standard"},
	}
	if err := f.Start(b.Context(), o); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		f.Stop()
		if err := f.Close(); err != nil {
			b.Error(err)
		}
	})
	eventually(b, fmt.Sprintf("%d armed nodes", nodes), func() error { return allArmed(b, f) })
	return f
}

// allArmed returns an error unless every node has published that it is armed.
func allArmed(b *testing.B, f *fleet.Fleet) error {
	guards, err := f.Client.NodeGuards.List(b.Context(), metav1.ListOptions{})
	if err != nil {
		return err
	}
	armed := 0
	for _, g := range guards.Items {
		if g.Status.Promise.Armed {
			armed++
		}
	}
	if armed != len(f.Nodes) {
		return fmt.Errorf("%d of %d nodes are armed", armed, len(f.Nodes))
	}
	return nil
}

// processes are those of one node.
type processes struct{ supervisor, worker, holder int }

func processesOf(b *testing.B, n *stage.Node) processes {
	b.Helper()
	agent, err := n.Machine.Process("agent")
	if err != nil {
		b.Fatal(err)
	}
	below, err := agent.Descendants()
	if err != nil || len(below) != 1 {
		b.Fatalf("workers of %s: %v, %v", n.Name, below, err)
	}
	holder, err := n.Machine.Process("holder")
	if err != nil {
		b.Fatal(err)
	}
	return processes{supervisor: agent.PID(), worker: below[0], holder: holder.PID()}
}
