package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

const leasePath = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/a"

// Step 7 of PROTOCOL.md needs reads sent then, the Node first and the Roll last,
// none of them from a cache.
func TestLook(t *testing.T) {
	a, s, _ := newAPI(t)
	s.put(nodePath, aNode(nil))
	s.put(guardPath, &v1alpha1.NodeGuard{Status: v1alpha1.NodeGuardStatus{BootID: "boot", Writes: 4}})
	s.put(leasePath, &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: wall.Add(time.Microsecond)}}})
	seedRoll(t, a, s)
	s.requests()
	saw := does(t, a, plan.Look{Fence: "u.1", Node: "a"}).(plan.Saw)

	var paths []string
	for _, r := range s.requests() {
		paths = append(paths, r.String())
		if strings.Contains(r.query, "resourceVersion") {
			t.Errorf("%s may be answered from a cache: %s", r, r.query)
		}
		if int64(saw.Sent.Raw) > r.readings {
			t.Errorf("%s was sent before the instant %d at which all of them were: %d", r, saw.Sent.Raw, r.readings)
		}
	}
	if diff := cmp.Diff([]string{"GET " + nodePath, "GET " + guardPath, "GET " + leasePath, "GET " + rollPath}, paths); diff != "" {
		t.Error(diff)
	}
	if saw.Fence != "u.1" || saw.Node.Boot != "boot" || saw.Guard.Status.Writes != 4 || saw.Roll.Serial != 1 ||
		saw.Lease != "2026-01-02T03:04:05.000001Z" {
		t.Errorf("saw %+v", saw)
	}
	if w := a.World(); w.Nodes["a"].Version != saw.Node.Version || w.Guards["a"].Version != saw.Guard.Version {
		t.Error("the next world is older than the look")
	}
}

func TestLookAtWhatIsGone(t *testing.T) {
	a, s, _ := newAPI(t)
	saw := does(t, a, plan.Look{Fence: "u.1", Node: "a"}).(plan.Saw)
	if saw.Node != nil || saw.Guard != nil || saw.Lease != "" || saw.Roll != nil {
		t.Errorf("saw %+v", saw)
	}
	if n := len(s.requests()); n != 4 {
		t.Errorf("%d requests", n)
	}
}

// One failed read of the four leaves no answer: silence of the API is not
// silence of the node.
func TestLookIsWholeOrNothing(t *testing.T) {
	for _, path := range []string{nodePath, guardPath, leasePath, rollPath} {
		for _, code := range []int{403, 429, 500, -404} {
			a, s, _ := newAPI(t)
			s.fail = func(r request) int {
				if r.path == path {
					return code
				}
				return 0
			}
			if answer, err := a.Do(t.Context(), plan.Look{Node: "a"}); err == nil || answer != nil {
				t.Errorf("%s answered %d: got %+v, %v", path, code, answer, err)
			}
		}
	}
}
