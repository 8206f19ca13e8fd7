package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/fleet"
)

// What attacks are about.
const (
	groupPath   = "/apis/picket.dev/v1alpha1"
	guardPath   = groupPath + "/nodeguards"
	rollPath    = groupPath + "/rolls/cluster"
	fencePath   = groupPath + "/nodefences"
	policyPath  = groupPath + "/fencingpolicies"
	nodePath    = "/api/v1/nodes"
	storagePath = "/apis/storage.k8s.io/v1"
	ownSpace    = "/api/v1/namespaces/picket"
	leasePath   = "/apis/coordination.k8s.io/v1/namespaces/picket/leases"

	quarantine = `{"spec":{"taints":[{"key":"picket.dev/fenced","value":"b","effect":"NoSchedule"}]}}`
	evict      = `{"spec":{"taints":[{"key":"node.kubernetes.io/out-of-service","value":"nodeshutdown","effect":"NoExecute"}]}}`
	proof      = `,"proof":{"bootID":"b","kind":"Confirmed","by":"me"}`
	lease      = `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"picket-controller"}}`
	aPod       = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"serviceAccountName":"picket-controller","containers":[{"name":"c","image":"i"}]}}`
	aToken     = `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`
	aBinding   = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"b"},` +
		`"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},` +
		`"subjects":[{"kind":"ServiceAccount","namespace":"picket","name":"picket-agent"}]}`
	admissionPath = "/apis/admissionregistration.k8s.io/v1"
)

// fence is a NodeFence of node-2.
func fence(name, more string) string {
	return fmt.Sprintf(`{"apiVersion":"picket.dev/v1alpha1","kind":"NodeFence","metadata":{"name":%q},"spec":{"node":"node-2"%s}}`, name, more)
}

// A try is one attempt of a caller. It may look things up as the administrator:
// names and versions are no secrets.
type try = func(context.Context, *access, caller) error

// send is a request as it is.
func send(verb, path, body string) try {
	return func(ctx context.Context, _ *access, c caller) error { return c.request(ctx, verb, path, body) }
}

func read(path string) try { return send(http.MethodGet, path, "") }

// missing reads what there is none of, and succeeds if it may.
func missing(path string) try {
	return func(ctx context.Context, _ *access, c caller) error {
		err := c.request(ctx, http.MethodGet, path, "")
		if apierrors.IsNotFound(err) {
			return nil
		}
		return cmp.Or(err, errors.New("there is one"))
	}
}

func gone(path string) try { return send(http.MethodDelete, path, "") }

// says writes a NodeGuard's status that is valid, and newest.
func says(node string, change func(*v1alpha1.NodeGuardStatus)) try {
	return func(ctx context.Context, a *access, c caller) error {
		g, err := a.admin.picket.NodeGuards.Get(ctx, node)
		if err != nil {
			return err
		}
		change(&g.Status)
		g.Status.Writes++
		_, err = c.picket.NodeGuards.UpdateStatus(ctx, g)
		return err
	}
}

func armed(node string) try {
	return says(node, func(s *v1alpha1.NodeGuardStatus) { s.BootID, s.Phase, s.Fingerprint = "b", "Armed", "0000" })
}

func refuted(node string) try {
	return says(node, func(s *v1alpha1.NodeGuardStatus) { s.Refutes = "f" })
}

func unarmed(node string) try {
	return says(node, func(s *v1alpha1.NodeGuardStatus) { s.Phase, s.Promise = "Unarmed", v1alpha1.Promise{} })
}

// spec writes what only the controller tells a node.
func spec(node string) try {
	return func(ctx context.Context, a *access, c caller) error {
		g, err := a.admin.picket.NodeGuards.Get(ctx, node)
		if err != nil {
			return err
		}
		g.Spec.Neighbours = []v1alpha1.Peer{{Node: "evil", Addresses: []string{"192.0.2.1:1"}}}
		_, err = c.picket.NodeGuards.Update(ctx, g)
		return err
	}
}

// makeGuard makes the NodeGuard of a node that there is not.
func makeGuard(ctx context.Context, _ *access, c caller) error {
	g := &v1alpha1.NodeGuard{}
	g.Name = "node-3"
	_, err := c.picket.NodeGuards.Create(ctx, g)
	return err
}

