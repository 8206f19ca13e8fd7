package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/picket-dev/picket/deploy"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// force is `kubectl delete --force --grace-period=0`.
var force = metav1.DeleteOptions{GracePeriodSeconds: new(int64)}

// kept are what picket-keep protects, as resources of the API.
func kept(resource string) (schema.GroupVersionResource, string) {
	switch resource {
	case "namespaces":
		return schema.GroupVersionResource{Version: "v1", Resource: resource}, ""
	case "serviceaccounts":
		return schema.GroupVersionResource{Version: "v1", Resource: resource}, fleet.Namespace
	case "customresourcedefinitions":
		return schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: resource}, ""
	}
	return schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: resource}, ""
}

// remove deletes by force what picket-keep protects.
func (r *run) remove(ctx context.Context, resource, name string) error {
	kind, namespace := kept(resource)
	if namespace == "" {
		return r.Plane.Dynamic().Resource(kind).Delete(ctx, name, force)
	}
	return r.Plane.Dynamic().Resource(kind).Namespace(namespace).Delete(ctx, name, force)
}

// refusesToDelete fails unless the API server refuses, with a word of what to do.
func (r *run) refusesToDelete(ctx context.Context, resource, name string) error {
	err := r.remove(ctx, resource, name)
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "helm uninstall") {
		return fmt.Errorf("delete %s/%s while nodes are armed: %w, want a refusal that says what to do", resource, name, err)
	}
	return nil
}

// letDelete is somebody who means it.
func (r *run) letDelete(ctx context.Context) error {
	err := r.Plane.Client().AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Delete(ctx, "picket-keep", deleteOptions)
	if err != nil {
		return fmt.Errorf("delete the binding of picket-keep: %w", err)
	}
	return nil
}

// A keeper is something that nodes need to become unarmed.
type keeper struct{ resource, name string }

func keepers() []keeper {
	all := []keeper{{"namespaces", fleet.Namespace}}
	for _, name := range []string{"picket-agent", "picket-controller"} {
		all = append(all, keeper{"serviceaccounts", name}, keeper{"clusterroles", name}, keeper{"clusterrolebindings", name})
	}
	for _, kind := range []string{"rolls", "nodeguards", "nodefences", "fencingpolicies"} {
		all = append(all, keeper{"customresourcedefinitions", kind + ".picket.dev"})
	}
	return all
}

func namespaceDeleted(ctx context.Context, r *run) error {
	if _, err := r.armedWriter(ctx); err != nil {
		return err
	}
	r.say("somebody deletes the namespace by force, and then single things in it")
	for _, k := range keepers() {
		if err := r.refusesToDelete(ctx, k.resource, k.name); err != nil {
			return err
		}
	}
	if err := r.stays(ctx, 2*r.profile.RollLife, "everything is refused", r.calm); err != nil {
		return err
	}
	if err := r.phase(ctx, 10*time.Second, "Armed", r.names()...); err != nil {
		return err
	}
	r.say("somebody deletes the policy that refuses, and then the namespace")
	if err := r.letDelete(ctx); err != nil {
		return err
	}
	err := r.eventually(ctx, 10*time.Second, "delete the namespace", func(ctx context.Context) error {
		return r.remove(ctx, "namespaces", fleet.Namespace)
	})
	if err != nil {
		return err
	}
	accounts := r.Plane.Client().CoreV1().ServiceAccounts(fleet.Namespace)
	err = r.eventually(ctx, 30*time.Second, "the agents' account to be gone", func(ctx context.Context) error {
		_, err := accounts.Get(ctx, "picket-agent", getOptions)
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Every API server answers 401 now, which is no roll and no release: the nodes
	// call the roll among themselves.
	if err := r.stays(ctx, 30*time.Second, "the agents' account is gone", r.calm); err != nil {
		return err
	}
	return r.notLetGo(ctx)
}

// notLetGo tells all agents to stop, as the namespace's end does, while nobody can
// let them become unarmed: they stay until somebody can.
func (r *run) notLetGo(ctx context.Context) error {
	r.say("the agents are told to stop")
	var ends []<-chan struct{}
	for _, n := range r.Nodes {
		agent, err := n.Machine.Process("agent")
		if err != nil {
			return err
		}
		if err := agent.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		ends = append(ends, agent.Done())
	}
	err := r.stays(ctx, 30*time.Second, "agents that are told to stop", func(ctx context.Context) error {
		for i, end := range ends {
			select {
			case <-end:
				return fmt.Errorf("the agent of %s has left an armed node", r.Nodes[i].Name)
			default:
			}
		}
		return r.calm(ctx)
	})
	if err != nil {
		return err
	}
	r.say("Picket is installed again, with its controller: they may go")
	if err := r.installedAgain(ctx); err != nil {
		return err
	}
	for i, end := range ends {
		select {
		case <-end:
		case <-time.After(time.Minute):
			return fmt.Errorf("the agent of %s does not end", r.Nodes[i].Name)
		}
	}
	return r.stays(ctx, 2*r.profile.RollLife, "without agents", r.calm)
}

// uninstaller prepares the command that `helm uninstall` runs, under the rights of
// its Job.
func (r *run) uninstaller(ctx context.Context) (func(context.Context) error, error) {
	objects, err := deploy.Uninstall(deploy.Image)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if err := r.Plane.Apply(ctx, o); err != nil {
			return nil, err
		}
	}
	if err := r.Plane.WaitServiceAccount(ctx, fleet.Namespace, "picket-uninstall"); err != nil {
		return nil, err
	}
	token, err := r.Plane.TokenFor(ctx, fleet.Namespace, "picket-uninstall", "")
	if err != nil {
		return nil, err
	}
	kubeconfig := r.Path("uninstall.kubeconfig")
	if err := r.Plane.WriteKubeconfig(kubeconfig, r.Plane.URL(), token); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, r.Bin.Controller, "uninstall", "--kubeconfig", kubeconfig, "--namespace", fleet.Namespace, "--timeout", "90s")
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = io.MultiWriter(&said, sayer{r}), &said
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("uninstall: %w\n%s", err, said.String())
		}
		return nil
	}, nil
}

