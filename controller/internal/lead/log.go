package lead

import (
	"context"
	"errors"
	"log/slog"

	"github.com/picket-dev/picket/controller/plan"
)

// log counts an action, and says what it did. Reads and what an agent is told
// are for debugging; everything that changes a node's fate is not.
func (l *Loop) log(o outcome) {
	result, level := "ok", slog.LevelInfo
	switch {
	case o.err == nil && routine(o.action):
		level = slog.LevelDebug
	case o.err == nil:
	case conflicts(o.err):
		result, level = "conflict", slog.LevelDebug
	case errors.Is(o.err, context.Canceled):
		result, level = "cancelled", slog.LevelDebug
	default:
		result, level = "error", slog.LevelWarn
	}
	l.Metrics.Acted(kind(o.action), result)
	attrs := append([]slog.Attr{slog.String("action", kind(o.action)), slog.String("result", result)}, about(o.action)...)
	if o.err != nil {
		attrs = append(attrs, slog.Any("error", o.err))
	}
	l.Log.LogAttrs(context.Background(), level, "acted", attrs...)
}

func routine(a plan.Action) bool {
	switch a.(type) {
	case plan.Look, plan.Survey, plan.PutGuard:
		return true
	}
	return false
}

// about returns what an action is about, under the keys of all our logs.
func about(a plan.Action) []slog.Attr {
	node := func(name string) slog.Attr { return slog.String("node", name) }
	fence := func(id string) slog.Attr { return slog.String("fence", id) }
	rule := func(r plan.Rule) slog.Attr { return slog.String("rule", string(r)) }
	switch a := a.(type) {
	case plan.PutRoll:
		return []slog.Attr{
			slog.String("history", a.Roll.History), slog.Int64("serial", a.Roll.Serial),
			slog.Int("entries", len(a.Roll.Entries)), slog.Int("epochs", len(a.Roll.Epochs)),
		}
	case plan.PutGuard:
		return []slog.Attr{node(a.Node)}
	case plan.DropGuard:
		return []slog.Attr{node(a.Node)}
	case plan.MakeFence:
		return []slog.Attr{node(a.Node), slog.String("reason", string(a.Reason))}
	case plan.PutFence:
		return []slog.Attr{
			node(a.Status.Node), fence(a.Status.Fence), slog.String("boot", a.Status.Boot),
			slog.String("phase", string(a.Status.Phase)), slog.String("waits_for", a.Status.WaitsFor),
		}
	case plan.DropFence:
		return []slog.Attr{slog.String("name", a.Name)}
	case plan.Look:
		return []slog.Attr{node(a.Node), fence(a.Fence)}
	case plan.Survey:
		return []slog.Attr{node(a.Node), fence(a.Fence)}
	case plan.PutTaints:
		return []slog.Attr{node(a.Node), fence(a.Fence), rule(a.Rule), slog.Any("taints", a.Taints)}
	case plan.SilencePods:
		return []slog.Attr{node(a.Node), fence(a.Fence), rule(plan.C4)}
	case plan.DeletePod:
		return []slog.Attr{fence(a.Fence), rule(plan.C6), slog.String("pod", a.Namespace+"/"+a.Name)}
	case plan.Event:
		return []slog.Attr{node(a.Node), rule(a.Rule), slog.String("reason", a.Reason), slog.String("message", a.Message)}
	}
	return nil
}
