package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/picket-dev/picket/test/cluster/proc"
	"github.com/picket-dev/picket/test/lab/ceph"
	"github.com/picket-dev/picket/test/lab/network"
)

// csiDriver is the name of the lab's CSI driver, whose node side is package csi.
const csiDriver = "lab.picket.dev"

// attach starts the driver's controller side, once: the external-attacher of the
// cluster's Kubernetes release, so that VolumeAttachments are what they are
// elsewhere, and the cluster tests' controller, which refuses nothing.
func (l *lab) attach(ctx context.Context) error {
	if l.attacher != nil {
		return nil
	}
	object := fmt.Sprintf(`
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: %s}
spec: {attachRequired: true, podInfoOnMount: false, fsGroupPolicy: None}
`, csiDriver)
	if err := l.plane.Apply(ctx, []byte(object)); err != nil {
		return fmt.Errorf("start the CSI driver: %w", err)
	}
	socket := l.path("csi.sock")
	if err := os.RemoveAll(socket); err != nil {
		return fmt.Errorf("start the CSI driver: %w", err)
	}
	for name, args := range map[string][]string{
		"csi-driver":   {"--name=" + csiDriver, "--socket=" + socket},
		"csi-attacher": {"--csi-address=" + socket, "--kubeconfig=" + l.plane.Kubeconfig(), "--v=2"},
	} {
		p, err := proc.Start(proc.Command{
			Name: name, Argv: append([]string{filepath.Join(l.opts.Built.ControlPlane, name)}, args...), Log: l.path(name + ".log"),
		})
		if err != nil {
			return err
		}
		l.attacher = append(l.attacher, p)
	}
	return nil
}

// startCeph starts a Ceph on the storage's network, once.
func (l *lab) startCeph(ctx context.Context) (err error) {
	if l.ceph == nil {
		l.ceph, err = ceph.Start(ctx, ceph.Config{
			Dir: l.path("ceph"), Addr: network.Storage.Addr(network.Host), Network: network.Storage.Prefix(),
		})
	}
	return err
}
