package kube

import (
	"cmp"
	"fmt"
	"time"

	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// maxWithheldPercent is how much of a cluster may be withheld at once where the
// policy does not say: NHC's own default.
const maxWithheldPercent = 49

// policyOf returns the policy at that wall time, but for its profile: resolve
// finds that. A nil policy is the default one.
func policyOf(p *v1alpha1.FencingPolicy, now time.Time) plan.Policy {
	if p == nil {
		p = &v1alpha1.FencingPolicy{}
	}
	s := p.Spec
	v := plan.Policy{
		Observe:         s.Mode == v1alpha1.Observe || s.Mode == v1alpha1.Uninstall,
		Uninstall:       s.Mode == v1alpha1.Uninstall,
		MaxWithheld:     maxWithheldPercent,
		KeepReady:       s.Pods.KeepReady,
		Watchdog:        watchdogOf(s.Watchdog),
		RejoinClean:     s.Rejoin == v1alpha1.RejoinClean,
		AcceptTwoNodes:  s.AcceptTwoNodes,
		RequireVerified: s.RequireVerified,
		ResumeHistory:   s.ResumeHistory,
	}
	if m := s.Storm.MaxWithheldPercent; m != nil {
		v.MaxWithheld = int(*m)
	}
	if a := s.Triggers.NotReadyAfter; a != nil {
		v.NotReadyAfter = a.Duration
	}
	if s.Pause != nil && (s.Pause.Until == nil || now.Before(s.Pause.Until.Time)) {
		v.Paused = s.Pause.Reason
		if v.Paused == "" {
			v.Paused = "no reason given"
		}
	}
	return v
}

// resolve returns the profile of the policy with its overrides, and an error
// that names every inequality that it breaks. A nil policy is the default one.
func resolve(p *v1alpha1.FencingPolicy) (timing.Profile, error) {
	if p == nil {
		return timing.Standard(), nil
	}
	base := timing.Standard()
	if p.Spec.Profile != "" {
		var err error
		if base, err = timing.Named(p.Spec.Profile); err != nil {
			return timing.Standard(), fmt.Errorf("spec.profile: %w", err)
		}
	}
	profile := p.Spec.Overrides.Resolve(base)
	if err := profile.Validate(); err != nil {
		return profile, fmt.Errorf("profile %s with spec.overrides: %w", cmp.Or(p.Spec.Profile, "standard"), err)
	}
	return profile, nil
}

// A profiler remembers the last good profile of the policy.
type profiler struct {
	good  timing.Profile
	known bool
}

// profile returns the policy's profile. In place of a bad one it returns the
// last good one. Where there is none since the start, it returns the standard
// profile with the longer facts of the site of both, so that no wait gets
// shorter by a typing error, and why no new fence may begin on it.
func (r *profiler) profile(p *v1alpha1.FencingPolicy) (timing.Profile, string) {
	profile, err := resolve(p)
	switch {
	case err == nil:
		r.good, r.known = profile, true
		return profile, ""
	case r.known:
		return r.good, ""
	}
	safe := timing.Standard()
	for _, t := range []struct {
		to   *time.Duration
		from time.Duration
	}{
		{&safe.ResetLatency, profile.ResetLatency},
		{&safe.Drain, profile.Drain},
		{&safe.RejoinGuard, profile.RejoinGuard},
	} {
		*t.to = min(max(*t.to, t.from), timing.MaxTerm)
	}
	return safe, "the FencingPolicy is not valid: " + err.Error()
}
