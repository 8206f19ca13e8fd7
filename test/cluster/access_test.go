package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/picket-dev/picket/deploy"
	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/controlplane"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// A caller is somebody with credentials for the API server.
type caller struct {
	kube   kubernetes.Interface
	picket *client.Client
}

// request sends one request to any path. A body makes it JSON, a PATCH a merge
// patch.
func (c caller) request(ctx context.Context, verb, path, body string) error {
	path, query, _ := strings.Cut(path, "?")
	r := c.kube.CoreV1().RESTClient().Verb(verb).AbsPath(path)
	if name, value, ok := strings.Cut(query, "="); ok {
		r = r.Param(name, value)
	}
	kind := "application/json"
	if verb == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	if body != "" {
		r = r.Body([]byte(body)).SetHeader("Content-Type", kind)
	}
	return r.Do(ctx).Error()
}

// access is a cluster with Picket's rights in force, and everybody who tries
// them.
type access struct {
	plane *controlplane.Plane

	admin      caller
	agent      caller // node-1's, by a token bound to the Node
	pod        caller // the same by a token bound to its pod, as the kubelet gets it
	unbound    caller // an agent's token that names no node
	controller caller
	kubelet    caller // node-1's
	uninstall  caller // the Job that takes Picket off
	requester  caller // may ask for fences, not prove
	viewer     caller // may look
	looker     caller // may look as kubectl picket and its doctor do
	prover     caller // may prove
	operator   caller // may change the policy

	asController, asOther caller // node-1's agent, which claims to be another
}

// TestAccess lets everybody whose credentials can be stolen try what they must
// not do, on a real API server. An attempt counts as blocked when the answer is
// 401 or 403: a 404, a conflict or a validation error would prove nothing.
func TestAccess(t *testing.T) {
	a := newAccess(t)
	t.Run("what they are for", func(t *testing.T) { a.allowed(t) })
	t.Run("all that they may", func(t *testing.T) { a.rightsAre(t) })
	for _, x := range attacks(a) {
		t.Run(x.name, func(t *testing.T) { a.judge(t, x) })
	}
	a.bind(t, "too-much", "cluster-admin", rbacv1.Subject{
		Kind: "ServiceAccount", Namespace: fleet.Namespace, Name: "picket-agent",
	})
	a.until(t, "cluster-admin for agents", func(ctx context.Context) error {
		return a.agent.request(ctx, http.MethodGet, "/api/v1/secrets", "")
	})
	// RBAC says yes to everything now: the policies alone must say no.
	for _, x := range policyAttacks(a) {
		t.Run("policy alone/"+x.name, func(t *testing.T) { a.judge(t, x) })
	}
}

// The documents say how much is tried.
func TestDocumentsCountTheAttacks(t *testing.T) {
	n := len(attacks(&access{})) + len(policyAttacks(&access{}))
	for file, want := range map[string]string{
		"SECURITY.md": fmt.Sprintf("`TestAccess` (%d attempts", n), "COMPARISON.md": fmt.Sprintf("%d refused attempts (`TestAccess`)", n),
	} {
		text, err := os.ReadFile(filepath.Join("../../deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s does not say %q", file, want)
		}
	}
}

// An attack is an attempt that must be refused.
type attack struct {
	name string
	who  caller
	try  try
	// says is part of the answer, where it matters who refuses.
	says string
}

func (a *access) judge(t *testing.T, x attack) {
	err := x.try(t.Context(), a, x.who)
	blocked := 0
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		blocked = 1
	}
	fmt.Printf("RESULT attack=%s blocked=%d\n", x.name, blocked)
	if blocked == 0 {
		t.Errorf("answer: %v", err)
	} else if !strings.Contains(err.Error(), x.says) {
		t.Errorf("answer: %v, want one that says %q", err, x.says)
	}
}

