package attached

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/picket-dev/picket/agent/teardown"
)

// A Source reads from the API server.
type Source interface {
	// Get reads an object or a list, consistently, and decodes it. found is false
	// where the API server says that there is no such object.
	Get(ctx context.Context, path string, query map[string]string, into any) (found bool, err error)
}

// A Reader asks what is attached to one node.
type Reader struct {
	node string
	from Source
}

// NewReader returns a Reader for the node of that name.
func NewReader(node string, from Source) *Reader { return &Reader{node: node, from: from} }

// A Fence is the last one of the node that came to its end; the zero Fence is none.
type Fence struct {
	// Boot is the boot that was fenced.
	Boot string
	// Same says that it is the one that runs.
	Same bool
}

// over reports whether there was a fence, and a later boot runs.
func (f Fence) over() bool { return f.Boot != "" && !f.Same }

// An Answer is what the API says of the node's volumes.
type Answer struct {
	teardown.Attachments
	// Moving says that Kubernetes has not finished taking the node's volumes away:
	// nothing that was found is for good.
	Moving bool
	// Names are those of pods, namespace/name, by the UIDs that the host may know.
	Names map[string]string
}

const (
	// page is how many objects one list brings at most.
	page = "500"
	// pages bounds a list: half a million PersistentVolumes.
	pages = 1000
	// abreast is how many questions are asked at a time.
	abreast = 4
)

// Read asks what a plan over the inventory, and nothing else, needs to know. Where
// a question is not answered, Known is unset and Why says which.
func (r *Reader) Read(ctx context.Context, inv teardown.Inventory, f Fence) Answer {
	s := search{
		Reader: r, fence: f, query: teardown.Ask(inv), drivers: make(map[string]bool),
		attached: make(map[teardown.Handle]attachment), sources: make(map[teardown.Handle]volume),
	}
	for _, step := range []func(context.Context) error{
		s.readNode, s.readPods, s.readNamed, s.readDrivers, s.readOthers, s.readDrivers, s.readAttachments, s.readSources,
	} {
		if err := step(ctx); err != nil {
			return Answer{Attachments: teardown.Attachments{Why: err.Error()}, Names: s.names()}
		}
	}
	return s.answer()
}

// A search is one Read under way.
type search struct {
	*Reader
	fence Fence
	query teardown.Query

	mu       sync.Mutex // of what several questions at a time fill in
	node     node
	pods     []pod
	volumes  []volume
	drivers  map[string]bool // whether an attachment decides where their volumes are
	attached map[teardown.Handle]attachment
	sources  map[teardown.Handle]volume // what only VolumeAttachments name
}

func (s *search) readNode(ctx context.Context) error {
	path := "/api/v1/nodes/" + s.Reader.node
	found, err := s.from.Get(ctx, path, nil, &s.node)
	if err == nil && (!found || s.node.Metadata.Name != s.Reader.node) {
		err = fmt.Errorf("there is no Node %s", s.Reader.node)
	}
	return err
}

func (s *search) readPods(ctx context.Context) error {
	query := map[string]string{"fieldSelector": "spec.nodeName=" + s.Reader.node}
	return each(ctx, s.from, "/api/v1/pods", query, func(p pod) {
		if p.Spec.NodeName == s.Reader.node {
			s.pods = append(s.pods, p)
		}
	})
}

