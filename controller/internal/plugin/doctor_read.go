package plugin

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/doctor"
	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

const (
	// pageSize is how many objects are asked for at a time.
	pageSize = 500
	// rollReads is how often the Roll is read: several API servers behind one
	// address answer in turns.
	rollReads = 5
)

// An examiner reads what a doctor judges. What may not be read becomes a gap.
type examiner struct {
	*connection
	options *options

	mu    sync.Mutex
	facts *doctor.Facts
}

// facts reads the cluster, all kinds at the same time. It is an error only if the
// API server cannot be asked.
func (c *connection) facts(ctx context.Context, o *options) (*doctor.Facts, error) {
	x := &examiner{connection: c, options: o, facts: &doctor.Facts{Cluster: c.host, Namespace: o.namespace, Kubelets: make(map[string]doctor.Kubelet)}}
	if err := x.picketItself(ctx); err != nil {
		return nil, err
	}
	var all errgroup.Group
	for _, r := range x.reads() {
		all.Go(func() error { return x.gap(r.kind, r.needs, r.read(ctx)) })
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	return x.facts, nil
}

// gap notes a read that was refused, or that this API server does not know.
func (x *examiner) gap(kind, needs string, err error) error {
	if err == nil {
		return nil
	}
	var why string
	switch {
	case apierrors.IsForbidden(err):
		why = "you may not"
	case apierrors.IsNotFound(err):
		why = "this API server does not serve them"
	default:
		var status apierrors.APIStatus
		if !errors.As(err, &status) || apierrors.IsUnauthorized(err) {
			return err
		}
		why = err.Error()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.facts.Gaps = append(x.facts.Gaps, doctor.Gap{Kind: kind, Needs: needs, Why: why})
	return nil
}

// picketItself reads how Picket stands, and then the Roll again and again: what an
// agent had acknowledged before must be in it.
func (x *examiner) picketItself(ctx context.Context) error {
	s, err := x.read(ctx, x.options, fences|policy|leader)
	switch {
	case err == nil:
		x.facts.Installed = true
	case errors.Is(err, errNotInstalled), apierrors.IsForbidden(err):
		if err := x.without(ctx, err); err != nil {
			return err
		}
		return nil
	default:
		return err
	}
	for _, g := range s.Gaps {
		needs := map[string]string{view.KindNodes: "list nodes", view.KindLeases: "get leases in " + x.options.namespace}[g.Kind]
		x.facts.Gaps = append(x.facts.Gaps, doctor.Gap{Kind: g.Kind, Needs: needs, Why: "you may not"})
	}
	x.facts.Snapshot = s
	for range rollReads {
		r, err := x.picket.Rolls.Get(ctx, v1alpha1.RollName)
		if apierrors.IsNotFound(err) {
			return nil // the witnesses' check says so
		}
		if err != nil {
			return err
		}
		x.facts.Reads = append(x.facts.Reads, *r)
	}
	return nil
}

// without reads the nodes alone, where Picket's own objects cannot be had.
func (x *examiner) without(ctx context.Context, why error) error {
	x.facts.Snapshot = &view.Snapshot{Domains: x.options.domains}
	if !errors.Is(why, errNotInstalled) {
		x.facts.Installed = true
		if err := x.gap(doctor.ReadGuards, "list nodeguards.picket.dev, nodefences.picket.dev, and get rolls and fencingpolicies", why); err != nil {
			return err
		}
	}
	list, err := x.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err == nil {
		x.facts.Snapshot.Nodes = list.Items
	}
	return x.gap(doctor.ReadNodes, "list nodes", err)
}

// A kindRead reads one kind.
type kindRead struct {
	kind, needs string
	read        func(context.Context) error
}

// reads are those of everything but Picket's own state. Each writes fields of its
// own.
func (x *examiner) reads() []kindRead {
	f := x.facts
	return []kindRead{
		{doctor.ReadVersion, "get /version", func(context.Context) error {
			v, err := x.kube.Discovery().ServerVersion()
			if err == nil {
				f.Server = v.GitVersion
			}
			return err
		}},
		{doctor.ReadPods, "list pods in all namespaces", x.readPods},
		{doctor.ReadVolumes, "list persistentvolumes", func(ctx context.Context) error {
			return pages(func(o metav1.ListOptions) (string, error) {
				list, err := x.kube.CoreV1().PersistentVolumes().List(ctx, o)
				if err != nil {
					return "", err
				}
				f.Volumes = append(f.Volumes, list.Items...)
				return list.Continue, nil
			})
		}},
		{doctor.ReadDrivers, "list csidrivers.storage.k8s.io", func(ctx context.Context) error {
			list, err := x.kube.StorageV1().CSIDrivers().List(ctx, metav1.ListOptions{})
			if err == nil {
				f.Drivers = list.Items
			}
			return err
		}},
		{doctor.ReadWebhooks, "list validatingwebhookconfigurations and mutatingwebhookconfigurations", x.readWebhooks},
		{doctor.ReadSlices, "list endpointslices.discovery.k8s.io in all namespaces", func(ctx context.Context) error {
			return pages(func(o metav1.ListOptions) (string, error) {
				list, err := x.kube.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).List(ctx, o)
				if err != nil {
					return "", err
				}
				f.Slices = append(f.Slices, list.Items...)
				return list.Continue, nil
			})
		}},
		{doctor.ReadNamespaces, "list namespaces", func(ctx context.Context) error {
			list, err := x.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
			if err == nil {
				f.Namespaces = list.Items
			}
			return err
		}},
		{doctor.ReadDaemonSets, "list daemonsets.apps in all namespaces", func(ctx context.Context) error {
			list, err := x.kube.AppsV1().DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
			if err == nil {
				f.DaemonSets = list.Items
			}
			return err
		}},
		{doctor.ReadDeployment, "list deployments.apps in " + x.options.namespace, func(ctx context.Context) error {
			list, err := x.kube.AppsV1().Deployments(x.options.namespace).List(ctx, metav1.ListOptions{})
			if err == nil {
				f.Deployments = list.Items
			}
			return err
		}},
		{doctor.ReadObjects, "list customresourcedefinitions, validatingadmissionpolicies and their bindings, flowschemas, prioritylevelconfigurations", x.readObjects},
		{doctor.ReadKubelets, "get nodes/proxy", x.readKubelets},
	}
}

// pages lists page by page: a big cluster has many pods.
func pages(list func(metav1.ListOptions) (next string, err error)) error {
	o := metav1.ListOptions{Limit: pageSize}
	for {
		next, err := list(o)
		if err != nil || next == "" {
			return err
		}
		o.Continue = next
	}
}

// readPods keeps of each pod what is judged.
func (x *examiner) readPods(ctx context.Context) error {
	return pages(func(o metav1.ListOptions) (string, error) {
		list, err := x.kube.CoreV1().Pods(metav1.NamespaceAll).List(ctx, o)
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			if p := &list.Items[i]; p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
				x.facts.Pods = append(x.facts.Pods, podOf(p))
			}
		}
		return list.Continue, nil
	})
}
