package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/finding"
)

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

func now() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }

// exists is the toleration of a key; all of them if it is empty.
func exists(key string, seconds ...int64) corev1.Toleration {
	t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists}
	if len(seconds) > 0 {
		t.Effect, t.TolerationSeconds = corev1.TaintEffectNoExecute, &seconds[0]
	}
	return t
}

// sound is a cluster with which nothing is wrong.
func sound() *Facts {
	s := &view.Snapshot{Now: now()}
	for _, name := range []string{"n1", "n2", "n3"} {
		n := corev1.Node{ObjectMeta: named(name)}
		n.Status.NodeInfo.BootID, n.Status.NodeInfo.KubeletVersion = "b-"+name, "v1.36.3"
		g := v1alpha1.NodeGuard{ObjectMeta: named(name)}
		g.Status = v1alpha1.NodeGuardStatus{
			BootID: "b-" + name, Phase: "Armed", Version: "v1", Acked: v1alpha1.Acked{History: "h", Serial: 7},
			Promise: v1alpha1.Promise{
				Armed: true, RollLife: metav1.Duration{Duration: 5 * time.Second}, PetDelay: metav1.Duration{Duration: time.Second},
				Timeout: metav1.Duration{Duration: 10 * time.Second}, Kappa: 1020,
			},
			Watchdog: v1alpha1.Watchdog{Driver: "i6300esb", Kind: "hardware", Verified: true},
		}
		s.Nodes, s.Guards = append(s.Nodes, n), append(s.Guards, g)
	}
	s.Roll = &v1alpha1.Roll{ObjectMeta: metav1.ObjectMeta{Name: "cluster", ResourceVersion: "70"}, Spec: v1alpha1.RollSpec{
		History: "h", Serial: 7, Epochs: []v1alpha1.Epoch{{Number: 1, State: v1alpha1.EpochActive, Witnesses: []string{"n1", "n2", "n3"}}},
	}}
	leader := "c1"
	s.Leader = &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{HolderIdentity: &leader, RenewTime: &metav1.MicroTime{Time: now()}}}
	attach := true
	f := &Facts{
		Cluster: "c", Namespace: "picket", Installed: true, Snapshot: s, Server: "v1.36.3",
		Objects: []Object{{Kind: "CustomResourceDefinition", Name: "rolls.picket.dev", Want: []any{map[string]any{"name": "v1"}}, Live: []any{map[string]any{"name": "v1", "served": true}}}},
		Reads:   []v1alpha1.Roll{*s.Roll, *s.Roll},
		Drivers: []storagev1.CSIDriver{{ObjectMeta: named("rbd.csi.ceph.com"), Spec: storagev1.CSIDriverSpec{AttachRequired: &attach}}},
		Volumes: []corev1.PersistentVolume{volume("pv-1", "data", "rbd.csi.ceph.com", corev1.ReadWriteOnce)},
		Pods: []Pod{
			{Namespace: "kube-system", Name: "kube-controller-manager-n1", Static: true, Words: []string{"kube-controller-manager", "--disable-force-detach-on-timeout=true"}},
			{Namespace: "kube-system", Name: "etcd-n1", Static: true, Images: []string{"registry.k8s.io/etcd:3.6.4-0"}},
			{Namespace: "prod", Name: "db-0", Claims: []string{"data"}, Tolerations: []corev1.Toleration{exists(corev1.TaintNodeUnreachable, 300)}},
		},
		Namespaces: []corev1.Namespace{{ObjectMeta: named("prod")}, {ObjectMeta: named("picket")}},
		Kubelets:   map[string]Kubelet{"n1": {StatusEvery: 10 * time.Second, LeaseDuration: 40 * time.Second}},
		DaemonSets: []appsv1.DaemonSet{daemonSet("kube-system", "cilium", exists("")), daemonSet("rook-ceph", "csi-rbdplugin", exists(""))},
	}
	two := int32(2)
	f.Deployments = []appsv1.Deployment{{ObjectMeta: named("picket-controller"), Spec: appsv1.DeploymentSpec{Replicas: &two}, Status: appsv1.DeploymentStatus{ReadyReplicas: 2}}}
	return f
}

// volume is one that the claim of that name in prod is bound to.
func volume(name, claim, driver string, mode corev1.PersistentVolumeAccessMode) corev1.PersistentVolume {
	v := corev1.PersistentVolume{ObjectMeta: named(name)}
	v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{mode}
	v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "prod", Name: claim}
	v.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: driver}
	v.Status.Phase = corev1.VolumeBound
	return v
}