// readNamed reads the PersistentVolumes that the host names. A name that is none
// is a pod's own for a volume.
func (s *search) readNamed(ctx context.Context) error {
	return abreastEach(ctx, s.query.PVs, func(ctx context.Context, name string) error {
		if !isName(name) {
			return nil
		}
		var v volume
		found, err := s.from.Get(ctx, "/api/v1/persistentvolumes/"+url.PathEscape(name), nil, &v)
		if err != nil || !found || v.Metadata.Name != name {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.volumes = append(s.volumes, v)
		return nil
	})
}

// readOthers searches all PersistentVolumes, where the host has a device that
// nothing else explains, or a volume of which only that tells whose it is.
func (s *search) readOthers(ctx context.Context) error {
	nameless := s.nameless()
	if !s.query.Search && len(nameless) == 0 {
		return nil
	}
	known := make(map[string]bool)
	for _, v := range s.volumes {
		known[v.Metadata.Name] = true
	}
	return each(ctx, s.from, "/api/v1/persistentvolumes", nil, func(v volume) {
		if !known[v.Metadata.Name] && (nameless[v.handle()] || s.query.Search && s.query.Concerns(v.identity())) {
			s.volumes = append(s.volumes, v)
		}
	})
}

// nameless returns the volumes that nothing attaches, and that metadata name without
// a PersistentVolume: so the kubelet leaves one that it has staged until it mounts
// it for the pod. Then only the pod's claim tells that it is the pod's.
func (s *search) nameless() map[teardown.Handle]bool {
	all := make(map[teardown.Handle]bool)
	if !s.unaccounted() {
		return all
	}
	for _, h := range s.query.Volumes {
		all[h] = !s.drivers[h.Driver]
	}
	for i := range s.volumes {
		delete(all, s.volumes[i].handle())
	}
	maps.DeleteFunc(all, func(_ teardown.Handle, attachesNothing bool) bool { return !attachesNothing })
	return all
}

// unaccounted reports whether, after a fence, a pod here has a claim of none of the
// PersistentVolumes that are known.
func (s *search) unaccounted() bool {
	claimed := make(map[string]bool)
	for i := range s.volumes {
		claimed[s.volumes[i].claim()] = true
	}
	return s.fence.over() && slices.ContainsFunc(s.pods, func(p pod) bool {
		return p.stays() && slices.ContainsFunc(p.claims(), func(c string) bool { return !claimed[c] })
	})
}

// handles returns all CSI volumes that matter: those that the Node has attached,
// that PersistentVolumes are, and that metadata on the host name.
func (s *search) handles() map[teardown.Handle]bool {
	all := make(map[teardown.Handle]bool)
	for _, v := range s.node.Status.VolumesAttached {
		if h, ok := handleOf(v.Name); ok {
			all[h] = true
		}
	}
	for _, v := range s.volumes {
		if v.Spec.CSI != nil {
			all[v.handle()] = true
		}
	}
	for _, h := range s.query.Volumes {
		all[h] = true
	}
	return all
}

// readDrivers finds out which drivers attach their volumes. One that has no
// CSIDriver does.
func (s *search) readDrivers(ctx context.Context) error {
	names := make(map[string]bool)
	for h := range s.handles() {
		if _, known := s.drivers[h.Driver]; !known {
			names[h.Driver] = true
		}
	}
	return abreastEach(ctx, keys(names), func(ctx context.Context, name string) error {
		var d driver
		found, err := s.from.Get(ctx, "/apis/storage.k8s.io/v1/csidrivers/"+url.PathEscape(name), nil, &d)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.drivers[name] = !found || d.Spec.AttachRequired == nil || *d.Spec.AttachRequired
		return nil
	})
}

// readAttachments reads the VolumeAttachment of each volume to this node, whose
// name follows from the two.
func (s *search) readAttachments(ctx context.Context) error {
	all := s.handles()
	for h := range all {
		if !s.drivers[h.Driver] {
			delete(all, h)
		}
	}
	return abreastEach(ctx, keys(all), func(ctx context.Context, h teardown.Handle) error {
		var a attachment
		found, err := s.from.Get(ctx, "/apis/storage.k8s.io/v1/volumeattachments/"+attachmentName(h, s.Reader.node), nil, &a)
		if err != nil || !found || a.Spec.NodeName != s.Reader.node || a.Spec.Attacher != h.Driver {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.attached[h] = a
		return nil
	})
}

// readSources reads, after a fence, the PersistentVolumes that only VolumeAttachments
// name: their claims tell whether a pod here has a use for the attachment.
func (s *search) readSources(ctx context.Context) error {
	if !s.fence.over() {
		return nil
	}
	named := maps.Clone(s.attached)
	for i := range s.volumes {
		delete(named, s.volumes[i].handle())
	}
	return abreastEach(ctx, keys(named), func(ctx context.Context, h teardown.Handle) error {
		name := named[h].Spec.Source.PersistentVolumeName
		if !isName(name) {
			return nil
		}
		var v volume
		found, err := s.from.Get(ctx, "/api/v1/persistentvolumes/"+url.PathEscape(name), nil, &v)
		if err != nil || !found || v.Metadata.Name != name || v.Spec.CSI != nil && v.handle() != h {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.sources[h] = v
		return nil
	})
}

// each reads a list page by page.
func each[T any](ctx context.Context, from Source, path string, query map[string]string, take func(T)) error {
	ask := map[string]string{"limit": page}
	maps.Copy(ask, query)
	for range pages {
		var l list[T]
		found, err := from.Get(ctx, path, ask, &l)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("the API has no %s", path)
		}
		for _, item := range l.Items {
			take(item)
		}
		if l.Metadata.Continue == "" {
			return nil
		}
		ask["continue"] = l.Metadata.Continue
	}
	return fmt.Errorf("list %s: it has no end", path)
}

// abreastEach asks for each of them, a few at a time.
func abreastEach[T any](ctx context.Context, all []T, ask func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(abreast)
	for _, one := range all {
		g.Go(func() error { return ask(ctx, one) })
	}
	return g.Wait()
}

func keys[K comparable, V any](m map[K]V) []K {
	all := make([]K, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	return all
}
