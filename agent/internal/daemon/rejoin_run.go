package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/attached"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/rejoin"
	"github.com/picket-dev/picket/agent/teardown"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// An account is how a rejoin went, for people.
type account struct {
	began    timing.Instant
	took     time.Duration // 0: it is under way
	aim      teardown.Aim
	outcome  rejoin.Outcome
	loopLate time.Duration
}

// rejoin rids the node of what has moved since the spec's boot was fenced, and says
// what came of it.
func (s *steward) rejoin(ctx context.Context, spec v1alpha1.NodeGuardSpec) {
	aim := teardown.Aim{SameBoot: spec.FencedBoot == s.boot, Rejoin: teardown.RejoinReset}
	if spec.Rejoin == v1alpha1.RejoinClean {
		aim.Rejoin = teardown.RejoinClean
	}
	if aim.SameBoot {
		s.bind(ctx)
		s.limit.put(s.pause.run)
		defer func() {
			if s.dealtWith() {
				s.limit.lift()
			} else {
				s.limit.put(s.pause.run)
			}
		}()
	}
	a := account{began: clock.Now(), aim: aim}
	s.last.Store(&a)
	s.pace.begin()
	moving := false
	a.outcome = s.host.Run(ctx, aim, func(ctx context.Context, inv teardown.Inventory) teardown.Attachments {
		answer := s.ask(ctx, inv, attached.Fence{Boot: spec.FencedBoot, Same: aim.SameBoot})
		moving = answer.Moving
		return answer.Attachments
	})
	done := a
	done.took, done.loopLate = max(a.began.Age(clock.Now()), 1), s.pace.since()
	before := s.said.Load().State
	s.last.Store(&done)
	if ctx.Err() != nil {
		return // the next agent goes on
	}
	s.settle(ctx, spec, done, moving)
	if len(done.outcome.Done) > 0 || before != s.said.Load().State {
		s.report(done)
	}
}

// ask asks what is attached. Of a fenced boot nothing may stay unknown, or it is
// reset: it waits a while for an API server.
func (s *steward) ask(ctx context.Context, inv teardown.Inventory, f attached.Fence) attached.Answer {
	give := time.Now().Add(s.pause.patient)
	for {
		a := s.api.Read(ctx, inv, f)
		if a.Known || !f.Same || time.Now().After(give) || ctx.Err() != nil {
			return a
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.pause.patient / 20):
		}
	}
}

// settle says what a rejoin has come to, and does it.
func (s *steward) settle(ctx context.Context, spec v1alpha1.NodeGuardSpec, a account, moving bool) {
	found := v1alpha1.Storage{State: v1alpha1.StorageDirty, FencedBoot: spec.FencedBoot, Message: short(why(a.outcome))}
	found.Devices, found.Omitted = devicesOf(a.outcome.Plan.Tree)
	switch state := a.outcome.State(); state {
	case teardown.Clean:
		if moving {
			found.State, found.Message = v1alpha1.StorageUnknown, "Kubernetes has not finished taking volumes away from this node (C6)"
		} else if err := s.host.Forget(); err != nil {
			found.Message = short(err.Error())
		} else {
			found.State, found.Message = v1alpha1.StorageClean, ""
		}
	case teardown.Reset:
		if full := s.spent(); !a.aim.SameBoot && full != "" {
			found.Message = short("it should be reset, and is not: " + full + ": " + found.Message)
			break
		}
		found.Message = short("resetting: " + found.Message)
		s.say(found)
		select { // it may be the last word that is heard
		case <-ctx.Done():
		case <-time.After(s.pause.report):
		}
		s.reset(ctx, why(a.outcome))
		return
	case teardown.Blocked, teardown.Work, teardown.StateUnknown:
	}
	s.say(found)
}

// reset tells the core that this boot must not go on (A14).
func (s *steward) reset(ctx context.Context, why string) {
	if !s.doom.CompareAndSwap(nil, &why) {
		return
	}
	s.guide(ctx)
	s.note(decide.Note{Rule: decide.A14, What: "rejoin: only a reset is safe: " + why})
	s.log.Error("resetting", "rule", string(decide.A14), "why", why)
}

// report enters a rejoin into the journal.
func (s *steward) report(a account) {
	what := fmt.Sprintf("rejoin: %v after %d steps in %v, the core's loop at most %v late: %s",
		a.outcome.State(), len(a.outcome.Done), a.took.Round(time.Millisecond), a.loopLate.Round(time.Microsecond), why(a.outcome))
	s.note(decide.Note{Rule: decide.A14, What: what})
	for _, step := range a.outcome.Done {
		s.log.Info("rejoin", "step", step.Op.String(), "target", targetOf(step), "volume", step.Volume, "why", step.Why)
	}
	if a.outcome.Err != nil {
		s.log.Error("rejoin", "step", a.outcome.Stuck.Op.String(), "target", targetOf(a.outcome.Stuck), "volume", a.outcome.Stuck.Volume, "err", a.outcome.Err)
	}
}

// why says for people what an outcome rests on.
func why(o rejoin.Outcome) string {
	if o.Err != nil {
		return o.Err.Error()
	}
	all := []string{o.Plan.Why}
	for _, b := range o.Plan.Blockers {
		about := slices.DeleteFunc([]string{b.Volume, b.Device, b.Why}, func(s string) bool { return s == "" })
		all = append(all, strings.Join(about, ": "))
	}
	return strings.Join(all, "; ")
}
