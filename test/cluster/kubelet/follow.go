package kubelet

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// followNode keeps s.node at what the API says of the own Node.
func (s *session) followNode(ctx context.Context) {
	nodes := s.client.CoreV1().Nodes()
	selector := fields.OneTermEqualSelector("metadata.name", s.opts.Node).String()
	list := func(ctx context.Context) (string, error) {
		found, err := nodes.List(ctx, metav1.ListOptions{FieldSelector: selector, ResourceVersion: "0"})
		if err != nil {
			return "", err
		}
		for i := range found.Items {
			s.sawNode(&found.Items[i])
		}
		return found.ResourceVersion, nil
	}
	s.follow(ctx, "node", list, func(ctx context.Context, from string) (watch.Interface, error) {
		return nodes.Watch(ctx, metav1.ListOptions{FieldSelector: selector, ResourceVersion: from})
	})
}

// followPods keeps s.pods at the pods that are bound to the node. A kubelet
// lists from the API server's cache (resourceVersion 0), and so does this one.
func (s *session) followPods(ctx context.Context) {
	pods := s.client.CoreV1().Pods(metav1.NamespaceAll)
	selector := fields.OneTermEqualSelector("spec.nodeName", s.opts.Node).String()
	list := func(ctx context.Context) (string, error) {
		found, err := pods.List(ctx, metav1.ListOptions{FieldSelector: selector, ResourceVersion: "0"})
		if err != nil {
			return "", err
		}
		s.sawPods(found.Items)
		return found.ResourceVersion, nil
	}
	s.follow(ctx, "pods", list, func(ctx context.Context, from string) (watch.Interface, error) {
		return pods.Watch(ctx, metav1.ListOptions{FieldSelector: selector, ResourceVersion: from})
	})
}

// follow lists, watches from there, and begins again when the watch ends.
func (s *session) follow(ctx context.Context, what string,
	list func(context.Context) (string, error), open func(context.Context, string) (watch.Interface, error)) {
	for s.alive(ctx) {
		var from string
		err := s.call(ctx, func(ctx context.Context) (err error) { from, err = list(ctx); return err })
		if err == nil {
			err = s.watch(ctx, from, open)
		}
		if ctx.Err() == nil {
			s.log.Info("watch ended, listing again", "of", what, "error", err)
			sleep(ctx, retryAfter)
		}
	}
}

func (s *session) watch(ctx context.Context, from string, open func(context.Context, string) (watch.Interface, error)) error {
	stream, err := open(ctx, from)
	if err != nil {
		return err
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		if !s.alive(ctx) {
			return ctx.Err()
		}
		switch object := event.Object.(type) {
		case *corev1.Node:
			if event.Type != watch.Deleted { // a kubelet does not miss its Node
				s.sawNode(object)
			}
		case *corev1.Pod:
			s.sawPod(object, event.Type == watch.Deleted)
		default:
			return fmt.Errorf("watch: %s event with %T", event.Type, event.Object)
		}
	}
	return nil
}

func (s *session) sawNode(node *corev1.Node) {
	s.mu.Lock()
	s.node = node
	s.mu.Unlock()
	s.changed()
}

func (s *session) sawPod(pod *corev1.Pod, gone bool) {
	s.mu.Lock()
	if gone {
		delete(s.pods, pod.UID)
	} else {
		s.pods[pod.UID] = pod
	}
	s.mu.Unlock()
	s.changed()
}

func (s *session) sawPods(pods []corev1.Pod) {
	s.mu.Lock()
	s.podsSeen = true
	s.pods = make(map[types.UID]*corev1.Pod, len(pods))
	for i := range pods {
		s.pods[pods[i].UID] = &pods[i]
	}
	s.mu.Unlock()
	s.changed()
}
