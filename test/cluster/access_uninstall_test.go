package main

import (
	"context"
	"maps"
	"net/http"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

const (
	appsPath    = "/apis/apps/v1/namespaces/picket"
	jobPath     = "/apis/batch/v1/namespaces/picket/jobs"
	rbacPath    = "/apis/rbac.authorization.k8s.io/v1"
	aTemplate   = `{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"evil"}]}}`
	aDaemonSet  = `{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":` + aTemplate + `}}`
	aDeployment = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":` + aTemplate + `}}`
	aJob        = `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"j"},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"evil"}]}}}}`
	evilImage   = `{"spec":{"template":{"spec":{"containers":[{"name":"agent","image":"evil"}]}}}}`
)

// workloadAttacks run a program of one's own with somebody else's rights.
func workloadAttacks() map[string]try {
	return map[string]try{
		"creates-pod":          send(http.MethodPost, ownSpace+"/pods", aPod),
		"creates-daemonset":    send(http.MethodPost, appsPath+"/daemonsets", aDaemonSet),
		"creates-deployment":   send(http.MethodPost, appsPath+"/deployments", aDeployment),
		"creates-job":          send(http.MethodPost, jobPath, aJob),
		"changes-agents-image": send(http.MethodPatch, appsPath+"/daemonsets/picket-agent", evilImage),
		"adds-debug-container": send(http.MethodPatch, ownSpace+"/pods/agent-of-node-2/ephemeralcontainers", `{"spec":{"ephemeralContainers":[{"name":"d","image":"evil"}]}}`),
		"execs":                send(http.MethodPost, ownSpace+"/pods/agent-of-node-2/exec", ""),
		"reaches-a-kubelet":    read(nodePath + "/node-2/proxy/runningpods/"),
	}
}

// uninstallAttacks are beyond what it takes to take Picket off: by the token of the
// Job that does it, and that stays valid for as long as the Job's pod.
func uninstallAttacks() map[string]try {
	all := workloadAttacks()
	maps.Copy(all, map[string]try{
		"reads-own-namespaces-secrets": read(ownSpace + "/secrets"),
		"reads-one-secret":             read(ownSpace + "/secrets/theirs"),
		"reads-all-secrets":            read("/api/v1/secrets"),
		"reads-configmaps":             read(ownSpace + "/configmaps"),
		"reads-pods-elsewhere":         read("/api/v1/pods"),
		"reads-volumes":                read("/api/v1/persistentvolumes"),
		"reads-attachments":            read(storagePath + "/volumeattachments"),

		"changes-pod":           tolerate(),
		"makes-pod-unready":     send(http.MethodPatch, ownSpace+"/pods/agent-of-node-2/status", `{"status":{"phase":"Failed"}}`),
		"deletes-pod-elsewhere": gone("/api/v1/namespaces/default/pods/x"),
		"deletes-all-pods":      gone(ownSpace + "/pods"),
		"deletes-other-set":     gone("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"),
		"deletes-other-sets":    gone(appsPath + "/daemonsets"),
		"deletes-namespace":     gone("/api/v1/namespaces/picket"),

		"writes-roll":              writeRoll,
		"creates-roll":             makeRoll,
		"writes-roll-status":       send(http.MethodPatch, rollPath+"/status", `{"status":{}}`),
		"writes-guard-status":      armed("node-2"),
		"creates-guard":            makeGuard,
		"deletes-all-guards":       gone(guardPath),
		"asks-for-fence":           send(http.MethodPost, fencePath, fence("mine", "")),
		"proves":                   send(http.MethodPost, fencePath, fence("mine", proof)),
		"adds-proof":               addProof,
		"writes-fence-status":      send(http.MethodPatch, fencePath+"/running/status", `{"status":{"phase":"Fenced"}}`),
		"writes-fencing-status":    send(http.MethodPatch, policyPath+"/default/status", `{"status":{}}`),
		"deletes-fencing-policies": gone(policyPath),

		"writes-node-status": send(http.MethodPatch, nodePath+"/node-2/status", `{"status":{"nodeInfo":{"bootID":"x"}}}`),
		"deletes-node":       gone(nodePath + "/node-2"),
		"creates-node":       send(http.MethodPost, nodePath, `{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-3"}}`),

		"takes-leader-lease":      send(http.MethodPost, leasePath, lease),
		"lists-leases":            read(leasePath),
		"mints-agents-token":      send(http.MethodPost, ownSpace+"/serviceaccounts/picket-agent/token", aToken),
		"mints-controllers-token": send(http.MethodPost, ownSpace+"/serviceaccounts/picket-controller/token", aToken),
		"makes-itself-admin":      send(http.MethodPost, rbacPath+"/clusterrolebindings", aBinding),
		"widens-its-role":         send(http.MethodPatch, rbacPath+"/clusterroles/picket-uninstall", `{"rules":[]}`),
		"deletes-agents-rights":   gone(rbacPath + "/clusterroles/picket-agent"),
		"deletes-policy":          gone(admissionPath + "/validatingadmissionpolicies/picket-roll"),
		"unbinds-keep":            gone(admissionPath + "/validatingadmissionpolicybindings/picket-keep"),
		"deletes-crd":             gone("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/rolls.picket.dev"),
	})
	return all
}

// makeRoll starts a history of one's own.
func makeRoll(ctx context.Context, _ *access, c caller) error {
	r := &v1alpha1.Roll{Spec: v1alpha1.RollSpec{History: "mine", Serial: 1}}
	r.Name = v1alpha1.RollName
	_, err := c.picket.Rolls.Create(ctx, r)
	return err
}

// addProof says of a fence that runs that its boot is dead, by a whole object: to
// change its finalizers takes the same right.
func addProof(ctx context.Context, a *access, c caller) error {
	f, err := a.admin.picket.NodeFences.Get(ctx, "running")
	if err != nil {
		return err
	}
	f.Spec.Proof = &v1alpha1.Proof{BootID: "b", Kind: "Confirmed", By: "me"}
	_, err = c.picket.NodeFences.Update(ctx, f)
	return err
}
