package uninstall

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A13: nothing goes on past a node that is armed, whatever else it says; nor past
// one whose moved volumes may still be mapped (A14), however late it is.
func TestA13_AnArmedNodeStopsTheUninstall(t *testing.T) {
	guard := func(boot string, armed bool, reason string) *v1alpha1.NodeGuard {
		return &v1alpha1.NodeGuard{Spec: v1alpha1.NodeGuardSpec{Unarmed: "Observe"}, Status: v1alpha1.NodeGuardStatus{
			BootID: boot, Promise: v1alpha1.Promise{Armed: armed}, Phase: "Unarmed", Reason: reason, Message: "drain it", Version: "v0.2.0",
		}}
	}
	// back is a guard of boot b2, on a node whose boot b was fenced.
	back := func(g *v1alpha1.NodeGuard, state, of string) *v1alpha1.NodeGuard {
		g.Spec.FencedBoot = "b"
		g.Status.Storage = v1alpha1.Storage{State: state, FencedBoot: of, Message: "sdb is mapped"}
		return g
	}
	told := &v1alpha1.NodeGuard{Spec: v1alpha1.NodeGuardSpec{FencedBoot: "b"}}
	untold := guard("b", true, "")
	untold.Spec.Unarmed = ""
	leaving := guard("b", false, "Stopping") // it says that it is unarmed, and becomes it
	leaving.Status.Phase = "Leaving"
	type word struct {
		state state
		says  string
	}
	same := func(s state, says string) [2]word { return [2]word{{s, says}, {s, says}} }
	for name, tt := range map[string]struct {
		host host
		want [2]word // in time, and late
	}{
		"never guarded":           {host{boot: "b"}, same(clean, "")},
		"an agent that never ran": {host{boot: "b", guard: &v1alpha1.NodeGuard{}}, same(clean, "")},
		"clean":                   {host{boot: "b", ready: true, guard: guard("b", false, "Uninstalled")}, same(clean, "")},
		"nowayout":                {host{boot: "b", ready: true, guard: guard("b", false, "HolderStays")}, same(leftBehind, "drain it")},
		"at work":                 {host{boot: "b", ready: true, guard: guard("b", false, "Stopping")}, [2]word{{waiting, "Unarmed"}, {leftBehind, "has not cleaned the host"}}},
		"armed":                   {host{boot: "b", ready: true, guard: guard("b", true, "")}, same(stillArmed, "asked to leave")},
		"armed, and says it left": {host{boot: "b", ready: true, guard: guard("b", true, "Uninstalled")}, same(stillArmed, "asked")},
		"armed, and nobody asked": {host{boot: "b", ready: true, guard: untold}, same(stillArmed, "was not told")},
		"armed and cut off":       {host{boot: "b", guard: guard("b", true, "")}, same(stillArmed, "delete its Node")},
		"on its way from armed":   {host{boot: "b", ready: true, guard: leaving}, same(stillArmed, "asked to leave")},
		"cut off on its way":      {host{boot: "b", guard: leaving}, same(stillArmed, "delete its Node")},
		"armed in another boot":   {host{boot: "b", ready: true, guard: guard("b2", true, "")}, same(stillArmed, "in boot b2")},
		"another boot was fenced": {host{boot: "b2", ready: true, guard: guard("b2", true, ""), dead: "b"}, same(stillArmed, "asked")},

		"fenced to the end":                   {host{boot: "b", guard: guard("b", true, ""), dead: "b"}, same(leftBehind, "was fenced")},
		"fenced by a person, to the end":      {host{boot: "b", guard: guard("b", false, ""), dead: "b"}, same(leftBehind, "was fenced")},
		"fenced, and not seen to be off":      {host{boot: "b", ready: true, guard: guard("b", true, ""), dead: "b"}, same(waiting, "moved")},
		"fenced, and the new boot is silent":  {host{boot: "b2", ready: true, guard: guard("b", true, ""), dead: "b"}, same(waiting, "moved")},
		"fenced, and its guard was deleted":   {host{boot: "b2", ready: true, guard: told, dead: "b"}, same(waiting, "moved")},
		"fenced, and it has no guard":         {host{boot: "b2", ready: true, dead: "b"}, same(waiting, "moved")},
		"fenced and off, and it has no guard": {host{boot: "b", dead: "b"}, same(clean, "")},

		"back, and not told of the fence": {host{boot: "b2", ready: true, guard: guard("b2", false, "Uninstalled"), dead: "b"}, same(waiting, "moved")},
		"back and dirty":                  {host{boot: "b2", ready: true, guard: back(guard("b2", false, "Stopping"), "Dirty", "b"), dead: "b"}, same(waiting, "Dirty: sdb is mapped")},
		"back and dirty, and NotReady":    {host{boot: "b2", guard: back(guard("b2", false, "Stopping"), "Dirty", "b"), dead: "b"}, same(waiting, "delete its Node")},
		"dirty, and says it left":         {host{boot: "b2", ready: true, guard: back(guard("b2", false, "Uninstalled"), "Dirty", "b"), dead: "b"}, same(waiting, "reboot it")},
		"dirty, and its holder stays":     {host{boot: "b2", ready: true, guard: back(guard("b2", false, "HolderStays"), "Dirty", "b"), dead: "b"}, same(waiting, "reboot it")},
		"dirty, and the fence is gone":    {host{boot: "b2", ready: true, guard: back(guard("b2", false, "Uninstalled"), "Dirty", "b")}, same(waiting, "moved")},
		"clean of another fence":          {host{boot: "b2", ready: true, guard: back(guard("b2", false, "Uninstalled"), "Clean", "b0"), dead: "b"}, same(waiting, "moved")},
		"clean of the fence":              {host{boot: "b2", ready: true, guard: back(guard("b2", false, "Uninstalled"), "Clean", "b"), dead: "b"}, same(clean, "")},
		"clean of the fence, and at work": {host{boot: "b2", ready: true, guard: back(guard("b2", false, "Stopping"), "Clean", "b"), dead: "b"}, [2]word{{waiting, "Unarmed"}, {leftBehind, "has not cleaned the host"}}},
		"cleaned in the same boot":        {host{boot: "b", ready: true, guard: back(guard("b", false, "Uninstalled"), "Clean", "b"), dead: "b"}, same(clean, "")},
		"dirty and armed":                 {host{boot: "b2", ready: true, guard: back(guard("b2", true, ""), "Dirty", "b"), dead: "b"}, same(stillArmed, "asked")},
	} {
		for i, want := range tt.want {
			got, note := tt.host.judge(i == 1)
			if got != want.state || !strings.Contains(note, want.says) || (note == "") != (want.says == "") {
				t.Errorf("%s, late %v: %d %q, want %d with %q", name, i == 1, got, note, want.state, want.says)
			}
		}
	}
}

