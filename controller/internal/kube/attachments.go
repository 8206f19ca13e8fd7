package kube

import (
	"context"
	"errors"
	"sync"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"
)

// attachments lists VolumeAttachments, of which the API cannot select those of
// a node. Whoever asks before a list has begun shares it, so that a hundred
// fences at once cost one list and not a hundred.
type attachments struct {
	list func(ctx context.Context) (map[string][]attachment, error)
	turn chan struct{} // holds a value while a list runs

	mu   sync.Mutex
	next *listing // not begun yet
}

// An attachment is what matters of a VolumeAttachment.
type attachment struct{ name, pv string }

type listing struct {
	done   chan struct{}
	byNode map[string][]attachment
	err    error
}

func newAttachments(kube kubernetes.Interface) *attachments {
	return &attachments{
		list: func(ctx context.Context) (map[string][]attachment, error) { return listAttachments(ctx, kube) },
		turn: make(chan struct{}, 1),
	}
}

// of returns the attachments of a node, from a consistent list that began after
// the call.
func (a *attachments) of(ctx context.Context, node string) ([]attachment, error) {
	for {
		a.mu.Lock()
		l, mine := a.next, a.next == nil
		if mine {
			l = &listing{done: make(chan struct{})}
			a.next = l
		}
		a.mu.Unlock()
		if mine {
			a.run(ctx, l)
		}
		select {
		case <-l.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if !mine && ctx.Err() == nil && (errors.Is(l.err, context.Canceled) || errors.Is(l.err, context.DeadlineExceeded)) {
			continue // the time of whoever ran the list was over, ours is not
		}
		return l.byNode[node], l.err
	}
}

// run waits for its turn, closes l to those who come later, and lists.
func (a *attachments) run(ctx context.Context, l *listing) {
	defer close(l.done)
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		l.err = ctx.Err()
	}
	a.mu.Lock()
	a.next = nil
	a.mu.Unlock()
	if l.err == nil {
		l.byNode, l.err = a.list(ctx)
	}
}

// listAttachments reads all VolumeAttachments in pages of one consistent list.
func listAttachments(ctx context.Context, kube kubernetes.Interface) (map[string][]attachment, error) {
	byNode := make(map[string][]attachment)
	all := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return kube.StorageV1().VolumeAttachments().List(ctx, o)
	})
	err := all.EachListItem(ctx, metav1.ListOptions{}, func(obj runtime.Object) error {
		va, ok := obj.(*storagev1.VolumeAttachment)
		if !ok {
			return errors.New("the list of volumeattachments holds something else")
		}
		at := attachment{name: va.Name}
		if pv := va.Spec.Source.PersistentVolumeName; pv != nil {
			at.pv = *pv
		}
		byNode[va.Spec.NodeName] = append(byNode[va.Spec.NodeName], at)
		return nil
	})
	return byNode, err
}
