package lead

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/internal/kube"
	"github.com/picket-dev/picket/controller/internal/metrics"
	"github.com/picket-dev/picket/controller/plan"
	"github.com/picket-dev/picket/proto/timing"
)

// A world is a bubble's planner and API, which note what happens and when.
type world struct {
	mu     sync.Mutex
	began  time.Time
	notes  []string
	urgent chan struct{}
	loop   *Loop

	plans   func(n int, now timing.Instant) ([]plan.Action, time.Duration) // n counts from 1; the duration is until wake
	planned int
	gather  time.Duration // how long World takes
	read    func(ctx context.Context) error
	do      func(ctx context.Context, a plan.Action) (any, error)
}

func newWorld() *world {
	w := &world{began: time.Now(), urgent: make(chan struct{}, 1)}
	w.loop = &Loop{
		Planner: w, API: w, Urgent: w.urgent, Now: w.now, Leading: func() error { return nil },
		Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler),
	}
	return w
}

// run runs the loop in the bubble for d.
func (w *world) run(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.loop.Run(ctx) })
	time.Sleep(d) //nolint:forbidigo // the bubble's time
	stop()
	running.Wait()
}

func (w *world) now() timing.Instant { return timing.At(time.Second + time.Since(w.began)) }

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf("%4dms ", time.Since(w.began).Milliseconds())+fmt.Sprintf(format, args...))
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if diff := cmp.Diff(want, w.notes); diff != "" {
		t.Errorf("what happened (-want +got):\n%s", diff)
	}
}

func (w *world) Plan(now timing.Instant, _ plan.World) ([]plan.Action, timing.Instant) {
	w.planned++
	w.note("plan")
	if w.plans == nil {
		return nil, now.Add(time.Hour)
	}
	actions, wake := w.plans(w.planned, now)
	return actions, now.Add(wake)
}

func (w *world) Saw(_ timing.Instant, s plan.Saw)           { w.note("saw %s", s.Fence) }
func (w *world) Surveyed(_ timing.Instant, s plan.Surveyed) { w.note("surveyed %s", s.Fence) }

func (w *world) ReadRoll(ctx context.Context) error {
	w.note("read")
	if w.read == nil {
		return nil
	}
	return w.read(ctx)
}

func (w *world) World() plan.World {
	time.Sleep(w.gather) //nolint:forbidigo // the bubble's time
	return plan.World{}
}

func (w *world) Do(ctx context.Context, a plan.Action) (any, error) {
	w.note("%s", key(a))
	if w.do == nil {
		return nil, nil
	}
	return w.do(ctx, a)
}

// once plans these actions the first time, and nothing after that.
func once(actions ...plan.Action) func(int, timing.Instant) ([]plan.Action, time.Duration) {
	return func(n int, _ timing.Instant) ([]plan.Action, time.Duration) {
		if n > 1 {
			actions = nil
		}
		return actions, time.Hour
	}
}

func TestIdleLoopReadsAndPlansEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.run(t, 2500*time.Millisecond)
		w.expect(t, "   0ms read", "   0ms plan", "1000ms read", "1000ms plan", "2000ms read", "2000ms plan")
	})
}

// PROTOCOL.md step 6: c is read after the last acknowledgement, the epochs and
// the NodeGuard, so the clock comes after the world.
func TestClockIsReadAfterTheWorld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.gather = 300 * time.Millisecond
		var at []time.Duration
		w.plans = func(_ int, now timing.Instant) ([]plan.Action, time.Duration) {
			at = append(at, now.Raw-time.Second)
			return nil, time.Hour
		}
		w.run(t, 400*time.Millisecond)
		if diff := cmp.Diff([]time.Duration{300 * time.Millisecond}, at); diff != "" {
			t.Error(diff)
		}
	})
}

// C10 is the planner's: it needs that nothing is planned on a Roll that could
// not be read.
func TestNoPlanWithoutARoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		broken := func() bool { s := time.Since(w.began); return s > 500*time.Millisecond && s < 4500*time.Millisecond }
		w.read = func(context.Context) error {
			if broken() {
				return errors.New("no answer")
			}
			return nil
		}
		w.plans = func(int, timing.Instant) ([]plan.Action, time.Duration) { return nil, 700 * time.Millisecond }
		w.run(t, 5*time.Second)
		w.notes = slices.DeleteFunc(w.notes, func(n string) bool { return n[7:] == "read" })
		w.expect(t, "   0ms plan", " 700ms plan", "1400ms plan", "4701ms plan")
	})
}

