package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/test/lab/ceph"
	"github.com/picket-dev/picket/test/lab/iscsi"
	"github.com/picket-dev/picket/test/lab/judge"
	"github.com/picket-dev/picket/test/lab/workload"
)

// A recipe says what a tenant's volume is made of: without more a file system on
// iSCSI, staged by the lab's CSI driver.
type recipe struct {
	tree      bool // the kubelet's own iSCSI instead of the driver
	block     bool // a raw device
	multipath bool // two portals
	luks      bool
	automatic bool // the node record logs in again after a boot
	deaf      bool // the session does not look whether its target is there
	image     bool // an RBD image instead of iSCSI

	retain bool    // the pod stays where its node is fenced
	beside *tenant // the volume is another unit of that tenant's target
}

// A tenant is a workload on a volume of its own, beside the lab's database, for
// one scenario.
type tenant struct {
	recipe
	name string
	lun  int // by which the judge knows the volume
	tid  int // of the target, 0 where there is none of its own
	iqn  string
	file string // the volume's backing file

	collector workload.Collector
	server    *http.Server
}

// Sizes of a tenant's volume, and of what it keeps dirty on it.
const (
	tenantSize  = 64 << 20
	tenantStain = 4 << 20
)

// settle makes a volume and runs a workload on it, which writes on the given node
// when settle returns: all others are closed to it meanwhile.
func (r *run) settle(ctx context.Context, n *node, name string, how recipe) (*tenant, error) {
	t := &tenant{recipe: how, name: name}
	r.tenants = append(r.tenants, t) // whatever becomes of it, it is evicted
	if err := r.serve(ctx, t); err != nil {
		return t, err
	}
	open, err := r.closeOthers(ctx, n)
	if err == nil {
		err = r.moveIn(ctx, t)
	}
	if err == nil {
		err = t.writesOn(ctx, n)
	}
	return t, errors.Join(err, open())
}

// writesOn waits until the tenant's newest writer is in the boot that a node runs.
func (t *tenant) writesOn(ctx context.Context, n *node) error {
	return eventually(ctx, 4*time.Minute, t.name+" to write on "+n.Name(), func(context.Context) error {
		newest, err := newestTenure(&t.collector)
		if boot, _ := n.On(); err == nil && newest.Boot != boot {
			err = fmt.Errorf("it wrote last in boot %.8s of %s", newest.Boot, newest.Node)
		}
		return err
	})
}

// closeOthers lets new pods come to one node alone, until open.
func (r *run) closeOthers(ctx context.Context, n *node) (open func() error, err error) {
	for _, other := range r.nodes {
		if other != n {
			err = errors.Join(err, r.cordon(ctx, other, true))
		}
	}
	return func() (err error) {
		for _, other := range r.nodes {
			err = errors.Join(err, r.cordon(context.WithoutCancel(ctx), other, false))
		}
		return err
	}, err
}

// serve makes the tenant's volume and its collector.
func (r *run) serve(ctx context.Context, t *tenant) (err error) {
	s := r.storage
	s.volumes++
	t.lun = volumeLUN + s.volumes
	if t.server, err = collect(ctx, &t.collector, t.collectorPort()); err != nil {
		return err
	}
	if t.image {
		if err := r.startCeph(ctx); err != nil {
			return err
		}
		return r.ceph.Create(ctx, t.name, tenantSize)
	}
	t.file = r.path(fmt.Sprintf("volume-%d", t.lun))
	if t.block || t.luks {
		err = iscsi.CreateBlank(t.file, tenantSize)
	} else {
		err = iscsi.CreateVolume(ctx, t.file, tenantSize)
	}
	switch {
	case err != nil:
	case t.beside != nil:
		t.iqn = t.beside.iqn
		err = s.target.AddUnit(ctx, t.beside.tid, t.lun, t.file)
	default:
		t.tid, t.iqn = t.lun, fmt.Sprintf("%s-%d", targetIQN, t.lun)
		err = s.target.Add(ctx, t.tid, t.iqn, map[int]string{t.lun: t.file})
	}
	return err
}

func (t *tenant) collectorPort() uint16 { return uint16(collectorPort + t.lun) }

// moveIn starts the tenant's workload.
func (r *run) moveIn(ctx context.Context, t *tenant) error {
	if !t.tree {
		if err := r.attach(ctx); err != nil {
			return err
		}
	}
	o := workload.DefaultOptions()
	o.Name, o.Image, o.Command = t.name, writerImage, "/writer"
	o.Collector, o.HostNetwork, o.Port = collectorURL(t.collectorPort()), true, 8080+t.lun
	o.LUN, o.Capacity, o.Stain = t.lun, "64Mi", tenantStain
	o.Block, o.Retain = t.block, t.retain
	if t.tree {
		o.Portal, o.IQN = portal(), t.iqn
	} else {
		o.Driver, o.Attributes = csiDriver, r.attributes(t)
	}
	manifests, err := workload.Manifests(o)
	if err != nil {
		return err
	}
	return r.plane.Apply(ctx, manifests)
}

// attributes are what the CSI driver is told.
func (l *lab) attributes(t *tenant) map[string]string {
	if t.image {
		return map[string]string{"monitor": l.ceph.Monitor(), "pool": ceph.Pool, "image": t.name, "user": ceph.User, "key": l.ceph.Key()}
	}
	a := map[string]string{"iqn": t.iqn, "lun": fmt.Sprint(t.lun), "portals": portal().String()}
	if t.multipath {
		a["portals"] += "," + secondPortal().String()
	}
	if t.luks {
		a["passphrase"] = "the lab's"
	}
	if t.automatic {
		a["startup"] = "automatic"
	}
	if t.deaf {
		a["deaf"] = "true"
	}
	return a
}

