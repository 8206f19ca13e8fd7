package stage

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/picket-dev/picket/test/cluster/kubelet"
	"github.com/picket-dev/picket/test/cluster/machine"
	"github.com/picket-dev/picket/test/cluster/proc"
)

// Options describe a cluster.
type Options struct {
	// Dir takes everything: keys, hosts, logs. It must be absolute and exist.
	Dir string
	// Nodes is their number, at most 200; they are named node-1 ….
	Nodes int
	// ControlPlaneNodes is how many of them, from node-1 on, carry the label
	// node-role.kubernetes.io/control-plane. The API server itself runs on no
	// node: cutting their power leaves it up.
	ControlPlaneNodes int
	// Zones spreads the nodes over that many failure domains, zone-1 …, in
	// turn; 0 sets no label.
	Zones int
	// Volumes is the number of volumes, each ReadWriteOnce.
	Volumes int
	// Commands returns what runs on a node in a boot: holder, agent. Nil runs
	// nothing but the kubelet.
	Commands func(*Node, machine.Boot) []proc.Command
	// Prepare, unless nil, is called when the control plane runs and all Nodes
	// exist, before the first machine boots: to apply manifests, make tokens,
	// write files.
	Prepare func(*Stage) error
	// Machine and Kubelet are the defaults of all nodes; names, directories
	// and connections are the stage's.
	Machine machine.Options
	Kubelet kubelet.Options
	// DetachTime is the time that the storage takes to attach or to detach.
	DetachTime time.Duration
	// Progress is told what takes longer than two seconds; nil says nothing.
	Progress io.Writer
	// Log takes the kubelets' logs; nil discards them.
	Log *slog.Logger
}

// Default is a cluster of five nodes, three of them with the control-plane
// role, in three zones, with ten volumes.
func Default() Options {
	return Options{
		Nodes:             5,
		ControlPlaneNodes: 3,
		Zones:             3,
		Volumes:           10,
		Machine:           machine.Default(),
		Kubelet:           kubelet.Default(),
		DetachTime:        100 * time.Millisecond,
	}
}

// Validate says what is missing.
func (o Options) Validate() error {
	switch {
	case o.Dir == "":
		return errors.New("stage: Dir is empty: give it a directory of its own")
	case o.Nodes < 1 || o.Nodes > 200:
		return fmt.Errorf("stage: %d nodes, want 1 to 200", o.Nodes)
	case o.ControlPlaneNodes < 0 || o.ControlPlaneNodes > o.Nodes:
		return fmt.Errorf("stage: %d control-plane nodes of %d", o.ControlPlaneNodes, o.Nodes)
	}
	return nil
}