// iscsi makes a volume an in-tree one.
func iscsi(v *corev1.PersistentVolume) {
	v.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{ISCSI: &corev1.ISCSIPersistentVolumeSource{}}
}

func daemonSet(namespace, name string, tolerations ...corev1.Toleration) appsv1.DaemonSet {
	d := appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	d.Spec.Template.Spec.Tolerations = tolerations
	return d
}

// hook is a fail-closed webhook for these, that answers from prod/gate.
func hook(op admissionv1.OperationType, group string, resources ...string) Webhook {
	return Webhook{
		Resource: "validatingwebhookconfiguration", Config: "gate", Name: "gate.example.com",
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{op}, Rule: admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: resources},
		}},
		Service: &admissionv1.ServiceReference{Namespace: "prod", Name: "gate"}, Timeout: 10 * time.Second,
	}
}

// answers makes prod/gate answer from these nodes.
func answers(f *Facts, nodes ...string) {
	s := discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "gate-x", Labels: map[string]string{discoveryv1.LabelServiceName: "gate"}}}
	for _, n := range nodes {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{NodeName: &n})
	}
	f.Slices = append(f.Slices, s)
}

func selector(t *testing.T, label string) *Selector {
	s, err := NewSelector(&metav1.LabelSelector{MatchLabels: map[string]string{label: "yes"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// withDriver adds a volume of a driver that attaches nothing.
func withDriver(f *Facts, mode corev1.PersistentVolumeAccessMode) {
	no := false
	f.Drivers = append(f.Drivers, storagev1.CSIDriver{ObjectMeta: named("nfs.csi.k8s.io"), Spec: storagev1.CSIDriverSpec{AttachRequired: &no}})
	f.Volumes = append(f.Volumes, volume("pv-2", "share", "nfs.csi.k8s.io", mode))
}

func TestExamine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Facts)
		want   []string // severity and ID
	}{
		{"sound", func(*Facts) {}, nil},

		{"not installed", func(f *Facts) {
			f.Installed, f.Objects, f.Reads = false, nil, nil
			f.Snapshot = &view.Snapshot{Nodes: f.Snapshot.Nodes}
		}, []string{"error NotInstalled"}},
		{"a CRD is missing", func(f *Facts) { f.Objects[0].Live = nil }, []string{"error ManifestMissing"}},
		{"a CRD is another one", func(f *Facts) { f.Objects[0].Live = []any{map[string]any{"name": "v0"}} }, []string{"warning ManifestDiffers"}},
		{"nobody leads", func(f *Facts) { f.Snapshot.Leader = nil }, []string{"error NoLeader"}},
		{"one controller", func(f *Facts) { f.Deployments[0].Status.ReadyReplicas = 1 }, []string{"warning ControllerAlone"}},
		{"no controller", func(f *Facts) { f.Deployments = nil }, []string{"warning ControllerAlone"}},
		{"refused policy", func(f *Facts) {
			f.Snapshot.Policy = &v1alpha1.FencingPolicy{Status: v1alpha1.FencingPolicyStatus{
				Conditions: []metav1.Condition{{Type: "Accepted", Status: "False", Message: "L is too short"}},
			}}
		}, []string{"error InvalidPolicy"}},
		{"observed only", func(f *Facts) {
			f.Snapshot.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Mode: v1alpha1.Observe}}
		}, []string{"note FencingOff"}},
		{"paused", func(f *Facts) {
			f.Snapshot.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Pause: &v1alpha1.Pause{Reason: "move"}}}
		}, []string{"warning FencingOff"}},
		{"observed, and paused", func(f *Facts) {
			f.Snapshot.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Mode: v1alpha1.Observe, Pause: &v1alpha1.Pause{Reason: "move"}}}
		}, []string{"warning FencingOff", "note FencingOff"}},
		{"being uninstalled", uninstalling, []string{"note FencingOff"}},
		{"being uninstalled under a broken history", func(f *Facts) {
			uninstalling(f)
			f.Snapshot.Roll.Spec.Broken = "deleted"
		}, []string{"error HistoryBroken", "note FencingOff"}},
		{"observed under a broken history", func(f *Facts) {
			f.Snapshot.Roll.Spec.Broken = "deleted"
			f.Snapshot.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Mode: v1alpha1.Observe}}
		}, []string{"error HistoryBroken", "note FencingOff"}},
		{"broken history", func(f *Facts) { f.Snapshot.Roll.Spec.Broken = "deleted" }, []string{"error HistoryBroken"}},
		{"an agent saw it go back", func(f *Facts) {
			f.Snapshot.Guards[1].Status.Conditions = []metav1.Condition{{Type: "HistoryBroken", Status: "True"}}
		}, []string{"error HistoryBroken"}},
		{"a node without an agent", func(f *Facts) { f.Snapshot.Guards = f.Snapshot.Guards[:2] }, []string{"error AgentMissing"}},
		{"an agent of an old boot", func(f *Facts) { f.Snapshot.Guards[2].Status.BootID = "b-old" }, []string{"error AgentMissing"}},
		{"unarmed", func(f *Facts) { unarm(f, "NoWatchdog") }, []string{"error Unarmed"}},
		{"excluded", func(f *Facts) { unarm(f, "Excluded") }, []string{"note Unarmed"}},
		{"arming after an upgrade", func(f *Facts) { unarm(f, ""); f.Snapshot.Guards[1].Status.Phase = "Arming" }, []string{"warning Unarmed"}},
		{"versions", func(f *Facts) { f.Snapshot.Guards[1].Status.Version = "v2" }, []string{"warning AgentVersionsDiffer"}},
		{"untested", func(f *Facts) { f.Snapshot.Guards[1].Status.Watchdog.Verified = false }, []string{"note WatchdogUntested"}},
		{"C9 untested, and required", func(f *Facts) {
			f.Snapshot.Guards[1].Status.Watchdog.Verified = false
			f.Snapshot.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{RequireVerified: true}}
		}, []string{"error WatchdogUntested"}},
		{"mute witnesses", func(f *Facts) {
			for i := range 2 {
				f.Snapshot.Guards[i].Status.Acked = v1alpha1.Acked{}
			}
		}, []string{"error WitnessesMute"}},
		{"one mute witness", func(f *Facts) { f.Snapshot.Guards[0].Status.Acked = v1alpha1.Acked{} }, nil},
		{"no Roll", func(f *Facts) { f.Snapshot.Roll, f.Reads = nil, nil }, []string{"error WitnessesMute"}},
		{"two nodes", func(f *Facts) { f.Snapshot.Nodes, f.Snapshot.Guards = f.Snapshot.Nodes[:2], f.Snapshot.Guards[:2] }, []string{"error TooFewNodes"}},

		{"1.25", func(f *Facts) { f.Server = "v1.25.9" }, []string{"error KubernetesTooOld"}},
		{"1.27", func(f *Facts) { f.Server = "v1.27.1+k3s1" }, []string{"error KubernetesTooOld"}},
		{"1.29", func(f *Facts) { f.Server = "v1.29.0" }, []string{"error KubernetesTooOld"}},
		{"1.30", func(f *Facts) { f.Server = "v1.30.0" }, nil},
		{"a version of nobody's", func(f *Facts) { f.Server = "devel" }, nil},
		{"stale: older than an acknowledgement", func(f *Facts) { f.Snapshot.Guards[2].Status.Acked.Serial = 8 }, []string{"error StaleReads"}},
		{"another history is no older", func(f *Facts) { f.Reads[0].Spec.History, f.Reads[1].Spec.History = "h2", "h2" }, nil},
		{"stale: goes back", func(f *Facts) { f.Reads[1].ResourceVersion = "69" }, []string{"error StaleReads"}},
		{"goes on", func(f *Facts) { f.Reads[1].ResourceVersion = "100" }, nil},
		{"kine", func(f *Facts) { f.Snapshot.Nodes[0].Status.NodeInfo.KubeletVersion = "v1.36.1+k3s1" }, []string{"warning DatastoreUnproven"}},
		{"k3s with etcd", func(f *Facts) {
			f.Snapshot.Nodes[0].Status.NodeInfo.KubeletVersion = "v1.36.1+rke2r1"
			f.Snapshot.Nodes[1].Labels = map[string]string{"node-role.kubernetes.io/etcd": "true"}
		}, nil},
		{"a bad etcd", func(f *Facts) { f.Pods[1].Images = []string{"host:5000/etcd:v3.5.2-0@sha256:abc"} }, []string{"error EtcdVersionBad"}},
		{"a good etcd", func(f *Facts) { f.Pods[1].Images = []string{"host:5000/etcd:v3.5.3"} }, nil},

		{"force detach", func(f *Facts) { f.Pods[0].Words = f.Pods[0].Words[:1] }, []string{"warning ForceDetach"}},
		{"force detach, switched off and on", func(f *Facts) {
			f.Pods[0].Words = append(f.Pods[0].Words, "--disable_force_detach_on_timeout=false")
		}, []string{"warning ForceDetach"}},
		{"no controller manager to see", func(f *Facts) { f.Pods = f.Pods[1:] }, []string{"note ControllerManagerUnseen"}},
		{"flags in a file", func(f *Facts) { f.Pods[0].Words = append(f.Pods[0].Words, "--openshift-config=/x") }, []string{"note ControllerManagerUnseen"}},
		{"kubelets unseen", func(f *Facts) { f.Gaps = []Gap{{Kind: ReadKubelets, Needs: "get nodes/proxy", Why: "you may not"}} }, []string{"note KubeletsUnseen"}},
		{"silent kubelets", func(f *Facts) { f.Kubelets = nil }, []string{"note KubeletsUnseen"}},
		{"a short grace", func(f *Facts) { f.Pods[0].Words = append(f.Pods[0].Words, "--node-monitor-grace-period", "20s") }, []string{"warning MonitorGraceShort"}},
		{"a short grace for quick kubelets", func(f *Facts) {
			f.Pods[0].Words = append(f.Pods[0].Words, "--node-monitor-grace-period=20s")
			f.Kubelets["n1"] = Kubelet{StatusEvery: 5 * time.Second, LeaseDuration: 40 * time.Second}
		}, nil},
		{"a long shutdown", func(f *Facts) { f.Kubelets["n1"] = Kubelet{StatusEvery: time.Second, ShutdownGrace: 5 * time.Minute} }, []string{"warning ShutdownGraceLong"}},

		{"attached volumes wait", func(f *Facts) { f.Pods[2].Tolerations = []corev1.Toleration{exists(corev1.TaintNodeUnreachable, 0)} }, nil},
		{"in-tree iscsi", func(f *Facts) { iscsi(&f.Volumes[0]) }, []string{"warning DriverWithoutAttach"}},
		{"in-tree iscsi, evicted within 50 s", func(f *Facts) {
			iscsi(&f.Volumes[0])
			f.Pods[2].Tolerations = nil
		}, []string{"warning DriverWithoutAttach"}},
		{"in-tree iscsi, evicted before the fence", func(f *Facts) {
			iscsi(&f.Volumes[0])
			f.Pods[2].Tolerations = []corev1.Toleration{exists(corev1.TaintNodeUnreachable, 5)}
			f.Pods[0].Words = append(f.Pods[0].Words, "--node-monitor-grace-period=20s")
			f.Kubelets = map[string]Kubelet{"n1": {StatusEvery: time.Second}}
		}, []string{"error EvictedBeforeFence", "warning DriverWithoutAttach"}},
		{"never evicted", func(f *Facts) {
			f.Pods[2].Direct = []string{"iscsi"}
			f.Pods[2].Tolerations = []corev1.Toleration{{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists}}
			f.Snapshot.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Profile: "patient"}}
		}, nil},
		{"a volume of the pod's own under the patient profile", func(f *Facts) {
			f.Pods[2].Direct, f.Pods[2].Tolerations = []string{"iscsi"}, []corev1.Toleration{exists(corev1.TaintNodeUnreachable, 30)}
			f.Snapshot.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Profile: "patient"}}
		}, []string{"error EvictedBeforeFence"}},
		{"tolerates out-of-service", func(f *Facts) { f.Pods[2].Tolerations = []corev1.Toleration{exists("")} }, []string{"warning ToleratesOutOfService"}},
		{"tolerates it for a while", func(f *Facts) { f.Pods[2].Tolerations = []corev1.Toleration{exists("", 60), exists("")} }, nil},
		{"retained knowingly", func(f *Facts) { f.Pods[2].Tolerations, f.Pods[2].Retained = []corev1.Toleration{exists("")}, true }, nil},
		{"tolerates it without volumes", func(f *Facts) { f.Pods[2].Tolerations, f.Pods[2].Claims = []corev1.Toleration{exists("")}, nil }, nil},
		{"tolerates another effect of it", func(f *Facts) {
			f.Pods[2].Tolerations = []corev1.Toleration{{Key: outOfServiceKey, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
		}, nil},
		{"shared storage without attach", func(f *Facts) { withDriver(f, corev1.ReadWriteMany) }, nil},
		{"storage without attach", func(f *Facts) { withDriver(f, corev1.ReadWriteOnce) }, []string{"warning DriverWithoutAttach"}},
		{"storage of one node", func(f *Facts) {
			withDriver(f, corev1.ReadWriteOnce)
			f.Volumes[1].Spec.NodeAffinity = &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "topology.topolvm.io/node"}}},
			}}}
		}, nil},

		{"an open webhook", func(f *Facts) {
			ignore := admissionv1.Ignore
			f.Webhooks = []Webhook{hook(admissionv1.Update, "", "nodes")}
			f.Webhooks[0].FailurePolicy = &ignore
		}, nil},
		{"a webhook for something else", func(f *Facts) { f.Webhooks = []Webhook{hook(admissionv1.Update, "apps", "deployments")} }, nil},
		{"a webhook that nobody answers", func(f *Facts) { f.Webhooks = []Webhook{hook(admissionv1.Update, "", "nodes")} }, []string{"error WebhookDown"}},
		{"a webhook on one node", func(f *Facts) {
			f.Webhooks = []Webhook{hook(admissionv1.OperationAll, "*", "*/*")}
			answers(f, "n1", "n1")
		}, []string{"error WebhookBlocks"}},
		{"a webhook on two nodes", func(f *Facts) { f.Webhooks = []Webhook{hook(admissionv1.Delete, "", "pods")}; answers(f, "n1", "n2") }, []string{"warning WebhookBlocks"}},
		{"a webhook by URL", func(f *Facts) {
			f.Webhooks = []Webhook{hook(admissionv1.Update, "picket.dev", "nodefences/*")}
			f.Webhooks[0].Service = nil
		}, []string{"warning WebhookBlocks"}},
		{"a webhook with conditions", func(f *Facts) {
			f.Webhooks = []Webhook{hook(admissionv1.Update, "", "*/status")}
			f.Webhooks[0].Conditions = 1
			answers(f, "n1")
		}, []string{"warning WebhookBlocks"}},
		{"a webhook for other namespaces", func(f *Facts) {
			f.Webhooks = []Webhook{hook(admissionv1.Delete, "", "pods")}
			f.Webhooks[0].Namespaces = selector(t, "gated")
		}, nil},
		{"a webhook for leases of others", func(f *Facts) {
			f.Webhooks = []Webhook{hook(admissionv1.Update, "coordination.k8s.io", "leases")}
			f.Webhooks[0].Namespaces = selector(t, "gated")
			f.Namespaces[0].Labels = map[string]string{"gated": "yes"}
		}, nil},
		{"a webhook for other nodes", func(f *Facts) {
			f.Webhooks = []Webhook{hook(admissionv1.Update, "", "nodes")}
			f.Webhooks[0].Objects = selector(t, "gated")
		}, nil},
		{"a webhook of another scope", func(f *Facts) {
			scope := admissionv1.NamespacedScope
			f.Webhooks = []Webhook{hook(admissionv1.Update, "", "nodes")}
			f.Webhooks[0].Rules[0].Scope = &scope
		}, nil},
		{"a webhook for subresources alone", func(f *Facts) { f.Webhooks = []Webhook{hook(admissionv1.Update, "", "nodes/*")} }, nil},
		{"a webhook for resources alone", func(f *Facts) { f.Webhooks = []Webhook{hook(admissionv1.Create, "", "*")} }, nil},

		{"a network agent", func(f *Facts) { f.DaemonSets[0].Spec.Template.Spec.Tolerations = nil }, []string{"error NetworkAgentEvicted"}},
		{"one that tolerates the quarantine alone", func(f *Facts) {
			f.DaemonSets[0].Spec.Template.Spec.Tolerations = []corev1.Toleration{exists("picket.dev/fenced")}
		}, []string{"error NetworkAgentEvicted"}},
		{"one that tolerates all for a while", func(f *Facts) {
			f.DaemonSets[0].Spec.Template.Spec.Tolerations = []corev1.Toleration{exists("", 60), exists("")}
		}, []string{"error NetworkAgentEvicted"}},
		{"another one on the host's network", func(f *Facts) {
			d := daemonSet("kube-system", "node-local-dns", corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule})
			d.Spec.Template.Spec.HostNetwork = true
			f.DaemonSets = append(f.DaemonSets, d)
		}, []string{"warning NetworkAgentEvicted"}},
		{"a log collector", func(f *Facts) { f.DaemonSets = append(f.DaemonSets, daemonSet("logs", "fluent-bit")) }, nil},
		{"a CSI plugin", func(f *Facts) {
			d := daemonSet("storage", "plugin")
			d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "node-driver-registrar"}}
			f.DaemonSets = append(f.DaemonSets, d)
		}, []string{"warning StoragePluginEvicted"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := sound()
			tt.change(f)
			r := Examine(f)
			var got []string
			for _, x := range r.Findings {
				got = append(got, x.Severity.String()+" "+string(x.ID))
				complete(t, x)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%s\n%+v", d, r.Findings)
			}
		})
	}
}

