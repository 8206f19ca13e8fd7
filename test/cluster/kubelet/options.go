package kubelet

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"

	"github.com/picket-dev/picket/test/cluster/disk"
)

// Options describe the kubelet of one node.
type Options struct {
	// Node is the node's name.
	Node string
	// Addr is the node's InternalIP.
	Addr netip.Addr
	// Labels are added to those that every node has. The API server refuses
	// labels that a kubelet may not set.
	Labels map[string]string
	// Config has the node's own credentials and its own way to the API.
	Config *rest.Config
	// Driver is the CSI driver that is installed on the node; empty for none.
	Driver string
	// Disks take the writes of the pods.
	Disks *disk.Disks
	// LeaseEvery is the interval of the Lease's renewals; a kubelet's is 10 s.
	LeaseEvery time.Duration
	// StatusEvery is the interval of status posts beside those on change; a
	// kubelet's is 10 s.
	StatusEvery time.Duration
	// WriteEvery is the interval of a pod's writes to each volume.
	WriteEvery time.Duration
	// MountTime is the time from "attached" to the pod's first write.
	MountTime time.Duration
	// Log may be nil.
	Log *slog.Logger
}

// Default has a real kubelet's intervals, and pods that write 50 times a
// second.
func Default() Options {
	return Options{
		LeaseEvery:  10 * time.Second,
		StatusEvery: 10 * time.Second,
		WriteEvery:  20 * time.Millisecond,
		MountTime:   100 * time.Millisecond,
	}
}

// Validate says what is missing.
func (o Options) Validate() error {
	switch {
	case o.Node == "":
		return errors.New("kubelet: Node is empty")
	case o.Config == nil:
		return errors.New("kubelet: Config is nil: give it the node's own credentials")
	case o.Disks == nil:
		return errors.New("kubelet: Disks is nil")
	case o.LeaseEvery <= 0 || o.StatusEvery <= 0 || o.WriteEvery <= 0:
		return errors.New("kubelet: an interval is not positive: begin with kubelet.Default()")
	}
	return nil
}