// evict ends the tenant's workload, and takes its volume away once no node has it
// any more.
func (r *run) evict(ctx context.Context, t *tenant) error {
	core, gone := r.plane.Client().CoreV1(), func(err error) error {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	namespace := metav1.NamespaceDefault
	err := errors.Join(
		gone(r.plane.Client().AppsV1().StatefulSets(namespace).Delete(ctx, t.name, metav1.DeleteOptions{})),
		gone(core.Services(namespace).Delete(ctx, t.name, metav1.DeleteOptions{})),
	)
	if err == nil {
		err = eventually(ctx, 2*time.Minute, t.name+" to be gone", func(ctx context.Context) error {
			_, err := core.Pods(namespace).Get(ctx, t.name+"-0", metav1.GetOptions{})
			if err == nil {
				return errors.New("its pod is there")
			}
			return gone(err)
		})
	}
	err = errors.Join(err,
		gone(core.PersistentVolumeClaims(namespace).Delete(ctx, "data-"+t.name+"-0", metav1.DeleteOptions{})),
		gone(core.PersistentVolumes().Delete(ctx, t.name, metav1.DeleteOptions{})))
	if !t.tree && err == nil {
		err = eventually(ctx, time.Minute, t.name+" to be detached", func(ctx context.Context) error {
			all, err := r.plane.Client().StorageV1().VolumeAttachments().List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			for _, a := range all.Items {
				if v := a.Spec.Source.PersistentVolumeName; v != nil && *v == t.name {
					return fmt.Errorf("%s is attached to %s", t.name, a.Spec.NodeName)
				}
			}
			return nil
		})
	}
	if t.server != nil {
		err = errors.Join(err, t.server.Close())
	}
	if t.image && r.ceph != nil {
		err = errors.Join(err, r.ceph.Remove(ctx, t.name))
	}
	if t.tid != 0 {
		err = errors.Join(err, r.storage.target.Remove(ctx, t.tid))
	}
	return err
}

// evictAll evicts the scenario's tenants, those that came last first, and takes
// away what was the nodes' own.
func (r *run) evictAll(ctx context.Context) error {
	var failed []error
	for _, t := range slices.Backward(r.tenants) {
		failed = append(failed, r.evict(ctx, t))
	}
	r.tenants = nil
	for lun := range r.own {
		failed = append(failed, r.storage.target.Remove(ctx, int(lun)))
	}
	return errors.Join(failed...)
}

// inspect reads back what lies on the tenant's volume. Behind LUKS nothing can be
// read from here: there the next writer's own look must do.
func (r *run) inspect(ctx context.Context, t *tenant) (records []workload.Record, stain map[string]int, err error) {
	switch {
	case t.luks:
		return nil, nil, nil
	case t.image && r.ceph == nil:
		return nil, nil, errors.New("it was never made: Ceph does not run")
	case !t.block && !t.image:
		return r.storage.inspect(ctx, t.file, true)
	}
	dir, err := os.MkdirTemp("", "picket-lab-volume-")
	if err != nil {
		return nil, nil, fmt.Errorf("inspect the volume: %w", err)
	}
	defer os.RemoveAll(dir)
	if t.image {
		file := filepath.Join(dir, t.name)
		if err := r.ceph.Export(ctx, t.name, file); err != nil {
			return nil, nil, err
		}
		image, err := iscsi.Mend(ctx, file)
		if err != nil {
			return nil, nil, err
		}
		return read(ctx, image, true)
	}
	copied, err := r.storage.target.Still(ctx, t.file, dir)
	if err != nil {
		return nil, nil, err
	}
	return readRaw(copied.Path())
}

// readRaw reads what the workload wrote on a raw device, of which this is a copy.
func readRaw(path string) (records []workload.Record, stain map[string]int, err error) {
	device, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer device.Close()
	contents, err := workload.ReadDevice(device)
	if err != nil {
		return nil, nil, fmt.Errorf("the workload's records: %w", err)
	}
	page := make([]byte, tenantStain)
	if _, err := device.ReadAt(page, workload.StainAt); err != nil {
		return nil, nil, err
	}
	stain, err = workload.Stains(bytes.NewReader(page))
	return contents.Records, stain, err
}

// judgeTenant judges what became of a tenant's records, and counts the pages of
// its stain that a boot other than the last writer's has written.
func (r *run) judgeTenant(ctx context.Context, t *tenant) (judge.Verdict, error) {
	tenures := t.collector.Tenures() // before the file, which holds at least these
	records, stain, err := r.inspect(ctx, t)
	v := judge.Judge(judge.Evidence{Since: r.began, Tenures: tenures, Records: records})
	if err != nil {
		return v, fmt.Errorf("inspect the volume of %s: %w", t.name, err)
	}
	newest, err := newestTenure(&t.collector)
	if err != nil {
		return v, fmt.Errorf("%s: %w", t.name, err)
	}
	if !t.luks && stain[newest.Boot] == 0 {
		return v, fmt.Errorf("the volume of %s has no page of boot %q, which has claimed them all", t.name, newest.Boot)
	}
	for boot, pages := range stain {
		if boot != newest.Boot {
			v.Late += pages
			v.Findings = append(v.Findings, judge.Finding{Kind: judge.TwoWriters, What: fmt.Sprintf(
				"%d pages of the stain of %s carry the mark of boot %q, though boot %s has claimed them all", pages, t.name, boot, newest.Boot)})
		}
	}
	return v, nil
}
