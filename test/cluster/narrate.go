package main

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/test/cluster/stage"
)

var listAll = metav1.ListOptions{}

// narrate prints what the cluster itself shows, as it happens: each fence's
// timeline with its rule numbers, each taint, each change of a node's phase.
func (r *run) narrate(ctx context.Context) {
	steps := make(map[string]int)
	phases := make(map[string]string)
	taints := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		if r.closed.Load() {
			return
		}
		for _, e := range r.Taints.Events()[taints:] {
			taints++
			r.sayTaint(e)
		}
		if fences, err := r.Client.NodeFences.List(ctx, listAll); err == nil {
			for _, f := range fences.Items {
				for _, s := range f.Status.Timeline[min(steps[f.Name], len(f.Status.Timeline)):] {
					r.say("%-3s fence of %s: %s", s.Rule, f.Status.Node, s.What)
				}
				steps[f.Name] = len(f.Status.Timeline)
			}
		}
		if guards, err := r.Client.NodeGuards.List(ctx, listAll); err == nil {
			for _, g := range guards.Items {
				word := g.Status.Phase + " " + g.Status.Reason
				if phases[g.Name] != word && g.Status.Phase != "" {
					r.say("    %s is %s", g.Name, word)
				}
				phases[g.Name] = word
			}
		}
	}
}

func (r *run) sayTaint(e stage.TaintEvent) {
	verb := "lost"
	if e.Added {
		verb = "got"
	}
	r.say("    %s %s the taint %s", e.Node, verb, e.Taint.ToString())
}
