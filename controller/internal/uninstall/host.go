package uninstall

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// awaitHosts waits until no node is armed and every agent has cleaned its host.
func (u *run) awaitHosts(ctx context.Context) error {
	said := make(map[string]bool)
	return u.await(ctx, func(ctx context.Context) (string, error) {
		hosts, err := u.hosts(ctx)
		if err != nil {
			return "", err
		}
		late := u.late()
		var armed, waits []string
		for _, h := range hosts {
			state, note := h.judge(late)
			switch state {
			case unknown, clean:
			case leftBehind:
				if !said[h.name] {
					u.say("  %s: %s", h.name, note)
					said[h.name] = true
				}
			case waiting:
				waits = append(waits, h.name+" ("+note+")")
			case stillArmed:
				armed = append(armed, h.name+" ("+note+")")
			}
		}
		if len(armed)+len(waits) == 0 {
			return "", nil
		}
		left := fmt.Sprintf("%d of %d nodes are done", len(hosts)-len(armed)-len(waits), len(hosts))
		if len(waits) > 0 {
			left += "; cleaning " + some(waits)
		}
		if len(armed) > 0 {
			left += "; armed: " + some(armed)
		}
		return left, nil
	})
}

// some names the first few.
func some(all []string) string {
	slices.Sort(all)
	const most = 5
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}

// A host is a node with what its agent says of it.
type host struct {
	name, boot string // the boot that runs, by the kubelet's word
	ready      bool
	guard      *v1alpha1.NodeGuard // nil: there is none
	dead       string              // the boot that was fenced to the end, if any
}

// hosts reads all nodes. A guard without a node is nobody's.
func (u *run) hosts(ctx context.Context) ([]host, error) {
	nodes, err := u.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	guards, err := u.Picket.NodeGuards.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodeguards: %w", err)
	}
	fences, err := u.Picket.NodeFences.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodefences: %w", err)
	}
	byName := make(map[string]*v1alpha1.NodeGuard)
	for i := range guards.Items {
		byName[guards.Items[i].Name] = &guards.Items[i]
	}
	dead := make(map[string]string)
	for _, f := range fences.Items {
		if f.Status.Phase == v1alpha1.FenceFenced || f.Status.Phase == v1alpha1.FenceDetached {
			dead[f.Status.Node] = f.Status.BootID
		}
	}
	var all []host
	for _, n := range nodes.Items {
		h := host{name: n.Name, boot: n.Status.NodeInfo.BootID, guard: byName[n.Name], dead: dead[n.Name]}
		h.ready = slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
		all = append(all, h)
	}
	return all, nil
}

// A state is how far a host is.
type state int

const (
	unknown    state = iota
	clean            // nothing of Picket's is on it
	leftBehind       // it is not armed, or dead; something may be left on it
	waiting          // it is not armed, and its agent is at work
	stillArmed       // it resets when it hears no roll any more
)

// judge says how far the host is, and for people why. late says that patience is
// at its end.
func (h host) judge(late bool) (state, string) {
	if h.guard == nil || h.guard.Status.BootID == "" {
		return clean, "" // no agent has ever spoken here
	}
	s := h.guard.Status
	switch {
	case s.Promise.Armed && s.BootID == h.dead:
		return leftBehind, "was fenced and is off; what is on its disk stays: see deploy/README.md"
	case s.Promise.Armed && !h.ready:
		return stillArmed, "and NotReady: bring it back, or switch it off and delete its Node"
	case s.Promise.Armed && s.BootID != h.boot:
		return stillArmed, "in boot " + s.BootID + ", and the kubelet names another: its agent has not spoken since"
	case s.Promise.Armed:
		return stillArmed, "asked to leave"
	case s.Reason == v1alpha1.ReasonUninstalled:
		return clean, ""
	case s.Reason == v1alpha1.ReasonHolderStays:
		return leftBehind, s.Message
	case late:
		return leftBehind, fmt.Sprintf("is not armed, and its agent (version %q, %s) has not cleaned the host: see deploy/README.md", s.Version, s.Reason)
	}
	return waiting, s.Phase
}
