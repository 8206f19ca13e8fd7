package kubelet

import (
	"context"
	"maps"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/test/cluster/machine"
)

const (
	// callTimeout bounds each call but watches.
	callTimeout = 10 * time.Second
	// retryAfter is the pause after a call that went wrong.
	retryAfter = time.Second
)

// session is the kubelet of one boot.
type session struct {
	*Kubelet
	boot machine.Boot
	poke chan struct{} // something changed; capacity one

	mu       sync.Mutex
	node     *corev1.Node // as last seen
	pods     map[types.UID]*corev1.Pod
	podsSeen bool // the first list is in

	// Of the run goroutine alone:
	local    map[types.UID]*podRun
	finished map[types.UID]bool // rejected, or failed by somebody else: does not run again
	removed  map[types.UID]bool // deleted by us, whatever finalizers keep
	inUse    []corev1.UniqueVolumeName
	posted   time.Time // the last status
}

func newSession(k *Kubelet, b machine.Boot) *session {
	return &session{
		Kubelet:  k,
		boot:     b,
		poke:     make(chan struct{}, 1),
		pods:     make(map[types.UID]*corev1.Pod),
		local:    make(map[types.UID]*podRun),
		finished: make(map[types.UID]bool),
		removed:  make(map[types.UID]bool),
	}
}

// run is the kubelet's life in one boot.
func (s *session) run(ctx context.Context) {
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer s.stopAll()
	if !s.retry(ctx, "register", s.register) {
		return
	}
	helpers.Go(func() { s.renewLease(ctx) })
	helpers.Go(func() { s.followNode(ctx) })
	helpers.Go(func() { s.followPods(ctx) })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for s.alive(ctx) {
		s.sync(ctx)
		select {
		case <-s.poke:
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// alive waits while the machine is frozen or the kubelet paused, and returns
// false once the boot has ended.
func (s *session) alive(ctx context.Context) bool {
	return s.pause.wait(ctx) && s.boot.Power.Wait(ctx) && ctx.Err() == nil
}

// retry calls f until it succeeds; it returns false when the boot ends first.
func (s *session) retry(ctx context.Context, what string, f func(context.Context) error) bool {
	for s.alive(ctx) {
		err := s.call(ctx, f)
		if err == nil {
			return true
		}
		s.log.Warn("call failed, will be repeated", "call", what, "error", err)
		if !sleep(ctx, retryAfter) {
			return false
		}
	}
	return false
}

// call bounds one call, or a few that belong together.
func (s *session) call(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return f(ctx)
}

// changed wakes the run goroutine.
func (s *session) changed() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// seen returns what the watches know.
func (s *session) seen() (node *corev1.Node, pods map[types.UID]*corev1.Pod, complete bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node, maps.Clone(s.pods), s.node != nil && s.podsSeen
}

// sync makes what runs here follow the API, then posts the status if it is
// due. Every error is repeated by the next sync.
func (s *session) sync(ctx context.Context) {
	node, pods, complete := s.seen()
	if complete {
		for _, pod := range pods {
			s.syncPod(ctx, node, pod)
		}
		for uid, run := range s.local {
			if pods[uid] == nil { // force-deleted
				s.log.Info("pod vanished, stopping it", "pod", run.name)
				run.stop()
				delete(s.local, uid)
			}
		}
	}
	s.syncStatus(ctx, node)
}

func (s *session) stopAll() {
	for _, run := range s.local {
		run.stop()
	}
}

// sleep reports whether it slept through.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
