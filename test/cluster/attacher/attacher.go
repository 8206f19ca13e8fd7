package attacher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/proc"
)

const (
	// Driver is the CSI driver's name.
	Driver = "disk.picket.test"
	// StorageClass is the class of all volumes.
	StorageClass = "lab"
)

// Options describe the storage of a cluster.
type Options struct {
	Plane *controlplane.Plane
	// Binaries is the directory that controlplane.Binaries returned.
	Binaries string
	// Dir takes the logs; the driver's, csi-driver.log, has one line per call.
	Dir string
	// Volumes is the number of volumes, vol-1 …, each ReadWriteOnce.
	Volumes int
	// Delay is the time that the storage takes to attach or to detach.
	Delay time.Duration
}

// Attacher is a running driver with its attacher.
type Attacher struct {
	driver, attacher *proc.Process
	sockets          string
}

// Start makes the driver's objects and starts its processes. The caller must
// call Stop.
func Start(ctx context.Context, o Options) (*Attacher, error) {
	if err := o.Plane.Apply(ctx, []byte(manifests(o.Volumes))); err != nil {
		return nil, fmt.Errorf("set up storage: %w", err)
	}
	// Not below Dir: a socket's path is limited to 107 bytes.
	sockets, err := os.MkdirTemp("", "picket-csi-")
	if err != nil {
		return nil, fmt.Errorf("set up storage: %w", err)
	}
	a := &Attacher{sockets: sockets}
	if err := a.start(o); err != nil {
		return nil, errors.Join(err, a.Stop())
	}
	return a, nil
}

func (a *Attacher) start(o Options) (err error) {
	socket := filepath.Join(a.sockets, "csi.sock")
	a.driver, err = proc.Start(proc.Command{
		Name: "csi-driver",
		Argv: []string{filepath.Join(o.Binaries, "csi-driver"), "--name=" + Driver, "--socket=" + socket, "--delay=" + o.Delay.String()},
		Log:  filepath.Join(o.Dir, "csi-driver.log"),
	})
	if err != nil {
		return err
	}
	a.attacher, err = proc.Start(proc.Command{
		Name: "csi-attacher",
		// The attacher waits for the socket by itself.
		Argv: []string{filepath.Join(o.Binaries, "csi-attacher"), "--csi-address=" + socket, "--kubeconfig=" + o.Plane.Kubeconfig(), "--v=2"},
		Log:  filepath.Join(o.Dir, "csi-attacher.log"),
	})
	return err
}

// Process is the external-attacher, for scenarios that stop it.
func (a *Attacher) Process() *proc.Process { return a.attacher }

// Stop ends the processes.
func (a *Attacher) Stop() error {
	for _, p := range []*proc.Process{a.attacher, a.driver} {
		if p != nil {
			p.KillGroup()
		}
	}
	if err := os.RemoveAll(a.sockets); err != nil {
		return fmt.Errorf("remove the CSI socket: %w", err)
	}
	return nil
}

// manifests are the driver's objects. Volumes are made in advance and bind at
// once: provisioning is not what these tests are about.
func manifests(volumes int) string {
	var text strings.Builder
	fmt.Fprintf(&text, `
apiVersion: storage.k8s.io/v1
kind: CSIDriver
metadata: {name: %s}
spec: {attachRequired: true, podInfoOnMount: false}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: %s}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: Immediate
`, Driver, StorageClass)
	for i := 1; i <= volumes; i++ {
		fmt.Fprintf(&text, `---
apiVersion: v1
kind: PersistentVolume
metadata: {name: vol-%d}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: %s
  csi: {driver: %s, volumeHandle: vol-%d}
`, i, StorageClass, Driver, i)
	}
	return text.String()
}
