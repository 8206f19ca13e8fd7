package kube

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

func TestPolicyOf(t *testing.T) {
	at := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: wall.Add(d)} }
	for name, test := range map[string]struct {
		spec *v1alpha1.FencingPolicySpec
		want plan.Policy
	}{
		"none":  {nil, plan.Policy{MaxWithheld: 49}},
		"empty": {&v1alpha1.FencingPolicySpec{}, plan.Policy{MaxWithheld: 49}},
		"everything": {
			&v1alpha1.FencingPolicySpec{
				Mode: "Observe", Storm: v1alpha1.Storm{MaxWithheldPercent: new(int32(0))},
				Triggers: v1alpha1.Triggers{NotReadyAfter: &metav1.Duration{Duration: time.Minute}},
				Watchdog: v1alpha1.WatchdogPolicy{Prefer: "Softdog", Device: "watchdog1", Systemd: "TakeOver", AcceptVirtualMachines: true},
				Pods:     v1alpha1.PodPolicy{KeepReady: true}, AcceptTwoNodes: true, RequireVerified: true, ResumeHistory: "h",
			},
			plan.Policy{
				Observe: true, NotReadyAfter: time.Minute, KeepReady: true, AcceptTwoNodes: true, RequireVerified: true, ResumeHistory: "h",
				Watchdog: plan.Watchdog{PreferSoftdog: true, Device: "watchdog1", TakeOver: true, AcceptVM: true},
			},
		},
		"the default words of the CRD": {
			&v1alpha1.FencingPolicySpec{Watchdog: v1alpha1.WatchdogPolicy{Prefer: "Hardware", Systemd: "Cooperate"}},
			plan.Policy{MaxWithheld: 49},
		},
		"paused":           {&v1alpha1.FencingPolicySpec{Pause: &v1alpha1.Pause{Reason: "upgrade"}}, plan.Policy{MaxWithheld: 49, Paused: "upgrade"}},
		"paused for now":   {&v1alpha1.FencingPolicySpec{Pause: &v1alpha1.Pause{Reason: "upgrade", Until: at(1)}}, plan.Policy{MaxWithheld: 49, Paused: "upgrade"}},
		"pause that ended": {&v1alpha1.FencingPolicySpec{Pause: &v1alpha1.Pause{Reason: "upgrade", Until: at(0)}}, plan.Policy{MaxWithheld: 49}},
	} {
		t.Run(name, func(t *testing.T) {
			var p *v1alpha1.FencingPolicy
			if test.spec != nil {
				p = &v1alpha1.FencingPolicy{Spec: *test.spec}
			}
			if diff := cmp.Diff(test.want, policyOf(p, wall)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func profiled(name string, o v1alpha1.Timing) *v1alpha1.FencingPolicy {
	return &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Profile: name, Overrides: o}}
}

func TestProfile(t *testing.T) {
	seconds := func(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Second} }
	bad := profiled("fast", v1alpha1.Timing{RollInterval: seconds(5), Drain: seconds(9)})
	want := timing.Fast()
	want.Drain = 9 * time.Second
	safe := timing.Standard()
	safe.Drain = 9 * time.Second

	var r profiler
	got, why := r.profile(bad)
	if got != safe {
		t.Errorf("bad from the start: %+v, want the standard with the longer drain", got)
	}
	if !strings.Contains(why, "2·rollInterval ≤ rollLife/2") {
		t.Errorf("bad from the start: %q does not name the inequality", why)
	}
	for _, step := range []struct {
		name   string
		policy *v1alpha1.FencingPolicy
		want   timing.Profile
	}{
		{"good", profiled("fast", v1alpha1.Timing{Drain: seconds(9)}), want},
		{"bad: the last good one stays", bad, want},
		{"unknown: the last good one stays", profiled("hasty", v1alpha1.Timing{}), want},
		{"none: the default", nil, timing.Standard()},
		{"without a name", profiled("", v1alpha1.Timing{}), timing.Standard()},
	} {
		got, why := r.profile(step.policy)
		if got != step.want || why != "" {
			t.Errorf("%s: got %+v, %q", step.name, got, why)
		}
	}
}
