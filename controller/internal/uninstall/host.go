package uninstall

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/kube"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// awaitHosts waits until no node is armed and every agent has cleaned its host.
func (u *run) awaitHosts(ctx context.Context) error {
	said := make(map[string]bool)
	return u.await(ctx, func(ctx context.Context) (string, error) {
		all, err := u.look(ctx)
		if err != nil {
			return "", err
		}
		late := u.late()
		var armed, waits []string
		for name := range all.nodes { // a guard without a node is nobody's
			h := all.host(name)
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
		if len(armed) > 0 {
			u.since = time.Now()
		}
		left := fmt.Sprintf("%d of %d nodes are done", len(all.nodes)-len(armed)-len(waits), len(all.nodes))
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

// A census is what the API says of all nodes, each by name.
type census struct {
	nodes  map[string]*corev1.Node
	guards map[string]*v1alpha1.NodeGuard
	dead   map[string]string // the boot that was fenced to the end
}

// look reads all nodes.
func (u *run) look(ctx context.Context) (census, error) {
	c := census{map[string]*corev1.Node{}, map[string]*v1alpha1.NodeGuard{}, map[string]string{}}
	nodes, err := u.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return c, fmt.Errorf("list nodes: %w", err)
	}
	guards, err := u.Picket.NodeGuards.List(ctx, metav1.ListOptions{})
	if err != nil {
		return c, fmt.Errorf("list nodeguards: %w", err)
	}
	fences, err := u.Picket.NodeFences.List(ctx, metav1.ListOptions{})
	if err != nil {
		return c, fmt.Errorf("list nodefences: %w", err)
	}
	for i := range nodes.Items {
		c.nodes[nodes.Items[i].Name] = &nodes.Items[i]
	}
	for i := range guards.Items {
		c.guards[guards.Items[i].Name] = &guards.Items[i]
	}
	for _, f := range fences.Items {
		if f.Status.Phase == v1alpha1.FenceFenced || f.Status.Phase == v1alpha1.FenceDetached {
			c.dead[f.Status.Node] = f.Status.BootID
		}
	}
	return c, nil
}

// host returns the host of that name; one whose Node is gone is not ready.
func (c census) host(name string) host {
	h := host{name: name, guard: c.guards[name], dead: c.dead[name]}
	if n := c.nodes[name]; n != nil {
		h.boot = n.Status.NodeInfo.BootID
		h.ready = slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
	}
	return h
}

// A state is how far a host is.
type state int

const (
	unknown    state = iota
	clean            // nothing of Picket's is on it
	leftBehind       // it is not armed, or dead; something may be left on it
	waiting          // its agent is at work, or has yet to begin
	stillArmed       // it resets when it hears no roll any more
)

// judge says how far the host is, and for people why. late says that patience is
// at its end.
func (h host) judge(late bool) (state, string) {
	if h.guard == nil || h.guard.Status.BootID == "" {
		if h.ready && h.unclean() != "" {
			return waiting, h.unclean()
		}
		return clean, "" // no agent has ever spoken here
	}
	s := h.guard.Status
	switch {
	case s.BootID == h.dead && !h.ready:
		return leftBehind, "was fenced and is off; what is on its disk stays: see deploy/README.md"
	case s.BootID == h.dead && h.unclean() != "":
		return waiting, h.unclean()
	case gated(s) && !h.ready:
		return stillArmed, "and NotReady: bring it back, or switch it off and delete its Node"
	case gated(s) && s.BootID != h.boot:
		return stillArmed, "in boot " + s.BootID + ", and the kubelet names another: its agent has not spoken since"
	case gated(s) && h.guard.Spec.Unarmed == "":
		return stillArmed, "and its agent was not told to leave: does the controller run, and is the policy's mode still Uninstall?"
	case gated(s):
		return stillArmed, "asked to leave"
	case h.unclean() != "": // however late it is, and whatever else it says (A14)
		return waiting, h.unclean()
	case s.Reason == v1alpha1.ReasonUninstalled:
		return clean, ""
	case s.Reason == v1alpha1.ReasonHolderStays:
		return leftBehind, s.Message
	case late:
		return leftBehind, fmt.Sprintf("is not armed, and its agent (version %q, %s) has not cleaned the host: see deploy/README.md", s.Version, s.Reason)
	}
	return waiting, s.Phase
}

// gated reports whether the boot may live by rolls: it publishes that it is unarmed
// before it becomes it, and arms before it says so. The controller lets no agent
// leave before either (A13).
func gated(s v1alpha1.NodeGuardStatus) bool { return s.Promise.Armed || kube.Gated(s.Phase) }

// unclean says what keeps the host from its rejoin, or nothing: a boot of it was
// fenced, and nobody has said since that no moved volume is left there. Its
// quarantine must stay for as long.
func (h host) unclean() string {
	fenced, found := h.dead, v1alpha1.Storage{}
	if h.guard != nil {
		// The fence knows first; the guard still does where it was deleted by hand.
		fenced, found = cmp.Or(fenced, h.guard.Spec.FencedBoot), h.guard.Status.Storage
	}
	if fenced == "" || found.State == v1alpha1.StorageClean && found.FencedBoot == fenced {
		return ""
	}
	said := cmp.Or(found.State, v1alpha1.StorageUnknown)
	if found.Message != "" {
		said += ": " + found.Message
	}
	return "was fenced, and its agent has not said since that no volume that has moved is left there (storage " + said +
		"); if that does not end, reboot it, or switch it off and delete its Node"
}
