package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// C8: an agent's Clean is about the fence that it names, and about no other.
func TestC8_CleanIsOfOneFence(t *testing.T) {
	for _, tt := range []struct {
		name, spec, state, of string
		want                  bool
	}{
		{"of this fence", "boot-1", v1alpha1.StorageClean, "boot-1", true},
		{"from before the fence", "boot-1", v1alpha1.StorageClean, "", false},
		{"of an earlier fence", "boot-2", v1alpha1.StorageClean, "boot-1", false},
		{"dirty", "boot-1", v1alpha1.StorageDirty, "boot-1", false},
		{"in use", "boot-1", v1alpha1.StorageInUse, "boot-1", false},
		{"unknown", "boot-1", v1alpha1.StorageUnknown, "boot-1", false},
		{"no word", "boot-1", "", "boot-1", false},
	} {
		g := &v1alpha1.NodeGuard{
			Spec:   v1alpha1.NodeGuardSpec{FencedBoot: tt.spec},
			Status: v1alpha1.NodeGuardStatus{Storage: v1alpha1.Storage{State: tt.state, FencedBoot: tt.of}},
		}
		if got := guardOf(g).Status.Clean; got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

// The policy's way of a rejoin comes to the agent as people wrote it, and only as
// a departure from the default: an older CRD then prunes nothing.
func TestRejoinReachesTheAgent(t *testing.T) {
	for _, tt := range []struct{ policy, told v1alpha1.Rejoin }{
		{v1alpha1.RejoinClean, v1alpha1.RejoinClean}, {v1alpha1.RejoinReset, ""}, {"", ""},
	} {
		clean := policyOf(&v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Rejoin: tt.policy}}, wall).RejoinClean
		spec := apiGuardSpec(plan.GuardSpec{FencedBoot: "b", RejoinClean: clean})
		if d := cmp.Diff(tt.told, spec.Rejoin); d != "" {
			t.Errorf("policy %q: %s", tt.policy, d)
		}
		if back := guardSpecOf(spec); back.RejoinClean != clean {
			t.Errorf("policy %q comes back as %t", tt.policy, back.RejoinClean)
		}
	}
}