// uninstalling is the last day.
func uninstalling(f *Facts) {
	f.Snapshot.Policy = &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Mode: v1alpha1.Uninstall}}
}

func unarm(f *Facts, reason string) {
	f.Snapshot.Guards[1].Status.Phase, f.Snapshot.Guards[1].Status.Reason = "Unarmed", reason
	f.Snapshot.Guards[1].Status.Promise = v1alpha1.Promise{}
}

// complete fails for a finding that leaves its reader alone.
func complete(t *testing.T, f finding.Finding) {
	t.Helper()
	if f.What == "" || f.Why == "" || f.Fix == "" || f.Check == "" || strings.Contains(f.What+f.Why+f.Fix, "%!") {
		t.Errorf("%+v", f)
	}
}

// What may not be read costs its checks and nothing else, and is said.
func TestEveryGapIsSaid(t *testing.T) {
	for _, kind := range []string{
		ReadGuards, ReadNodes, ReadLeases, ReadVersion, ReadPods, ReadVolumes, ReadDrivers, ReadWebhooks, ReadSlices, ReadNamespaces,
		ReadDaemonSets, ReadDeployment, ReadObjects,
	} {
		f := sound()
		f.Gaps = []Gap{{Kind: kind, Needs: "list " + kind, Why: "you may not"}}
		r := Examine(f)
		if len(r.Findings) != 1 || r.Findings[0].ID != CannotLook || r.Code() != finding.CodeUnseen ||
			!strings.Contains(r.Findings[0].What, "needs list "+kind) || strings.HasSuffix(r.Findings[0].Why, ": ") {
			t.Errorf("%s: %+v", kind, r.Findings)
		}
		if len(r.Checks) >= len(checks())+1 || len(r.Checks) < 8 {
			t.Errorf("%s: %d checks of %d", kind, len(r.Checks), len(checks()))
		}
	}
}