// A sayer prints lines into the timeline.
type sayer struct{ *run }

func (s sayer) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		s.say("uninstall: %s", strings.TrimSpace(line))
	}
	return len(p), nil
}

// workloads runs Picket's own pods, with nothing in them: agents and controllers
// are processes here.
func (r *run) workloads(ctx context.Context) error {
	objects, err := deploy.Workloads(deploy.Image)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := r.Plane.Apply(ctx, o); err != nil {
			return err
		}
	}
	return r.eventually(ctx, time.Minute, "a pod of the DaemonSet to run on every node", func(ctx context.Context) error {
		pods, err := r.ownPods(ctx)
		if err != nil {
			return err
		}
		for _, n := range r.names() {
			if !slices.ContainsFunc(pods, func(p corev1.Pod) bool {
				return p.Labels["app.kubernetes.io/name"] == "picket-agent" && p.Spec.NodeName == n && p.Status.Phase == corev1.PodRunning
			}) {
				return fmt.Errorf("none on %s among %d pods", n, len(pods))
			}
		}
		return nil
	})
}

// ownPods are those of Picket's namespace.
func (r *run) ownPods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := r.Plane.Client().CoreV1().Pods(fleet.Namespace).List(ctx, listAll)
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

func uninstalled(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	if err := r.workloads(ctx); err != nil {
		return err
	}
	// One node is dead, fenced and quarantined when the last day comes.
	if err := r.failsOver(ctx, w, r.cut(w)); err != nil {
		return err
	}
	r.failover, r.bound = 0, 0
	if err := r.fencePhase(ctx, time.Minute, w.node.Name, v1alpha1.FenceDetached); err != nil {
		return err
	}
	alive := r.others(w.node.Name)
	if err := r.calledBack(ctx, alive); err != nil {
		return err
	}
	uninstall, err := r.uninstaller(ctx)
	if err != nil {
		return err
	}
	// The controllers do not run in the Deployment's pods: they go when the hosts are
	// clean. The dead node's pods have no kubelet to end them.
	ended := make(chan error, 1)
	go func() { ended <- r.endControllers(ctx, alive) }()
	started := time.Now()
	if err := errors.Join(uninstall(ctx), <-ended); err != nil {
		return err
	}
	r.say("uninstalled within %.1f s", time.Since(started).Seconds())
	if err := r.nothingLeft(ctx, alive); err != nil {
		return err
	}
	if err := r.endAgents(alive); err != nil {
		return err
	}
	if err := r.remove(ctx, "namespaces", fleet.Namespace); err != nil {
		return fmt.Errorf("nothing is to be kept any more: %w", err)
	}
	if err := r.noResets(); err != nil { // the taint was of the dead one
		return err
	}
	return r.reinstalled(ctx, w.node.Name)
}