// The controller tells agents to leave once no node is armed: their time begins then.
func TestNoAgentIsLateWhileANodeIsArmed(t *testing.T) {
	s := newSite(t, map[string]bool{"ready": true, "last": true})
	u, api := newRun(t, s.kube, agents(map[string]v1alpha1.NodeGuardStatus{
		"ready": {BootID: "b", Phase: "Unarmed", Reason: "Observe"},
		"last":  {BootID: "b", Promise: v1alpha1.Promise{Armed: true}},
	}))
	u.since = time.Now().Add(-u.Patience + 20*time.Millisecond)
	ctx := api.forLooks(20)
	last, looks := api.saw, 0
	api.saw = func(method, path string) {
		if last(method, path); path == fencePath {
			looks++
		}
		if looks == 15 {
			maps.Copy(api.objects, agents(map[string]v1alpha1.NodeGuardStatus{"last": {BootID: "b", Reason: v1alpha1.ReasonUninstalled}}))
		}
	}
	if err := u.awaitHosts(ctx); err == nil || !strings.Contains(err.Error(), "cleaning ready (Unarmed)") {
		t.Errorf("%v, want it to wait for the agent that is about to leave", err)
	}
}

// Only Picket's taints and annotations go, on exactly the version that was read.
func TestOnlyPicketsTaintsAreLifted(t *testing.T) {
	ours := corev1.Taint{Key: "picket.dev/fenced", Value: "b", Effect: corev1.TaintEffectNoExecute}
	outOfService := corev1.Taint{Key: corev1.TaintNodeOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}
	other := corev1.Taint{Key: "example.org/x", Effect: corev1.TaintEffectNoSchedule}
	for name, tt := range map[string]struct {
		annotations map[string]string
		taints      []corev1.Taint
		want        string
	}{
		"none":             {nil, []corev1.Taint{other}, ""},
		"somebody else's":  {nil, []corev1.Taint{outOfService}, ""},
		"quarantine":       {map[string]string{"picket.dev/fence": "f", "x": "y"}, []corev1.Taint{ours, other}, `{"picket.dev/fence":null} [{"effect":"NoSchedule","key":"example.org/x"}]`},
		"both":             {map[string]string{"picket.dev/fence": "f", "picket.dev/out-of-service": "f"}, []corev1.Taint{outOfService, ours}, `{"picket.dev/fence":null,"picket.dev/out-of-service":null} []`},
		"annotation alone": {map[string]string{"picket.dev/fence": "f"}, nil, `{"picket.dev/fence":null} null`},
	} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "7", Annotations: tt.annotations}, Spec: corev1.NodeSpec{Taints: tt.taints}}
		patch, ok := untaint(n)
		if ok != (tt.want != "") {
			t.Errorf("%s: %v", name, ok)
		}
		if !ok {
			continue
		}
		var got struct {
			Metadata struct {
				ResourceVersion string
				Annotations     json.RawMessage
			}
			Spec struct{ Taints any }
		}
		if err := json.Unmarshal(patch, &got); err != nil {
			t.Fatal(err)
		}
		taints, err := json.Marshal(got.Spec.Taints)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(tt.want, string(got.Metadata.Annotations)+" "+string(taints)); d != "" || got.Metadata.ResourceVersion != "7" {
			t.Errorf("%s: version %q %s", name, got.Metadata.ResourceVersion, d)
		}
	}
}