// writeRoll takes a boot's right to run away.
func writeRoll(ctx context.Context, a *access, c caller) error {
	r, err := a.admin.picket.Rolls.Get(ctx, v1alpha1.RollName)
	if err != nil {
		return err
	}
	r.Spec.Serial++
	_, err = c.picket.Rolls.Update(ctx, r)
	return err
}

// changePod patches another agent's pod as it stands.
func changePod(change func(*corev1.PodSpec) (field string, value any)) try {
	return func(ctx context.Context, a *access, c caller) error {
		pod, err := a.admin.kube.CoreV1().Pods(fleet.Namespace).Get(ctx, "agent-of-node-2", getOptions)
		if err != nil {
			return err
		}
		field, value := change(&pod.Spec)
		body, err := json.Marshal(map[string]any{"spec": map[string]any{field: value}})
		if err != nil {
			return err
		}
		return c.request(ctx, http.MethodPatch, ownSpace+"/pods/"+pod.Name, string(body))
	}
}

// tolerate lets a pod stay on a fenced node.
func tolerate() try {
	return changePod(func(s *corev1.PodSpec) (string, any) {
		return "tolerations", append(s.Tolerations, corev1.Toleration{Key: "picket.dev/fenced", Operator: corev1.TolerationOpExists})
	})
}

// readiness says of a pod whether it is Ready, as it stands otherwise.
func readiness(as corev1.ConditionStatus) try {
	return func(ctx context.Context, a *access, c caller) error {
		body, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.PodCondition{
			{Type: corev1.PodReady, Status: as}, {Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
		}}})
		if err != nil {
			return err
		}
		return c.request(ctx, http.MethodPatch, ownSpace+"/pods/agent-of-node-2/status", string(body))
	}
}

// changeImage runs another program with the pod's rights.
func changeImage() try {
	return changePod(func(s *corev1.PodSpec) (string, any) {
		s.Containers[0].Image = "evil"
		return "containers", s.Containers
	})
}