// allowed shows that the same requests succeed where they are meant to: what is
// refused everywhere would be blocked for the wrong reason.
func (a *access) allowed(t *testing.T) {
	for _, x := range []attack{
		{name: "agent publishes", who: a.agent, try: armed("node-1")},
		{name: "agent refutes", who: a.pod, try: refuted("node-1")},
		{name: "agent unarms", who: a.pod, try: unarmed("node-1")},
		{name: "agent reads the Roll", who: a.pod, try: read(rollPath)},
		{name: "agent reads its Node", who: a.agent, try: read(nodePath + "/node-1")},
		{name: "agent lists its Node's pods", who: a.pod, try: read("/api/v1/pods?fieldSelector=spec.nodeName=node-1")},
		{name: "agent lists volumes", who: a.pod, try: read("/api/v1/persistentvolumes")},
		{name: "agent reads a volume", who: a.pod, try: missing("/api/v1/persistentvolumes/none")},
		{name: "agent reads an attachment", who: a.pod, try: missing(storagePath + "/volumeattachments/none")},
		{name: "agent reads a driver", who: a.pod, try: missing(storagePath + "/csidrivers/none")},
		{name: "controller writes the Roll", who: a.controller, try: writeRoll},
		{name: "controller tells a node", who: a.controller, try: spec("node-1")},
		{name: "controller lets a pod tolerate", who: a.controller, try: tolerate()},
		{name: "controller makes a pod unready", who: a.controller, try: readiness(corev1.ConditionFalse)},
		{name: "controller taints", who: a.controller, try: send(http.MethodPatch, nodePath+"/node-1", quarantine)},
		{name: "uninstall marks", who: a.uninstall, try: func(ctx context.Context, _ *access, c caller) error {
			p, err := c.picket.FencingPolicies.Get(ctx, v1alpha1.PolicyName)
			if err != nil {
				return err
			}
			p.Labels = map[string]string{"marked": "yes"}
			_, err = c.picket.FencingPolicies.Update(ctx, p)
			return err
		}},
		{name: "uninstall lifts taints", who: a.uninstall, try: send(http.MethodPatch, nodePath+"/node-1", `{"spec":{"taints":null}}`)},
		{name: "controller taints again", who: a.controller, try: send(http.MethodPatch, nodePath+"/node-1", quarantine)},
		{name: "uninstall lists pods", who: a.uninstall, try: read(ownSpace + "/pods")},
		{name: "requester asks", who: a.requester, try: send(http.MethodPost, fencePath, fence("asked", ""))},
		{name: "prover proves", who: a.prover, try: send(http.MethodPost, fencePath, fence("seen-dead", proof))},
		{name: "operator pauses", who: a.operator, try: send(http.MethodPatch, policyPath+"/default", `{"spec":{"pause":{"reason":"r","until":"2100-01-01T00:00:00Z"}}}`)},
		{name: "doctor looks", who: a.looker, try: read("/api/v1/pods")},
		{name: "admin proves", who: a.admin, try: send(http.MethodPost, fencePath, fence("proven", proof))},
		{name: "viewer looks", who: a.viewer, try: read(guardPath)},
	} {
		if err := x.try(t.Context(), a, x.who); err != nil {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func newAccess(t *testing.T) *access {
	a := &access{plane: installed(t)}
	a.admin = a.with(t, a.plane.Config())
	a.applyUninstall(t)
	for _, account := range []string{"picket-agent", "picket-controller", "picket-uninstall"} {
		if err := a.plane.WaitServiceAccount(t.Context(), fleet.Namespace, account); err != nil {
			t.Fatal(err)
		}
	}
	a.agent = a.holding(t, a.token(t, "picket-agent", "node-1"))
	a.unbound = a.holding(t, a.token(t, "picket-agent", ""))
	a.controller = a.holding(t, a.token(t, "picket-controller", "node-2"))
	a.uninstall = a.holding(t, a.token(t, "picket-uninstall", "node-2"))
	a.kubelet = a.holding(t, a.plane.NodeToken("node-1"))
	a.pod = a.holding(t, a.podToken(t, "node-1"))
	a.podToken(t, "node-2") // the other node's pod, for the kubelet to envy
	const account = "system:serviceaccount:picket:picket-"
	a.asController = a.claiming(t, rest.ImpersonationConfig{UserName: account + "controller"})
	a.asOther = a.claiming(t, rest.ImpersonationConfig{
		UserName: account + "agent",
		Extra:    map[string][]string{"authentication.kubernetes.io/node-name": {"node-2"}},
	})
	a.requester, a.viewer = a.posing(t, "alice"), a.posing(t, "bob")
	a.bind(t, "alice", "picket-requester", rbacv1.Subject{Kind: "User", Name: "alice"})
	a.bind(t, "bob", "view", rbacv1.Subject{Kind: "User", Name: "bob"})
	a.looker, a.prover, a.operator = a.posing(t, "carol"), a.posing(t, "dave"), a.posing(t, "erin")
	for role, user := range map[string]string{"viewer": "carol", "doctor": "carol", "prover": "dave", "operator": "erin"} {
		a.bind(t, user+"-"+role, "picket-"+role, rbacv1.Subject{Kind: "User", Name: user})
	}
	a.furnish(t)
	return a
}

// applyUninstall makes the rights of the Job that takes Picket off, and not the Job.
func (a *access) applyUninstall(t *testing.T) {
	objects, err := deploy.Uninstall(deploy.Image)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects {
		if bytes.Contains(o, []byte(`"kind":"Job"`)) {
			continue
		}
		if err := a.plane.Apply(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// furnish makes the objects that attacks are about, and waits until rights and
// policies are in force.
func (a *access) furnish(t *testing.T) {
	roll := &v1alpha1.Roll{Spec: v1alpha1.RollSpec{History: "h", Serial: 1}}
	roll.Name = v1alpha1.RollName
	if _, err := a.controller.picket.Rolls.Create(t.Context(), roll); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node-1", "node-2"} {
		g := &v1alpha1.NodeGuard{}
		g.Name = name
		if _, err := a.controller.picket.NodeGuards.Create(t.Context(), g); err != nil {
			t.Fatal(err)
		}
	}
	for path, body := range map[string]string{
		fencePath:  fence("running", ""),
		policyPath: `{"apiVersion":"picket.dev/v1alpha1","kind":"FencingPolicy","metadata":{"name":"default"}}`,
		"/api/v1/namespaces/picket/secrets": `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"theirs"},` +
			`"stringData":{"password":"hunter2"}}`,
	} {
		if err := a.admin.request(t.Context(), http.MethodPost, path, body); err != nil {
			t.Fatal(err)
		}
	}
	for what, x := range map[string]try{
		"somebody's taint": send(http.MethodPatch, nodePath+"/node-2", `{"spec":{"taints":[{"key":"example.org/theirs","effect":"NoSchedule"}]}}`),
		"a Ready pod":      readiness(corev1.ConditionTrue),
	} {
		if err := x(t.Context(), a, a.admin); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	refused := func(what string, try func(context.Context) error) {
		a.until(t, what, func(ctx context.Context) error {
			if err := try(ctx); !apierrors.IsForbidden(err) {
				return fmt.Errorf("not refused yet: %w", cmp.Or(err, errors.New("it was allowed")))
			}
			return nil
		})
	}
	refused("the agents' policy", func(ctx context.Context) error { return armed("node-2")(ctx, a, a.agent) })
	refused("the Roll's policy", func(ctx context.Context) error { return writeRoll(ctx, a, a.admin) })
	refused("the proofs' policy", func(ctx context.Context) error {
		return a.requester.request(ctx, http.MethodPost, fencePath+"?dryRun=All", fence("early", proof))
	})
	a.until(t, "the viewer's aggregated role", func(ctx context.Context) error {
		return a.viewer.request(ctx, http.MethodGet, guardPath, "")
	})
}

// until tries again until it works: rights and policies take the API server a
// moment.
func (a *access) until(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, last)
	}
}

func (a *access) with(t *testing.T, cfg *rest.Config) caller {
	t.Helper()
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	picket, err := client.New(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return caller{kube, picket}
}

// holding is whoever has a token.
func (a *access) holding(t *testing.T, token string) caller {
	t.Helper()
	return a.with(t, a.plane.ConfigFor(a.plane.URL(), token))
}

// posing is a user that the administrator impersonates.
func (a *access) posing(t *testing.T, user string) caller {
	t.Helper()
	cfg := a.plane.Config()
	cfg.Impersonate = rest.ImpersonationConfig{UserName: user}
	return a.with(t, cfg)
}

// claiming is the agent of node-1 that claims to be somebody else.
func (a *access) claiming(t *testing.T, who rest.ImpersonationConfig) caller {
	t.Helper()
	cfg := a.plane.ConfigFor(a.plane.URL(), a.token(t, "picket-agent", "node-1"))
	cfg.Impersonate = who
	return a.with(t, cfg)
}

func (a *access) token(t *testing.T, account, node string) string {
	t.Helper()
	token, err := a.plane.TokenFor(t.Context(), fleet.Namespace, account, node)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// podToken makes an agent's pod on a node, and returns the token that the
// kubelet would get for it.
func (a *access) podToken(t *testing.T, node string) string {
	t.Helper()
	pods := a.admin.kube.CoreV1().Pods(fleet.Namespace)
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "agent-of-" + node, Finalizers: []string{"example.org/keep"}},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "picket-agent",
			Containers: []corev1.Container{{Name: "agent", Image: "none"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	request := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		BoundObjectRef: &authv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	reply, err := a.admin.kube.CoreV1().ServiceAccounts(fleet.Namespace).CreateToken(t.Context(), "picket-agent", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return reply.Status.Token
}

func (a *access) bind(t *testing.T, name, role string, who rbacv1.Subject) {
	t.Helper()
	_, err := a.admin.kube.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "test-" + name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{who},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