func TestFlag(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"kcm --a=1", "1"}, {"kcm --a 2", "2"}, {"kcm --a", "true"}, {"kcm --a --b", "true"}, {"kcm -a=3", "3"},
		{"kcm --b=a", ""}, {"kcm a", ""}, {"kcm --a=1 --a=2", "2"}, {"", ""},
	} {
		if got := flag(strings.Fields(tt.line), "a"); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestCovers(t *testing.T) {
	want := map[string]any{"a": []any{"x", 1.0}, "b": map[string]any{"c": true}}
	for name, tt := range map[string]struct {
		live any
		is   bool
	}{
		"the same":          {map[string]any{"a": []any{"x", 1.0}, "b": map[string]any{"c": true}}, true},
		"with defaults":     {map[string]any{"a": []any{"x", 1.0}, "b": map[string]any{"c": true, "d": 1.0}, "e": "f"}, true},
		"another value":     {map[string]any{"a": []any{"x", 2.0}, "b": map[string]any{"c": true}}, false},
		"a longer list":     {map[string]any{"a": []any{"x", 1.0, 2.0}, "b": map[string]any{"c": true}}, false},
		"one key less":      {map[string]any{"a": []any{"x", 1.0}}, false},
		"of another type":   {map[string]any{"a": "x", "b": map[string]any{"c": true}}, false},
		"nothing":           {nil, false},
		"a list in its way": {[]any{}, false},
	} {
		if got := covers(tt.live, want); got != tt.is {
			t.Errorf("%s: %v", name, got)
		}
	}
}
