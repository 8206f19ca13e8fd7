package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// favourReady gives each machine its processor as soon as its Node is Ready in
// the boot that runs.
func (l *lab) favourReady() *follower {
	return follow(l.plane.Client().CoreV1().Nodes(),
		func(list *corev1.NodeList) []runtime.Object { return pointers(list.Items) },
		func(object runtime.Object, gone bool) {
			node, ok := object.(*corev1.Node)
			if !ok || gone {
				return
			}
			if n, err := l.node(node.Name); err == nil && isReady(node, n) == nil {
				n.Favour()
			}
		})
}
