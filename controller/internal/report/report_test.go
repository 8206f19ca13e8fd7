package report

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// Bars lie side by side on one axis, as long as the longest story, but for one
// that goes on for days.
func TestBars(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	fence := func(name string, phase v1alpha1.NodeFencePhase, began time.Duration, steps ...time.Duration) v1alpha1.NodeFence {
		f := v1alpha1.NodeFence{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.NodeFenceSpec{Node: name}}
		f.CreationTimestamp = metav1.Time{Time: now.Add(-began)}
		f.Status = v1alpha1.NodeFenceStatus{Node: name, BootID: "b", Phase: phase}
		for _, at := range steps {
			f.Status.Timeline = append(f.Status.Timeline, v1alpha1.Step{
				At: metav1.NewMicroTime(now.Add(at - began)), Rule: "C1", What: "step",
			})
		}
		return f
	}
	for _, tt := range []struct {
		name   string
		fences []v1alpha1.NodeFence
		axis   time.Duration
		bars   [][]Bar // in the report's order: the newest first
	}{
		{"over", []v1alpha1.NodeFence{fence("a", v1alpha1.FenceRefuted, time.Minute, 0, 10*time.Second, 20*time.Second)}, 20 * time.Second, [][]Bar{{
			{"C1", "C1 10.0 s", "C1 step (10.0 s)", 0, 50}, {"C1", "C1 10.0 s", "C1 step (10.0 s)", 50, 50},
		}}},
		{"open", []v1alpha1.NodeFence{fence("a", v1alpha1.FenceSuspected, 40*time.Second, 0, 10*time.Second)}, 40 * time.Second, [][]Bar{{
			{"C1", "C1 10.0 s", "C1 step (10.0 s)", 0, 25}, {"C1", "C1 30.0 s", "C1 step (30.0 s)", 25, 75},
		}}},
		{"off for days", []v1alpha1.NodeFence{fence("a", v1alpha1.FenceDetached, 48*time.Hour, 0, 90*time.Second)}, 3 * time.Minute, [][]Bar{{
			{"C1", "C1 90.0 s", "C1 step (90.0 s)", 0, 50}, {"C1", "C1 90.0 s", "C1 step (90.0 s)", 50, 50},
		}}},
		{"new", []v1alpha1.NodeFence{fence("a", "", 5*time.Second)}, 10 * time.Second, [][]Bar{{
			{"", " 5.0 s", "  (5.0 s)", 0, 50},
		}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New(&view.Snapshot{Now: now, Fences: tt.fences}, "c", "v")
			if r.Axis != tt.axis {
				t.Errorf("axis %v, want %v", r.Axis, tt.axis)
			}
			var got [][]Bar
			for _, f := range r.Fences {
				got = append(got, f.Bars)
			}
			if diff := cmp.Diff(tt.bars, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What objects say is text, never markup.
func TestTextIsEscaped(t *testing.T) {
	evil := `<script>alert("x")</script>`
	f := v1alpha1.NodeFence{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: v1alpha1.NodeFenceSpec{Node: "a", Requester: evil, Reason: evil}}
	f.Status.Timeline = []v1alpha1.Step{{At: metav1.NewMicroTime(time.Unix(0, 0)), Rule: evil, What: evil}}
	g := v1alpha1.NodeGuard{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	g.Status.BootID, g.Status.Message, g.Status.Reason, g.Status.Watchdog.Driver = "b", evil, evil, evil
	s := &view.Snapshot{Now: time.Unix(60, 0), Fences: []v1alpha1.NodeFence{f}, Guards: []v1alpha1.NodeGuard{g}, Gaps: []view.Gap{{Kind: view.KindNodes, Why: evil}}}
	var page writer
	if err := New(s, evil, evil).Write(&page); err != nil {
		t.Fatal(err)
	}
	if page.holds("<script") || !page.holds("&lt;script&gt;") {
		t.Error("the page holds a script")
	}
}

type writer struct{ strings.Builder }

func (w *writer) holds(text string) bool { return strings.Contains(w.String(), text) }
