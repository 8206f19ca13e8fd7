package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/controller/plan"
)

const (
	// reasonFenced is why a pod is not ready.
	reasonFenced = "NodeFenced"
	// patchers is how many pods of one node are patched at once.
	patchers = 8
)

// silencePods makes the endpoints of a withheld node's pods drop, half a minute
// before Kubernetes would, and lets pods that are to stay tolerate our taints.
// It tries every pod, and returns what went wrong with some.
func (a *API) silencePods(ctx context.Context, x plan.SilencePods) error {
	pods, err := a.podsOn(ctx, x.Node)
	if err != nil {
		return err
	}
	errs := make([]error, len(pods))
	var all errgroup.Group
	all.SetLimit(patchers)
	for i := range pods {
		all.Go(func() error {
			errs[i] = a.silencePod(ctx, &pods[i], x)
			return nil
		})
	}
	_ = all.Wait() // the errors are in errs
	return errors.Join(errs...)
}

func (a *API) silencePod(ctx context.Context, p *corev1.Pod, x plan.SilencePods) error {
	if ready := readyOf(p); ready != nil && ready.Status == corev1.ConditionTrue && !x.KeepReady {
		patched, err := a.patchPod(ctx, p, "status", map[string]any{"conditions": a.unready(p, x.Fence)})
		if err != nil {
			return err
		}
		p = patched
	}
	if missing := missingTolerations(p); retained(p) && len(missing) > 0 {
		_, err := a.patchPod(ctx, p, "spec", map[string]any{"tolerations": slices.Concat(missing, p.Spec.Tolerations)})
		return err
	}
	return nil
}

// unready returns the conditions of a pod with Ready=False.
func (a *API) unready(p *corev1.Pod, fence string) []corev1.PodCondition {
	conditions := slices.Clone(p.Status.Conditions)
	for i := range conditions {
		if c := &conditions[i]; c.Type == corev1.PodReady {
			c.Status = corev1.ConditionFalse
			c.Reason = reasonFenced
			c.Message = "Picket withholds this node's right to run (fence " + fence + ")"
			c.LastTransitionTime = metav1.NewTime(a.cfg.Wall())
		}
	}
	return conditions
}

func readyOf(p *corev1.Pod) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if c := &p.Status.Conditions[i]; c.Type == corev1.PodReady {
			return c
		}
	}
	return nil
}

// missingTolerations returns those of our two taints' tolerations that the pod
// lacks, or has only behind one that ends. An empty effect stands for every effect.
func missingTolerations(p *corev1.Pod) []corev1.Toleration {
	if _, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return nil // the API lets nobody change it, and the kubelet keeps it anyway
	}
	var missing []corev1.Toleration
	for _, key := range []string{plan.QuarantineKey, corev1.TaintNodeOutOfService} {
		if !endures(p, key) {
			missing = append(missing, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists})
		}
	}
	return missing
}

// patchPod changes one part of a pod, spec or status, if the pod is still as it
// was read.
func (a *API) patchPod(ctx context.Context, p *corev1.Pod, part string, change map[string]any) (*corev1.Pod, error) {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": p.UID, "resourceVersion": p.ResourceVersion},
		part:       change,
	})
	if err != nil {
		return nil, err
	}
	var subresources []string
	if part == "status" {
		subresources = []string{part}
	}
	got, err := a.cfg.Kube.CoreV1().Pods(p.Namespace).
		Patch(ctx, p.Name, types.MergePatchType, body, metav1.PatchOptions{}, subresources...)
	switch {
	case gone(err):
		return p, nil // it needs nothing any more
	case err != nil:
		return nil, fmt.Errorf("patch %s of pod %s/%s: %w", part, p.Namespace, p.Name, conflictOr(err))
	}
	return got, nil
}