// calledBack is somebody who thinks again: the agents that have left come back.
func (r *run) calledBack(ctx context.Context, nodes []string) error {
	for _, mode := range []v1alpha1.Mode{v1alpha1.Uninstall, v1alpha1.Enforce} {
		r.say("somebody sets the mode to %s by hand", mode)
		err := r.eventually(ctx, 10*time.Second, "set the mode", func(ctx context.Context) error {
			policy, err := r.Client.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
			if err != nil {
				return err
			}
			policy.Spec.Mode = mode
			_, err = r.Client.FencingPolicies.Update(ctx, policy)
			return err
		})
		if err == nil && mode == v1alpha1.Uninstall {
			err = r.hostsClean(ctx, nodes)
		} else if err == nil {
			err = r.phase(ctx, time.Minute, "Armed", nodes...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// endControllers ends the controllers as soon as no host needs their word.
func (r *run) endControllers(ctx context.Context, nodes []string) error {
	err := r.hostsClean(ctx, nodes)
	for _, c := range r.Controllers {
		c.End()
	}
	return err
}

// hostsClean waits until the agents have left their hosts.
func (r *run) hostsClean(ctx context.Context, nodes []string) error {
	return r.eventually(ctx, 80*time.Second, "all hosts to be clean", func(ctx context.Context) error {
		for _, n := range nodes {
			g, err := r.guard(ctx, n)
			if err != nil {
				return err
			}
			if g.Status.Reason != v1alpha1.ReasonUninstalled || g.Status.Promise.Armed {
				return fmt.Errorf("%s is %s %s: %s", n, g.Status.Phase, g.Status.Reason, g.Status.Message)
			}
		}
		return nil
	})
}

// nothingLeft fails if a node is armed or tainted, or if a host or the API has
// anything that Picket made.
func (r *run) nothingLeft(ctx context.Context, alive []string) error {
	for _, name := range alive {
		m := r.Node(name).Machine
		dog, err := m.Dog()
		if err != nil {
			return err
		}
		if dog.Running {
			return fmt.Errorf("the watchdog of %s runs", name)
		}
		for dir, holders := range map[string]int{"run/picket": 2, "var/lib/picket": 0} { // configuration and marker of a holder that is the host's
			left, err := os.ReadDir(filepath.Join(m.Identity().Root, dir))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			if len(left) > holders {
				return fmt.Errorf("%s of %s still has %v", dir, name, left)
			}
		}
	}
	nodes, err := r.Plane.Client().CoreV1().Nodes().List(ctx, listAll)
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		for _, t := range n.Spec.Taints {
			if strings.HasPrefix(t.Key, "picket.dev/") || t.Key == corev1.TaintNodeOutOfService {
				return fmt.Errorf("%s still has the taint %s", n.Name, t.ToString())
			}
		}
	}
	pods, err := r.ownPods(ctx)
	if err != nil {
		return err
	}
	if len(pods) > 0 {
		return fmt.Errorf("%d pods of Picket's are left, such as %s on %s", len(pods), pods[0].Name, pods[0].Spec.NodeName)
	}
	policy, err := r.Client.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
	if err != nil {
		return err
	}
	if policy.Spec.Mode != v1alpha1.Enforce || len(policy.Annotations) > 0 {
		return fmt.Errorf("the policy keeps the mark: mode %s, %v", policy.Spec.Mode, policy.Annotations)
	}
	guards, err := r.Client.NodeGuards.List(ctx, listAll)
	if err != nil {
		return err
	}
	_, err = r.Client.Rolls.Get(ctx, v1alpha1.RollName)
	if len(guards.Items) > 0 || !apierrors.IsNotFound(err) {
		return fmt.Errorf("%d NodeGuards are left, and of the Roll: %w", len(guards.Items), err)
	}
	return nil
}

// endAgents ends the agents, as the DaemonSet's deletion does.
func (r *run) endAgents(nodes []string) error {
	for _, name := range nodes {
		agent, err := r.Node(name).Machine.Process("agent")
		if err != nil {
			return err
		}
		if err := agent.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case <-agent.Done():
		case <-time.After(5 * time.Second):
			return fmt.Errorf("the agent of %s, which has nothing to do, does not end", name)
		}
	}
	return nil
}

// installedAgain installs Picket once the namespace is gone, with a new controller.
func (r *run) installedAgain(ctx context.Context) error {
	namespaces := r.Plane.Client().CoreV1().Namespaces()
	err := r.eventually(ctx, time.Minute, "the namespace to be gone", func(ctx context.Context) error {
		_, err := namespaces.Get(ctx, fleet.Namespace, getOptions)
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.eventually(ctx, 30*time.Second, "install", r.Install); err != nil {
		return err
	}
	if err := r.Tokens(ctx); err != nil {
		return err
	}
	_, err = r.StartController(ctx)
	return err
}

// reinstalled installs Picket again, on hosts that boot anew, and waits until all
// are armed.
func (r *run) reinstalled(ctx context.Context, dead string) error {
	if err := r.installedAgain(ctx); err != nil {
		return err
	}
	for _, n := range r.Nodes {
		if n.Name != dead {
			n.Machine.PowerCut()
		}
		n.Machine.SetStayOff(false)
		if err := n.Machine.PowerOn(); err != nil {
			return err
		}
	}
	return r.allArmed(ctx)
}
