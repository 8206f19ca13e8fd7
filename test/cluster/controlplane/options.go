package controlplane

import (
	"errors"
	"fmt"
	"net/netip"
)

// Options says where a control plane runs and for whom.
type Options struct {
	// Dir takes keys, data and logs. It must exist and be private to this
	// control plane.
	Dir string
	// Binaries is the directory that Binaries returned.
	Binaries string
	// Addr is the address that all servers listen on: a loopback address, unless
	// Exposed.
	Addr netip.Addr
	// Exposed allows any address: for a control plane in a network namespace of
	// its own, whose nodes are virtual machines.
	Exposed bool
	// Jobs has Jobs run: where kubelets end their pods.
	Jobs bool
	// Nodes are the names that get a kubelet's token (user system:node:NAME,
	// group system:nodes). The node authorizer and the NodeRestriction
	// admission plugin apply to them, as on a real cluster.
	Nodes []string
}

// Default is a control plane on 127.0.0.1 without nodes; Dir and Binaries are
// the caller's.
func Default() Options {
	return Options{Addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}
}

// Validate says what is missing.
func (o Options) Validate() error {
	switch {
	case o.Dir == "":
		return errors.New("control plane: Dir is empty: give it a directory of its own")
	case o.Binaries == "":
		return errors.New("control plane: Binaries is empty: give it the result of controlplane.Binaries")
	case !o.Exposed && !o.Addr.IsLoopback():
		return fmt.Errorf("control plane: address %s is not a loopback address", o.Addr)
	}
	return nil
}