// attacks are tried with Picket's RBAC and policies in force.
func attacks(a *access) []attack {
	var all []attack
	add := func(who string, c caller, rows map[string]try) { all = append(all, attacksBy(who, c, rows)...) }
	const ownOnly = "of its own node only"
	all = append(all,
		attack{"agent-publishes-for-other-node", a.agent, armed("node-2"), ownOnly},
		attack{"agent-refutes-for-other-node", a.agent, refuted("node-2"), ownOnly},
		attack{"agent-unarms-other-node", a.agent, unarmed("node-2"), ownOnly},
		attack{"pod-publishes-for-other-node", a.pod, armed("node-2"), ownOnly},
		attack{"pod-refutes-for-other-node", a.pod, refuted("node-2"), ownOnly},
		attack{"pod-unarms-other-node", a.pod, unarmed("node-2"), ownOnly},
		attack{"agent-without-node-claim-publishes", a.unbound, armed("node-1"), `for node "(none)"`})
	add("agent", a.agent, agentAttacks())
	add("agent-without-node-claim", a.unbound, map[string]try{
		"refutes": refuted("node-2"), "unarms": unarmed("node-2"), "writes-roll": writeRoll, "reads-secrets": read("/api/v1/secrets"),
	})
	all = append(all,
		attack{name: "agent-impersonates-controller", who: a.asController, try: writeRoll},
		attack{name: "agent-impersonates-other-agent", who: a.asOther, try: armed("node-2")})
	add("kubelet", a.kubelet, kubeletAttacks())
	add("controller", a.controller, controllerAttacks())
	all = append(all,
		attack{"controller-changes-image", a.controller, changeImage(), "tolerations alone"},
		attack{"controller-changes-pods-labels", a.controller, send(http.MethodPatch, ownSpace+"/pods/agent-of-node-2", `{"metadata":{"labels":{"app":"other"}}}`), "no labels, finalizers and owners"},
		attack{"controller-changes-nodes-labels", a.controller, send(http.MethodPatch, nodePath+"/node-2", `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`), "no labels, finalizers and owners"},
		attack{"controller-cordons-node", a.controller, send(http.MethodPatch, nodePath+"/node-2", `{"spec":{"unschedulable":true}}`), "taints and its own annotations alone"})
	all = append(all,
		attack{"controller-changes-pods-annotations", a.controller, send(http.MethodPatch, ownSpace+"/pods/agent-of-node-2", `{"metadata":{"annotations":{"picket.dev/on-fence":"retain"}}}`), "tolerations alone"},
		attack{"controller-strips-pods-finalizers", a.controller, send(http.MethodPatch, ownSpace+"/pods/agent-of-node-2", `{"metadata":{"finalizers":null}}`), "no labels, finalizers and owners"},
		attack{"controller-gives-pod-another-owner", a.controller, send(http.MethodPatch, ownSpace+"/pods/agent-of-node-2", `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"x"}]}}`), "no labels, finalizers and owners"},
		attack{"controller-limits-pods-life", a.controller, send(http.MethodPatch, ownSpace+"/pods/agent-of-node-2", `{"spec":{"activeDeadlineSeconds":1}}`), "tolerations alone"},
		attack{"controller-moves-pods-address", a.controller, send(http.MethodPatch, ownSpace+"/pods/agent-of-node-2/status", `{"status":{"podIP":"192.0.2.1","podIPs":[{"ip":"192.0.2.1"}]}}`), "condition Ready alone"},
		attack{"controller-makes-pod-ready", a.controller, readiness(corev1.ConditionTrue), "condition Ready alone"},
		attack{"controller-ends-pod-by-status", a.controller, send(http.MethodPatch, ownSpace+"/pods/agent-of-node-2/status", `{"status":{"phase":"Succeeded"}}`), "condition Ready alone"},
		attack{"controller-changes-nodes-annotations", a.controller, send(http.MethodPatch, nodePath+"/node-2", `{"metadata":{"annotations":{"volumes.kubernetes.io/controller-managed-attach-detach":"false"}}}`), "its own annotations"},
		attack{"controller-guards-node-from-deletion", a.controller, send(http.MethodPatch, nodePath+"/node-2", `{"metadata":{"finalizers":["example.org/keep"]}}`), "no labels, finalizers and owners"},
		attack{"uninstall-changes-nodes-labels", a.uninstall, send(http.MethodPatch, nodePath+"/node-2", `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`), "no labels"},
		attack{"uninstall-cordons-node", a.uninstall, send(http.MethodPatch, nodePath+"/node-2", `{"spec":{"unschedulable":true}}`), "taints and its own"},
		attack{"uninstall-taints-node", a.uninstall, send(http.MethodPatch, nodePath+"/node-2", evict), "lifts Picket's taints"},
		attack{"uninstall-quarantines-node", a.uninstall, send(http.MethodPatch, nodePath+"/node-2", quarantine), "lifts Picket's taints"},
		attack{"uninstall-lifts-others-taints", a.uninstall, send(http.MethodPatch, nodePath+"/node-2", `{"spec":{"taints":null}}`), "lifts Picket's taints"},
		attack{"uninstall-writes-guard-spec", a.uninstall, spec("node-1"), ""})
	add("uninstall", a.uninstall, uninstallAttacks())
	add("admin", a.admin, map[string]try{"writes-roll": writeRoll})
	return append(all, peoplesAttacks(a)...)
}

