package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"

	"github.com/picket-dev/picket/test/lab/network"
	"github.com/picket-dev/picket/test/lab/seed"
	"github.com/picket-dev/picket/test/lab/vm"
)

// A node is a virtual machine with its place in the cluster.
type node struct {
	*vm.Machine
	number int // from 1
}

func nodeName(number int) string { return fmt.Sprintf("node-%d", number) }

// addr is the node's address on a network.
func (n *node) addr(side network.Side) netip.Addr { return side.Addr(byte(10 + n.number)) }

// newNode makes a node's disk and machine, which is off.
func (l *lab) newNode(ctx context.Context, number int) (*node, error) {
	n := &node{number: number}
	name := nodeName(number)
	kubeconfig := l.path(name + ".kubeconfig")
	if err := l.plane.WriteKubeconfig(kubeconfig, l.plane.URL(), l.plane.NodeToken(name)); err != nil {
		return nil, err
	}
	id := newID()
	files, err := seed.Node{
		Name: name, MachineID: hex.EncodeToString(id[:]),
		Cluster: n.addr(network.Cluster), ClusterMAC: network.Cluster.MAC(number),
		Storage: n.addr(network.Storage), StorageMAC: network.Storage.MAC(number),
		ClusterHost: network.Cluster.Addr(network.Host),
		ServiceCIDR: netip.PrefixFrom(serviceAddr().Addr(), 24).Masked(),
		PodSubnet:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(number), 0}), 24),
		Pause:       pauseImage,
		Kubelet:     l.opts.Built.Kubelet, Guest: l.opts.Built.Guest, CSI: l.opts.Built.CSI, Kubeconfig: kubeconfig,
		Images: l.opts.Built.Images,
	}.Files()
	if err != nil {
		return nil, err
	}
	disk := l.path(name + ".disk")
	if err := l.opts.Built.Base.Disk(ctx, disk, files); err != nil {
		return nil, err
	}
	uuid := newID()
	n.Machine = vm.New(vm.Options{
		Name: name, Dir: l.opts.Dir, Disk: disk, Memory: l.opts.Memory,
		Kernel: l.opts.Built.Base.Kernel, Initrd: l.opts.Built.Base.Initrd,
		UUID: fmt.Sprintf("%x-%x-%x-%x-%x", uuid[:4], uuid[4:6], uuid[6:8], uuid[8:10], uuid[10:]),
		Cards: []vm.Card{
			{Tap: network.Cluster.Tap(number), MAC: network.Cluster.MAC(number)},
			{Tap: network.Storage.Tap(number), MAC: network.Storage.MAC(number)},
		},
		Notify: l.machineEvent,
	})
	return n, nil
}

// newID is a random UUID of version 4, of which a machine ID is one form.
func newID() (b [16]byte) {
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return b
}
