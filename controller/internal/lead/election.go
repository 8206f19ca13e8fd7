package lead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// The election is short: a failover of the controller is part of that of a
// node. A leader gives up a second before anybody else may follow.
const (
	leaseLife     = 4 * time.Second
	renewDeadline = 3 * time.Second
	retryPeriod   = 500 * time.Millisecond
)

// ErrLost says that the lease was lost while leading. The process must end: a
// leadership is never resumed.
var ErrLost = errors.New("the leader lease was lost")

// An Election is for the lease of one cluster's controller.
type Election struct {
	Leases          coordination.LeasesGetter
	Namespace, Name string
	Identity        string // of this process, never used before
	Log             *slog.Logger
}

// Run waits for the lease, and calls lead while it is held. leading returns an
// error from the moment at which the lease may have run out, even if nothing has
// noticed yet, as after the process was stopped. When ctx ends, Run waits for
// lead to return, releases the lease and returns nil.
//
// client-go's own release comes before the leader has stopped; so it is off.
func (e Election) Run(ctx context.Context, lead func(ctx context.Context, leading func() error)) error {
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name},
		Client:     e.Leases,
		LockConfig: resourcelock.ResourceLockConfig{Identity: e.Identity},
	}
	hold, drop := context.WithCancel(context.WithoutCancel(ctx))
	defer drop()
	var elector *leaderelection.LeaderElector
	var leads atomic.Bool
	done := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          lock,
		Name:          e.Name,
		LeaseDuration: leaseLife,
		RenewDeadline: renewDeadline,
		RetryPeriod:   retryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(held context.Context) {
				leads.Store(true)
				defer close(done)
				defer drop()
				held, stop := context.WithCancel(held)
				defer stop()
				defer context.AfterFunc(ctx, stop)()
				lead(held, func() error { return check(elector) })
			},
			OnStoppedLeading: func() {},
			OnNewLeader:      func(id string) { e.Log.Info("the leader is known", "leader", id, "self", e.Identity) },
		},
	})
	if err != nil {
		return fmt.Errorf("set up leader election: %w", err)
	}
	defer context.AfterFunc(ctx, func() {
		if !leads.Load() {
			drop()
		}
	})()
	elector.Run(hold)
	if leads.Load() {
		<-done
	}
	if ctx.Err() == nil {
		return ErrLost
	}
	if !elector.IsLeader() {
		return nil
	}
	return e.release(context.WithoutCancel(ctx), lock)
}

// check returns an error unless the elector holds a lease that cannot have run
// out yet.
func check(elector *leaderelection.LeaderElector) error {
	if !elector.IsLeader() {
		return ErrLost
	}
	if err := elector.Check(0); err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return nil
}

// release lets the next leader begin at once.
func (e Election) release(ctx context.Context, lock resourcelock.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, renewDeadline)
	defer cancel()
	held, _, err := lock.Get(ctx)
	if err != nil || held.HolderIdentity != e.Identity {
		return err
	}
	now := metav1.Now()
	err = lock.Update(ctx, resourcelock.LeaderElectionRecord{
		LeaseDurationSeconds: 1,
		AcquireTime:          now,
		RenewTime:            now,
		LeaderTransitions:    held.LeaderTransitions,
	})
	if err != nil {
		return fmt.Errorf("release lease: %w", err)
	}
	e.Log.Info("lease released", "self", e.Identity)
	return nil
}