// peoplesAttacks are beyond what each of the roles for people is for.
func peoplesAttacks(a *access) []attack {
	var all []attack
	add := func(who string, c caller, rows map[string]try) { all = append(all, attacksBy(who, c, rows)...) }
	add("requester", a.requester, map[string]try{
		"proves":                send(http.MethodPost, fencePath, fence("proof", proof)),
		"adds-proof":            send(http.MethodPatch, fencePath+"/running", `{"spec":{"proof":{"bootID":"b","kind":"PowerOff","by":"me"}}}`),
		"writes-roll":           writeRoll,
		"writes-fence-status":   send(http.MethodPatch, fencePath+"/running/status", `{"status":{"phase":"Fenced"}}`),
		"writes-guard":          armed("node-2"),
		"writes-fencing-policy": send(http.MethodPatch, policyPath+"/default", `{"spec":{"mode":"Observe"}}`),
	})
	add("prover", a.prover, map[string]try{
		"writes-roll":           writeRoll,
		"writes-fence-status":   send(http.MethodPatch, fencePath+"/running/status", `{"status":{"phase":"Fenced"}}`),
		"writes-guard":          armed("node-2"),
		"writes-fencing-policy": send(http.MethodPatch, policyPath+"/default", `{"spec":{"mode":"Observe"}}`),
		"taints-node":           send(http.MethodPatch, nodePath+"/node-2", evict),
	})
	add("operator", a.operator, map[string]try{
		"asks-for-fence": send(http.MethodPost, fencePath, fence("operators", "")),
		"proves":         send(http.MethodPost, fencePath, fence("operators", proof)),
		"writes-roll":    writeRoll,
		"writes-guard":   armed("node-2"),
		"taints-node":    send(http.MethodPatch, nodePath+"/node-2", evict),
	})
	add("doctor", a.looker, map[string]try{
		"reads-secrets":         read("/api/v1/secrets"),
		"reads-configmaps":      read(ownSpace + "/configmaps"),
		"reaches-a-kubelet":     read(nodePath + "/node-2/proxy/configz"),
		"asks-for-fence":        send(http.MethodPost, fencePath, fence("seen", "")),
		"writes-fencing-policy": send(http.MethodPatch, policyPath+"/default", `{"spec":{"mode":"Observe"}}`),
		"deletes-pod":           gone(ownSpace + "/pods/agent-of-node-2"),
		"writes-roll":           writeRoll,
	})
	add("viewer", a.viewer, map[string]try{
		"asks-for-fence": send(http.MethodPost, fencePath, fence("seen", "")),
		"writes-roll":    writeRoll,
		"deletes-roll":   gone(rollPath),
		"reads-secrets":  read("/api/v1/secrets"),
	})
	return all
}

// attacksBy are attacks by one caller, in the order of their names.
func attacksBy(who string, c caller, rows map[string]try) []attack {
	var all []attack
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		all = append(all, attack{name: who + "-" + name, who: c, try: rows[name]})
	}
	return all
}

