package doctor

import (
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
)

// printed finds the JSON patches of a fix.
var printed = regexp.MustCompile(`(?m)^kubectl .* patch .* --type json -p '(.*)'$`)

// Of the commands that are printed one suits each workload, whichever tolerations
// it has. It keeps them, and makes the pods stay for long enough.
func TestPrintedPatchMakesPodsStay(t *testing.T) {
	unreachable := corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: corev1.TaintEffectNoExecute}
	foreign := corev1.Toleration{Key: "dedicated", Operator: corev1.TolerationOpEqual, Value: "db"}
	for _, tt := range []struct {
		name    string
		has     []corev1.Toleration
		than    time.Duration
		seconds int64
	}{
		{"none", nil, 20 * time.Second, 300},
		{"another taint's", []corev1.Toleration{foreign}, 20 * time.Second, 300},
		{"one that is too short", []corev1.Toleration{foreign, exists(corev1.TaintNodeUnreachable, 5)}, 20 * time.Second, 300},
		{"all of them, too short", []corev1.Toleration{exists("", 5)}, 299 * time.Second, 300},
		{"none, and a long fence", nil, 400500 * time.Millisecond, 401},
		{"another taint's, and a long fence", []corev1.Toleration{foreign}, 300 * time.Second, 301},
	} {
		t.Run(tt.name, func(t *testing.T) {
			workload := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "db"}}
			workload.Spec.Template.Spec.Tolerations = tt.has
			api := fake.NewClientset(workload).AppsV1().StatefulSets("prod")
			applied := 0
			for _, m := range printed.FindAllStringSubmatch(tolerateLonger(tt.than), -1) {
				if _, err := api.Patch(t.Context(), "db", types.JSONPatchType, []byte(m[1]), metav1.PatchOptions{}); err == nil {
					applied++
				}
			}
			if applied != 1 {
				t.Fatalf("%d commands suit it", applied)
			}
			got, err := api.Get(t.Context(), "db", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all := got.Spec.Template.Spec.Tolerations
			want := append([]corev1.Toleration{exists(corev1.TaintNodeUnreachable, tt.seconds)}, tt.has...)
			if d := cmp.Diff(want, all); d != "" {
				t.Error(d)
			}
			if x := tolerates(all, unreachable); x == nil || x.TolerationSeconds == nil || *x.TolerationSeconds != tt.seconds {
				t.Errorf("a pod stays by %+v, want %d s", x, tt.seconds)
			}
		})
	}
}

// A DaemonSet stays by the printed command, whatever it tolerates for a while.
func TestPrintedPatchMakesADaemonSetStay(t *testing.T) {
	for name, has := range map[string][]corev1.Toleration{
		"none": nil, "another taint's": {exists("dedicated")}, "all of them, for a while": {exists("", 60)},
	} {
		d := daemonSet("kube-system", "cilium", has...)
		api := fake.NewClientset(&d).AppsV1().DaemonSets("kube-system")
		m := regexp.MustCompile(`--type json -p '(.*)'$`).FindStringSubmatch(tolerateAll(&d))
		got, err := api.Patch(t.Context(), "cilium", types.JSONPatchType, []byte(m[1]), metav1.PatchOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if all := got.Spec.Template.Spec.Tolerations; len(all) != len(has)+1 || !endures(all, quarantine()) || !endures(all, outOfService()) {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

// The finding prints what is tried above, for the time that its fence takes.
func TestEvictionPrintsHowLong(t *testing.T) {
	f := sound()
	iscsi(&f.Volumes[0])
	f.Pods[2].Tolerations = []corev1.Toleration{exists(corev1.TaintNodeUnreachable, 0)}
	f.Pods[0].Words = append(f.Pods[0].Words, "--node-monitor-grace-period=20s")
	_, found := eviction(f)
	grace, _ := f.grace()
	if len(found) != 1 || found[0].Fix != tolerateLonger(f.failover()-grace) {
		t.Errorf("%+v", found)
	}
}