// A read that hangs is given up in time.
func TestHangingReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		hang := true
		w.read = func(ctx context.Context) error {
			if hang {
				hang = false
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		w.run(t, 2500*time.Millisecond)
		w.expect(t, "   0ms read", "2100ms read", "2100ms plan")
	})
}

func TestPlanFollowsSuccessAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.plans = once(plan.PutTaints{Node: "a"})
		w.do = func(context.Context, plan.Action) (any, error) {
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the bubble's time
			return nil, nil
		}
		w.run(t, 900*time.Millisecond)
		w.expect(t, "   0ms read", "   0ms plan", "   0ms taints/a", "  20ms plan")
	})
}

func TestAnswersGoToThePlanner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.plans = once(plan.Look{Fence: "f"})
		w.do = func(context.Context, plan.Action) (any, error) { return plan.Saw{Fence: "f"}, nil }
		w.run(t, 900*time.Millisecond)
		w.expect(t, "   0ms read", "   0ms plan", "   0ms look/f", "   0ms saw f", "   5ms plan")

		w = newWorld()
		w.plans = once(plan.Survey{Fence: "f"})
		w.do = func(context.Context, plan.Action) (any, error) { return plan.Surveyed{Fence: "f"}, nil }
		w.run(t, 900*time.Millisecond)
		w.expect(t, "   0ms read", "   0ms plan", "   0ms survey/f", "   0ms surveyed f", "   5ms plan")
	})
}

func TestConflictReadsTheRollBeforeTheNextPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.plans = once(plan.PutGuard{Node: "a"})
		w.do = func(context.Context, plan.Action) (any, error) {
			return nil, fmt.Errorf("write: %w", kube.ErrConflict)
		}
		w.run(t, 900*time.Millisecond)
		w.expect(t, "   0ms read", "   0ms plan", "   0ms guard/a", "   5ms read", "   5ms plan")
	})
}

func TestErrorsBackOff(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want []time.Duration
	}{
		"error":    {errors.New("broken"), []time.Duration{0, 100, 300, 700, 1200}},
		"conflict": {kube.ErrConflict, []time.Duration{0, 5, 205, 605, 1105}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.plans = func(int, timing.Instant) ([]plan.Action, time.Duration) {
					return []plan.Action{plan.PutTaints{Node: "a"}}, time.Hour
				}
				var at []time.Duration
				w.do = func(context.Context, plan.Action) (any, error) {
					at = append(at, time.Since(w.began)/time.Millisecond)
					return nil, test.err
				}
				w.run(t, 1500*time.Millisecond)
				if diff := cmp.Diff(test.want, at); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// Of one thing, one action runs at a time; of different things, all run at once,
// and a slow one keeps nobody waiting.
func TestActionsRunAtOnceButOnePerThing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.plans = func(int, timing.Instant) ([]plan.Action, time.Duration) {
			return []plan.Action{plan.PutRoll{}, plan.Look{Fence: "slow"}, plan.Look{Fence: "quick"}}, 10 * time.Millisecond
		}
		var mu sync.Mutex
		begun := map[string]int{}
		w.do = func(ctx context.Context, a plan.Action) (any, error) {
			mu.Lock()
			begun[key(a)]++
			mu.Unlock()
			if key(a) == "look/slow" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // the bubble's time
			return nil, nil
		}
		w.run(t, 950*time.Millisecond)
		if begun["look/slow"] != 1 || begun["look/quick"] < 4 || begun["roll"] < 4 {
			t.Errorf("begun: %v", begun)
		}
	})
}

// Reads and writes of the Roll have one order, and a write of which nobody knows
// whether it was made is followed by a read.
func TestRollWritesAndReadsHaveAnOrder(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"written":      {nil, []string{"  50ms plan"}},
		"conflict":     {kube.ErrConflict, []string{"  50ms read", "  50ms plan"}},
		"nobody knows": {context.DeadlineExceeded, []string{"  50ms read", "  50ms plan"}},
		"not allowed":  {errors.New("forbidden"), []string{"  50ms read", "  50ms plan"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.plans = once(plan.PutRoll{})
				w.do = func(context.Context, plan.Action) (any, error) {
					time.Sleep(50 * time.Millisecond) //nolint:forbidigo // the bubble's time
					return nil, test.err
				}
				w.run(t, 900*time.Millisecond)
				w.expect(t, append([]string{"   0ms read", "   0ms plan", "   0ms roll"}, test.want...)...)
			})
		})
	}
}

func TestWakeIsHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.plans = func(int, timing.Instant) ([]plan.Action, time.Duration) { return nil, 333 * time.Millisecond }
		w.run(t, 900*time.Millisecond)
		w.expect(t, "   0ms read", "   0ms plan", " 333ms plan", " 666ms plan")
	})
}

