package daemon

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/agent/internal/attached"
	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/teardown"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

// inspectWithin bounds what a person waits for: a look at a host on which
// everything hangs, and an API that does not answer.
const inspectWithin = 20 * time.Second

// inspectSilent bounds what a person waits for an API that gives no roll, either.
const inspectSilent = 100 * time.Millisecond

// Devices answers `picket-agent devices`.
func (a *admin) Devices(ctx context.Context, _ *peerv1.DevicesRequest) (*peerv1.DevicesReply, error) {
	r, err := a.d.steward.inspect(ctx)
	if err != nil {
		return nil, status.Error(codes.DeadlineExceeded, err.Error())
	}
	r.Node, r.BootId, r.Stuck = a.d.config.Node, a.d.machine.BootID, stuckOf(a.d.children, time.Now())
	return r, nil
}

// inspect looks at the host, asks the API, and says what a teardown in this boot
// would do. It does nothing of it.
func (s *steward) inspect(ctx context.Context) (*peerv1.DevicesReply, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectWithin)
	defer cancel()
	select {
	case s.asked <- struct{}{}:
		defer func() { <-s.asked }()
	case <-ctx.Done():
		return nil, fmt.Errorf("somebody else asks: %w", ctx.Err())
	}
	said := s.storage()
	r := &peerv1.DevicesReply{
		FencedBoot: said.FencedBoot, Storage: said.State, StorageMessage: said.Message,
		WorstLoopDelay: durationpb.New(s.pace.worst()),
	}
	if spec := s.spec(); spec != nil && spec.FencedBoot != "" {
		r.Rejoin = cmp.Or(string(spec.Rejoin), "Reset")
	}
	begin := clock.Now()
	inv := s.host.Look(ctx)
	looked := clock.Now()
	if !s.reached() {
		var enough context.CancelFunc
		ctx, enough = context.WithTimeout(ctx, inspectSilent)
		defer enough()
	}
	answer := s.api.Read(ctx, inv, attached.Fence{Boot: said.FencedBoot, Same: said.FencedBoot == s.boot})
	r.LookTook, r.AskTook = durationpb.New(begin.Age(looked)), durationpb.New(looked.Age(clock.Now()))
	r.AttachedKnown, r.AttachedError = answer.Known, answer.Why
	planned(r, teardown.Make(inv, answer.Attachments, teardown.Aim{SameBoot: true, Rejoin: teardown.RejoinClean}), answer.Names)
	for _, u := range inv.Unknown {
		m := &peerv1.Unread{What: u.What, Why: u.Why}
		if (u.Device != teardown.Number{}) {
			m.Device = u.Device.String()
		}
		r.Unread = append(r.Unread, m)
	}
	if last := s.last.Load(); last != nil {
		r.Last = runOf(*last, clock.Now())
	}
	return r, nil
}

// planned enters a plan, with the names of pods where they are known.
func planned(r *peerv1.DevicesReply, p teardown.Plan, names map[string]string) {
	r.Plan, r.PlanWhy, r.PlanStuck = p.State.String(), p.Why, p.Stuck.String()
	r.Items = itemsOf(p.Tree, names)
	for _, s := range p.Steps {
		r.Steps = append(r.Steps, stepOf(s))
	}
	for _, b := range p.Blockers {
		r.Blockers = append(r.Blockers, &peerv1.TeardownBlocker{Volume: b.Volume, Device: b.Device, Why: b.Why})
	}
}

func itemsOf(tree []teardown.Item, names map[string]string) []*peerv1.DeviceItem {
	var all []*peerv1.DeviceItem
	for _, i := range tree {
		m := &peerv1.DeviceItem{
			Kind: i.Kind, Name: i.Name, About: i.About, Again: i.Again, Owner: i.Owner.String(), Standing: i.Standing.String(),
			Volume: i.Volume, Claim: i.Claim, Attachment: i.Attachment, Why: i.Why, Items: itemsOf(i.Items, names),
		}
		for _, uid := range i.Pods {
			m.Pods = append(m.Pods, cmp.Or(names[uid], uid))
		}
		for _, n := range i.Steps {
			m.Steps = append(m.Steps, int32(n))
		}
		all = append(all, m)
	}
	return all
}

func stepOf(s teardown.Step) *peerv1.TeardownStep {
	return &peerv1.TeardownStep{Op: s.Op.String(), Target: targetOf(s), Volume: s.Volume, Bound: durationpb.New(s.Bound), Why: s.Why}
}

// targetOf names what a step is done to.
func targetOf(s teardown.Step) string {
	switch {
	case s.Op == teardown.Note:
		return s.Name
	case s.Session != "":
		return "session " + s.Session + " of " + s.Target
	case s.Target != "":
		return s.Target + " at " + s.Portal
	case s.Point != "":
		return s.Point
	case s.Pod != "" && s.PID == 0:
		return "pod " + s.Pod
	case s.PID != 0:
		return s.Name + " (" + strconv.Itoa(s.PID) + ")"
	case s.Client != teardown.Client{}:
		return fmt.Sprintf("client%d of %s", s.Client.ID, s.Client.Cluster)
	case s.Map != "":
		return s.Name + " (" + s.Map + ")"
	case s.NQN != "":
		return s.NQN
	}
	return s.Name
}

func runOf(a account, now timing.Instant) *peerv1.RejoinRun {
	m := &peerv1.RejoinRun{Age: durationpb.New(a.began.Age(now)), SameBoot: a.aim.SameBoot}
	if a.took == 0 {
		return m
	}
	m.Took, m.WorstLoopDelay = durationpb.New(a.took), durationpb.New(a.loopLate)
	m.State, m.Why = a.outcome.State().String(), why(a.outcome)
	for _, s := range a.outcome.Done {
		m.Done = append(m.Done, stepOf(s))
	}
	if a.outcome.Err != nil {
		m.Stuck, m.Error = stepOf(a.outcome.Stuck), a.outcome.Err.Error()
	}
	return m
}

// stuckOf lists the children that were abandoned.
func stuckOf(run *child.Runner, now time.Time) []*peerv1.StuckChild {
	var all []*peerv1.StuckChild
	for _, s := range run.Stuck() {
		all = append(all, &peerv1.StuckChild{Pid: int32(s.PID), Work: s.Work, Age: durationpb.New(now.Sub(s.Since))})
	}
	return all
}