// agentAttacks are what a stolen token of node-1's agent is good for, if
// anything is wrong.
func agentAttacks() map[string]try {
	return map[string]try{
		"patches-status-of-other-node": send(http.MethodPatch, guardPath+"/node-2/status", `{"status":{"phase":"Unarmed"}}`),
		"writes-own-guard-spec":        spec("node-1"),
		"writes-other-guard-spec":      spec("node-2"),
		"creates-guard":                makeGuard,
		"deletes-own-guard":            gone(guardPath + "/node-1"),
		"deletes-other-guard":          gone(guardPath + "/node-2"),
		"deletes-all-guards":           gone(guardPath),

		"writes-roll":         writeRoll,
		"patches-roll":        send(http.MethodPatch, rollPath, `{"spec":{"serial":9}}`),
		"patches-roll-status": send(http.MethodPatch, rollPath+"/status", `{"status":{}}`),
		"deletes-roll":        gone(rollPath),
		"lists-rolls":         read(groupPath + "/rolls"),

		"asks-for-fence":        send(http.MethodPost, fencePath, fence("mine", "")),
		"proves":                send(http.MethodPost, fencePath, fence("mine", proof)),
		"deletes-fence":         gone(fencePath + "/running"),
		"writes-fence-status":   send(http.MethodPatch, fencePath+"/running/status", `{"status":{"phase":"Refuted"}}`),
		"writes-fencing-policy": send(http.MethodPatch, policyPath+"/default", `{"spec":{"mode":"Observe"}}`),

		"taints-other-node":      send(http.MethodPatch, nodePath+"/node-2", evict),
		"taints-own-node":        send(http.MethodPatch, nodePath+"/node-1", quarantine),
		"untaints-own-node":      send(http.MethodPatch, nodePath+"/node-1", `{"spec":{"taints":null}}`),
		"cordons-other-node":     send(http.MethodPatch, nodePath+"/node-2", `{"spec":{"unschedulable":true}}`),
		"writes-own-node-status": send(http.MethodPatch, nodePath+"/node-1/status", `{"status":{"nodeInfo":{"bootID":"x"}}}`),
		"deletes-other-node":     gone(nodePath + "/node-2"),
		"lists-nodes":            read(nodePath),

		"reads-own-namespaces-secrets": read(ownSpace + "/secrets"),
		"reads-one-secret":             read(ownSpace + "/secrets/theirs"),
		"reads-all-secrets":            read("/api/v1/secrets"),
		"reads-configmaps":             read(ownSpace + "/configmaps"),
		"reads-a-pod":                  read(ownSpace + "/pods/agent-of-node-2"),
		"watches-pods":                 read("/api/v1/pods?watch=true"),
		"deletes-pod":                  gone(ownSpace + "/pods/agent-of-node-2"),
		"creates-pod":                  send(http.MethodPost, ownSpace+"/pods", aPod),
		"execs":                        send(http.MethodPost, ownSpace+"/pods/agent-of-node-2/exec", ""),

		"lists-attachments":      read(storagePath + "/volumeattachments"),
		"lists-drivers":          read(storagePath + "/csidrivers"),
		"reads-claims":           read("/api/v1/persistentvolumeclaims"),
		"releases-an-attachment": send(http.MethodPatch, storagePath+"/volumeattachments/x", `{"metadata":{"finalizers":null}}`),
		"detaches":               gone(storagePath + "/volumeattachments/x"),
		"writes-pv":              send(http.MethodPatch, "/api/v1/persistentvolumes/x", `{"spec":{}}`),
		"deletes-pv":             gone("/api/v1/persistentvolumes/x"),

		"mints-controllers-token": send(http.MethodPost, ownSpace+"/serviceaccounts/picket-controller/token", aToken),
		"mints-unbound-token":     send(http.MethodPost, ownSpace+"/serviceaccounts/picket-agent/token", aToken),
		"makes-itself-admin":      send(http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", aBinding),
		"widens-its-role":         send(http.MethodPatch, "/apis/rbac.authorization.k8s.io/v1/clusterroles/picket-agent", `{"rules":[]}`),
		"deletes-policy":          gone(admissionPath + "/validatingadmissionpolicies/picket-agent"),
		"unbinds-policy":          gone(admissionPath + "/validatingadmissionpolicybindings/picket-agent"),
		"takes-leader-lease":      send(http.MethodPost, leasePath, lease),
		"deletes-crd":             gone("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rolls.picket.dev"),
	}
}

// kubeletAttacks are what root on node-1 can do with its kubelet's credentials.
func kubeletAttacks() map[string]try {
	return map[string]try{
		"mints-unbound-agent-token": send(http.MethodPost, ownSpace+"/serviceaccounts/picket-agent/token", aToken),
		"mints-other-nodes-agent-token": func(ctx context.Context, a *access, c caller) error {
			pod, err := a.admin.kube.CoreV1().Pods(fleet.Namespace).Get(ctx, "agent-of-node-2", getOptions)
			if err != nil {
				return err
			}
			return c.request(ctx, http.MethodPost, ownSpace+"/serviceaccounts/picket-agent/token", fmt.Sprintf(
				`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":%q,"uid":%q}}}`,
				pod.Name, pod.UID))
		},
		"lifts-its-quarantine":       send(http.MethodPatch, nodePath+"/node-1", `{"spec":{"taints":null}}`),
		"taints-other-node":          send(http.MethodPatch, nodePath+"/node-2", evict),
		"writes-other-nodes-boot-id": send(http.MethodPatch, nodePath+"/node-2/status", `{"status":{"nodeInfo":{"bootID":"x"}}}`),
		"writes-own-guard":           armed("node-1"),
		"writes-other-guard":         armed("node-2"),
		"writes-roll":                writeRoll,
		"asks-for-fence":             send(http.MethodPost, fencePath, fence("kubelets", "")),
	}
}

// controllerAttacks are beyond what fencing needs.
func controllerAttacks() map[string]try {
	all := workloadAttacks()
	maps.Copy(all, map[string]try{
		"reads-own-namespaces-secrets": read(ownSpace + "/secrets"),
		"reads-one-secret":             read(ownSpace + "/secrets/theirs"),
		"reads-all-secrets":            read("/api/v1/secrets"),
		"reads-configmaps":             read("/api/v1/configmaps"),
		"deletes-all-pods":             gone(ownSpace + "/pods"),
		"writes-node-status":           send(http.MethodPatch, nodePath+"/node-2/status", `{"status":{"nodeInfo":{"bootID":"x"}}}`),
		"deletes-node":                 gone(nodePath + "/node-2"),
		"deletes-roll":                 gone(rollPath),
		"writes-guard-status":          armed("node-2"),
		"acknowledges-for-a-witness":   says("node-1", func(s *v1alpha1.NodeGuardStatus) { s.Acked.Serial = 1 << 40 }),
		"deletes-all-guards":           gone(guardPath),
		"proves":                       send(http.MethodPost, fencePath, fence("proof", proof)),
		"adds-proof":                   addProof,
		"writes-fencing-policy":        send(http.MethodPatch, policyPath+"/default", `{"spec":{"mode":"Observe"}}`),
		"deletes-volumeattachments":    gone("/apis/storage.k8s.io/v1/volumeattachments/x"),
		"writes-volumeattachments":     send(http.MethodPatch, "/apis/storage.k8s.io/v1/volumeattachments/x", `{"metadata":{"finalizers":null}}`),
		"writes-pv":                    send(http.MethodPatch, "/api/v1/persistentvolumes/x", `{"spec":{}}`),
		"lists-kubelet-leases":         read("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"),
		"writes-kubelet-lease":         send(http.MethodPatch, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-2", `{"spec":{}}`),
		"reads-other-lease":            read("/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"),
		"deletes-fencing-policy":       gone(policyPath + "/default"),
		"deletes-namespace":            gone("/api/v1/namespaces/picket"),
		"evicts-pod":                   send(http.MethodPost, ownSpace+"/pods/agent-of-node-2/eviction", `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"agent-of-node-2"}}`),
		"binds-pod":                    send(http.MethodPost, ownSpace+"/pods/agent-of-node-2/binding", `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"agent-of-node-2"},"target":{"kind":"Node","name":"node-1"}}`),
		"mints-own-token":              send(http.MethodPost, ownSpace+"/serviceaccounts/picket-controller/token", aToken),
		"widens-its-role":              send(http.MethodPatch, rbacPath+"/clusterroles/picket-controller", `{"rules":[]}`),
		"mints-agents-token":           send(http.MethodPost, ownSpace+"/serviceaccounts/picket-agent/token", aToken),
		"makes-itself-admin":           send(http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", aBinding),
		"deletes-policy":               gone(admissionPath + "/validatingadmissionpolicies/picket-agent"),
		"deletes-crd":                  gone("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rolls.picket.dev"),
	})
	return all
}

// policyAttacks are tried by agents that RBAC lets do everything.
func policyAttacks(a *access) []attack {
	const own, status = "of its own node only", "nothing but the status"
	return []attack{
		{"policy-agent-publishes-for-other-node", a.agent, armed("node-2"), own},
		{"policy-agent-refutes-for-other-node", a.pod, refuted("node-2"), own},
		{"policy-agent-unarms-other-node", a.agent, unarmed("node-2"), own},
		{"policy-agent-without-node-claim", a.unbound, armed("node-1"), own},
		{"policy-agent-patches-other-status", a.agent, send(http.MethodPatch, guardPath+"/node-2/status", `{"status":{"phase":"Unarmed"}}`), own},
		{"policy-agent-writes-own-spec", a.agent, spec("node-1"), status},
		{"policy-agent-creates-guard", a.agent, makeGuard, status},
		{"policy-agent-deletes-own-guard", a.agent, gone(guardPath + "/node-1"), status},
		{"policy-agent-deletes-other-guard", a.agent, gone(guardPath + "/node-2"), status},
		{"policy-agent-deletes-all-guards", a.agent, gone(guardPath), status},
		{"policy-agent-writes-roll", a.agent, writeRoll, ""},
		{"policy-agent-deletes-roll", a.agent, gone(rollPath), status},
		{"policy-agent-asks-for-fence", a.agent, send(http.MethodPost, fencePath, fence("mine", "")), status},
		{"policy-agent-writes-fence-status", a.agent, send(http.MethodPatch, fencePath+"/running/status", `{"status":{"phase":"Refuted"}}`), status},
		{"policy-agent-writes-fencing-policy", a.agent, send(http.MethodPatch, policyPath+"/default", `{"spec":{"mode":"Observe"}}`), status},
	}
}
