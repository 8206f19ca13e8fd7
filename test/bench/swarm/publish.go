package swarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

const (
	// publishAgain and publishAnyway are the real agent's.
	publishAgain  = 250 * time.Millisecond
	publishAnyway = 5 * time.Minute
)

// put replaces the status that waits to be published.
func (a *agent) put(s decide.Status) {
	select {
	case <-a.statuses:
	default:
	}
	a.statuses <- s
}

// publish writes the newest status whenever it is not the one that was
// acknowledged last.
func (a *agent) publish(ctx context.Context) {
	var want, said decide.Status
	var acked bool
	var status v1alpha1.NodeGuardStatus
	again := time.NewTimer(publishAnyway)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case want = <-a.statuses:
		case <-again.C:
			acked = false
		}
		if want.Phase == decide.PhaseUnknown || acked && said.Equal(want) {
			continue
		}
		sent := now()
		a.say(&status, want)
		if err := a.write(ctx, status); err != nil {
			acked = false
			again.Reset(publishAgain)
			continue
		}
		said, acked = want, true
		again.Reset(publishAnyway)
		a.tell(ctx, decide.Published{Status: want, Sent: sent})
	}
}

// errUnread means that no NodeGuard was seen yet.
var errUnread = errors.New("no NodeGuard was seen yet")

// write sends the status under the precondition of what was last seen, and once
// more after a conflict.
func (a *agent) write(ctx context.Context, status v1alpha1.NodeGuardStatus) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	seen := a.guard.Load()
	if seen == nil {
		return errUnread
	}
	err := a.writeOver(ctx, seen, status)
	if !apierrors.IsConflict(err) {
		return err
	}
	if seen, err = a.api.NodeGuards.Get(ctx, a.name); err != nil {
		return err
	}
	return a.writeOver(ctx, seen, status)
}

func (a *agent) writeOver(ctx context.Context, seen *v1alpha1.NodeGuard, status v1alpha1.NodeGuardStatus) error {
	guard, err := a.api.NodeGuards.UpdateStatus(ctx, &v1alpha1.NodeGuard{
		ObjectMeta: metav1.ObjectMeta{Name: a.name, UID: seen.UID, ResourceVersion: seen.ResourceVersion},
		Status:     status,
	})
	if err == nil {
		a.guard.Store(guard)
	}
	return err
}

// say brings the NodeGuard's status up to date.
func (a *agent) say(to *v1alpha1.NodeGuardStatus, s decide.Status) {
	key := sha256.Sum256([]byte(a.name))
	conditions := to.Conditions
	*to = v1alpha1.NodeGuardStatus{
		Protocol: 1, Writes: to.Writes + 1,
		BootID: a.boot, MachineID: machineOf(a.name), SystemUUID: machineOf(a.name),
		Addresses: []string{"127.0.0.1:1"}, Fingerprint: hex.EncodeToString(key[:]),
		Phase: s.Phase.String(), Reason: string(s.Reason), Message: s.Message,
		Promise: v1alpha1.PromiseOf(s.Promise),
		Acked:   v1alpha1.Acked{History: s.History, Serial: s.Serial, Fences: s.Fences, Streak: s.Streak},
		Refutes: s.Refutes, Lost: s.Lost,
		Storage: v1alpha1.Storage{State: v1alpha1.StorageClean},
		Version: "swarm",
	}
	for kind, on := range map[string]bool{
		v1alpha1.ConditionPeersLost:          s.PeersLost,
		v1alpha1.ConditionHistoryBroken:      s.HistoryBroken != "",
		v1alpha1.ConditionStorageUnreachable: s.StorageUnreachable,
	} {
		c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: "AsExpected"}
		if on {
			c.Status, c.Reason = metav1.ConditionTrue, kind
		}
		meta.SetStatusCondition(&conditions, c)
	}
	to.Conditions = conditions
}
