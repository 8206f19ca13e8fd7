package lead

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// leases is the API's one Lease, with a view for each replica.
type leases struct {
	mu    sync.Mutex
	lease *coordinationv1.Lease
}

// A replica sees the Lease unless it is cut off.
type replica struct {
	coordination.LeaseInterface // for what an election does not use
	*leases
	cut   bool
	stall chan struct{} // if not nil, an update hangs until it is closed
}

func (r *replica) Leases(string) coordination.LeaseInterface { return r }

func (r *replica) Get(context.Context, string, metav1.GetOptions) (*coordinationv1.Lease, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.cut:
		return nil, errors.New("cut off")
	case r.lease == nil:
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, "x")
	}
	return r.lease.DeepCopy(), nil
}

func (r *replica) Create(_ context.Context, l *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return r.write(l, r.lease == nil)
}

func (r *replica) Update(_ context.Context, l *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	r.mu.Lock()
	stall := r.stall
	r.mu.Unlock()
	if stall != nil {
		<-stall
	}
	return r.write(l, r.lease.ResourceVersion == l.ResourceVersion)
}

func (r *replica) write(l *coordinationv1.Lease, current bool) (*coordinationv1.Lease, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.cut:
		return nil, errors.New("cut off")
	case !current:
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "leases"}, "x", errors.New("changed"))
	}
	l = l.DeepCopy()
	n, _ := strconv.Atoi(l.ResourceVersion)
	l.ResourceVersion = strconv.Itoa(n + 1)
	r.lease = l
	return l.DeepCopy(), nil
}

func (r *replica) election(id string) Election {
	return Election{Leases: r, Namespace: "ns", Name: "x", Identity: id, Log: slog.New(slog.DiscardHandler)}
}

func (r *leases) holder() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lease == nil || r.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *r.lease.Spec.HolderIdentity
}

// A leader that ends in order lets go of the lease only after its last action,
// and the next one follows at once.
func TestLeaseIsReleasedAfterTheLastAction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &leases{}
		a, b := &replica{leases: shared}, &replica{leases: shared}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var all sync.WaitGroup
		var held string
		all.Go(func() {
			err := a.election("a").Run(ctx, func(ctx context.Context, leading func() error) {
				<-ctx.Done()
				time.Sleep(time.Second) //nolint:forbidigo // the bubble's time: the last action
				held = shared.holder()
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		next, end := context.WithCancel(t.Context())
		defer end()
		var led time.Duration
		began := time.Now()
		all.Go(func() {
			err := b.election("b").Run(next, func(ctx context.Context, _ func() error) {
				led = time.Since(began)
				<-ctx.Done()
			})
			if err != nil {
				t.Error(err)
			}
		})
		time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's time
		stop()
		time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's time
		end()
		all.Wait()
		if held != "a" {
			t.Errorf("during its last action the lease was held by %q", held)
		}
		if led < 11*time.Second || led > 13*time.Second {
			t.Errorf("the next leader began after %v, want soon after 11 s", led)
		}
		if got := shared.holder(); got != "" {
			t.Errorf("in the end the lease is held by %q", got)
		}
	})
}

// A leader that is cut off gives up before anybody else may lead.
func TestLostLeaseEndsLeadershipInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &leases{}
		a, b := &replica{leases: shared}, &replica{leases: shared}
		var mu sync.Mutex
		leaders, most := map[string]bool{}, 0
		lead := func(id string) func(context.Context, func() error) {
			return func(ctx context.Context, leading func() error) {
				mu.Lock()
				leaders[id] = true
				most = max(most, len(leaders))
				mu.Unlock()
				<-ctx.Done()
				mu.Lock()
				defer mu.Unlock()
				delete(leaders, id)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var all sync.WaitGroup
		var lost error
		var lostAt time.Duration
		began := time.Now()
		all.Go(func() {
			lost = a.election("a").Run(ctx, lead("a"))
			lostAt = time.Since(began)
		})
		synctest.Wait()
		all.Go(func() { _ = b.election("b").Run(ctx, lead("b")) })
		time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's time
		shared.mu.Lock()
		a.cut = true
		shared.mu.Unlock()
		time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's time
		if got := shared.holder(); got != "b" {
			t.Errorf("the lease is held by %q", got)
		}
		stop()
		all.Wait()
		if !errors.Is(lost, ErrLost) || lostAt > 9*time.Second {
			t.Errorf("after %v: %v", lostAt, lost)
		}
		if most != 1 {
			t.Errorf("%d leaders at once", most)
		}
	})
}

// A process that was stopped wakes up as a leader that nothing has told
// otherwise yet; its own clock must tell.
func TestLeadingEndsWithTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &replica{leases: &leases{}}
		var before, after error
		err := a.election("a").Run(t.Context(), func(ctx context.Context, leading func() error) {
			time.Sleep(10 * time.Second) //nolint:forbidigo // the bubble's time
			before = leading()
			stall := make(chan struct{})
			a.mu.Lock()
			a.stall = stall
			a.mu.Unlock()
			time.Sleep(leaseLife + time.Millisecond) //nolint:forbidigo // the bubble's time
			after = leading()
			close(stall)
		})
		if before != nil || !errors.Is(after, ErrLost) || !errors.Is(err, ErrLost) {
			t.Errorf("before: %v, after: %v, in the end: %v", before, after, err)
		}
	})
}

func TestStandbyEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &replica{leases: &leases{}, cut: true}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Second, stop)
		err := a.election("a").Run(ctx, func(context.Context, func() error) { t.Error("it leads") })
		if err != nil {
			t.Error(err)
		}
	})
}