func TestUrgencyIsHeededAndBundled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		urge := func(at time.Duration) {
			time.AfterFunc(at, func() {
				select {
				case w.urgent <- struct{}{}:
				default:
				}
			})
		}
		for i := range 50 {
			urge(100*time.Millisecond + time.Duration(i)*100*time.Microsecond)
		}
		w.run(t, 900*time.Millisecond)
		w.expect(t, "   0ms read", "   0ms plan", " 100ms plan", " 105ms plan")
	})
}

// A planner that wants to be called at once for ever does not burn a core.
func TestLoopBreathes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.plans = func(int, timing.Instant) ([]plan.Action, time.Duration) { return nil, -time.Second }
		w.run(t, 990*time.Millisecond)
		if w.planned > 200 {
			t.Errorf("%d plans in a second", w.planned)
		}
	})
}

// Whoever lost the lease does nothing more, even before anybody has told the
// loop so.
func TestNothingIsDoneAfterLeadershipEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.loop.Leading = func() error { return ErrLost }
		w.plans = func(int, timing.Instant) ([]plan.Action, time.Duration) {
			return []plan.Action{plan.PutRoll{}, plan.PutTaints{Node: "a"}, plan.DeletePod{UID: "u"}}, 10 * time.Millisecond
		}
		w.do = func(_ context.Context, a plan.Action) (any, error) {
			t.Errorf("did %s", key(a))
			return nil, nil
		}
		w.run(t, 5*time.Second)
	})
}

// Actions that wait for room when leadership ends are not begun, and Run waits
// for those that were.
func TestRunEndsWithItsActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var pods []plan.Action
		for i := range 100 {
			pods = append(pods, plan.DeletePod{UID: fmt.Sprint(i)})
		}
		w.plans = once(pods...)
		var mu sync.Mutex
		running, begun := 0, 0
		w.do = func(ctx context.Context, _ plan.Action) (any, error) {
			mu.Lock()
			running++
			begun++
			mu.Unlock()
			<-ctx.Done()
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
			mu.Lock()
			defer mu.Unlock()
			running--
			return nil, ctx.Err()
		}
		w.run(t, 100*time.Millisecond)
		if running != 0 || begun != cap(w.loop.bulk) {
			t.Errorf("%d actions were begun, and %d still run", begun, running)
		}
	})
}

// What the planner asks for only once is tried until it succeeds.
func TestSilenceIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.plans = once(plan.SilencePods{Fence: "f"})
		n := 0
		w.do = func(context.Context, plan.Action) (any, error) {
			if n++; n < 3 {
				return nil, errors.New("broken")
			}
			return nil, nil
		}
		w.run(t, 900*time.Millisecond)
		w.expect(t, "   0ms read", "   0ms plan", "   0ms silence/f", " 100ms silence/f", " 300ms silence/f", " 300ms plan")
	})
}

// Between two surveys the planner asks for the same deletions over and over.
func TestPodsAreDeletedOncePerSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.plans = func(int, timing.Instant) ([]plan.Action, time.Duration) {
			return []plan.Action{plan.DeletePod{UID: "u"}}, 50 * time.Millisecond
		}
		n := 0
		w.do = func(context.Context, plan.Action) (any, error) { n++; return nil, nil }
		w.run(t, 1900*time.Millisecond)
		if n != 2 {
			t.Errorf("deleted %d times in 1.9 s", n)
		}
	})
}

func TestTasksAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.plans = once(plan.DeletePod{UID: "u"}, plan.Look{Fence: "f"})
		w.do = func(context.Context, plan.Action) (any, error) { return nil, errors.New("broken") }
		w.run(t, time.Minute)
		if len(w.loop.tasks) != 0 {
			t.Errorf("still there: %v", w.loop.tasks)
		}
	})
}

func TestStuckLoopIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		if err := w.loop.Stuck(); err != nil {
			t.Errorf("a loop that never ran: %v", err)
		}
		early, late := make(chan error, 1), make(chan error, 1)
		time.AfterFunc(10*time.Second, func() { early <- w.loop.Stuck() })
		time.AfterFunc(50*time.Second, func() { late <- w.loop.Stuck() })
		w.gather = time.Minute
		w.run(t, 55*time.Second)
		if e, l := <-early, <-late; e != nil || l == nil {
			t.Errorf("after 10 s: %v; after 50 s: %v", e, l)
		}
		if err := w.loop.Stuck(); err != nil {
			t.Errorf("a loop that has ended: %v", err)
		}
	})
}
