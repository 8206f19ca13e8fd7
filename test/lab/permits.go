package main

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/picket-dev/picket/test/cluster/rawclock"
	"github.com/picket-dev/picket/test/lab/judge"
)

// labelLUN is the pods' label with the number of their volume.
const labelLUN = "lab.picket.dev/lun"

// permits record since when which node may use which volume: since a pod of a
// workload, which names it by a label, was bound there.
type permits struct {
	client kubernetes.Interface
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	bound map[types.UID]bool
	all   []judge.Permit
}

func watchPermits(client kubernetes.Interface) *permits {
	ctx, cancel := context.WithCancel(context.Background())
	p := &permits{client: client, cancel: cancel, ended: make(chan struct{}), bound: make(map[types.UID]bool)}
	go func() {
		defer close(p.ended)
		for ctx.Err() == nil {
			p.follow(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return p
}

func (p *permits) stop() {
	p.cancel()
	<-p.ended
}

// follow lists and watches until the watch ends.
func (p *permits) follow(ctx context.Context) {
	pods, selector := p.client.CoreV1().Pods(metav1.NamespaceDefault), metav1.ListOptions{LabelSelector: labelLUN}
	list, err := pods.List(ctx, selector)
	if err != nil {
		return
	}
	for i := range list.Items {
		p.saw(&list.Items[i])
	}
	selector.ResourceVersion = list.ResourceVersion
	stream, err := pods.Watch(ctx, selector)
	if err != nil {
		return
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			return
		}
		p.saw(pod)
	}
}

// saw notes a pod once, when it is bound.
func (p *permits) saw(pod *corev1.Pod) {
	now := rawclock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	lun, err := strconv.ParseUint(pod.Labels[labelLUN], 10, 16)
	if err != nil || pod.Spec.NodeName == "" || p.bound[pod.UID] {
		return
	}
	p.bound[pod.UID] = true
	p.all = append(p.all, judge.Permit{Node: pod.Spec.NodeName, LUN: uint16(lun), From: now})
}

// allow notes that the node itself may use a volume from now on.
func (p *permits) allow(node string, lun uint16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, judge.Permit{Node: node, LUN: lun, From: rawclock.Now()})
}

// seen returns all permits so far.
func (p *permits) seen() []judge.Permit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}
