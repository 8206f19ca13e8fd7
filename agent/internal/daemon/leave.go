package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A dismissal is the controller's word that Picket leaves this host. It cannot be
// taken back for this process.
type dismissal struct {
	once *sync.Once
	c    chan struct{}
}

func newDismissal() dismissal { return dismissal{new(sync.Once), make(chan struct{})} }

// tell says the word.
func (d dismissal) tell() { d.once.Do(func() { close(d.c) }) }

// done is closed once it was said.
func (d dismissal) done() <-chan struct{} { return d.c }

// told reports whether it was said.
func (d dismissal) told() bool {
	select {
	case <-d.c:
		return true
	default:
		return false
	}
}

// uninstalling reports whether Picket leaves this host: the controller says so, or
// somebody has left the mark on the host.
func (d *Daemon) uninstalling() bool {
	return d.dismissed.told() || host.Uninstalling(d.config.host())
}

// vacate takes Picket off a host that it leaves: the holder, the gate, and where
// the controller has said so also the directories. It returns what is left.
func (d *Daemon) vacate(ctx context.Context) error {
	if !d.uninstalling() {
		return nil
	}
	err := d.remove(ctx)
	d.removeGate(ctx)
	if err == nil && d.dismissed.told() {
		err = host.Vacate(d.config.host(), d.config.Holder.Others()...)
	}
	if err != nil {
		d.log.Error("Picket stays on the host", "rule", "A13", "err", err)
	}
	return err
}

// remove takes the holder off, where the node could become unarmed; the holder
// itself must have stopped its device.
func (d *Daemon) remove(ctx context.Context) error {
	if v := d.verdict.Load(); v != nil && v.Memory.Promise.Armed {
		return errors.New("the holder stays: the node is armed")
	}
	return d.launcher.Remove(ctx)
}

// errCalledBack ends a worker whose host Picket is not to leave after all: its
// supervisor starts a new one.
var errCalledBack = errors.New("the controller wants this node guarded again")

const (
	// sayAgain is the pause before a last word that did not come through is said
	// again.
	sayAgain = 2 * time.Second
	// sayWithin bounds one try.
	sayWithin = 5 * time.Second
)

// linger says in the NodeGuard that the host is clean, or what is left, and keeps
// the pod from being started again, until it is ended or called back. Nothing of
// Picket runs here any more.
func (d *Daemon) linger(ctx context.Context, left error) error {
	v := d.verdict.Load()
	if v == nil {
		return nil
	}
	status := v.Status
	word := d.statusOf(status)
	word.Reason, word.Message = v1alpha1.ReasonUninstalled, ""
	if left != nil {
		word.Reason, word.Message = v1alpha1.ReasonHolderStays, left.Error()
	}
	d.log.Info("Picket has left this host", "rule", "A13", "reason", word.Reason, "message", word.Message)
	guards := newMailbox[*v1alpha1.NodeGuard]()
	watch, end := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { d.api.WatchGuard(watch, func(g *v1alpha1.NodeGuard) { guards.put(g) }) })
	defer watching.Wait()
	defer end()
	say := time.NewTimer(0)
	defer say.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case g := <-guards:
			switch {
			case g == nil: // it is deleted at the end
				say.Stop()
			case g.Spec.Unarmed != string(v1alpha1.Uninstall):
				return errCalledBack
			case g.Status.Reason != word.Reason || g.Status.BootID != word.BootID:
				say.Reset(0)
			}
		case <-say.C:
			try, end := context.WithTimeout(ctx, sayWithin)
			if _, err := d.api.Publish(try, word); err != nil {
				d.log.Debug("publish the last status", "err", err)
				say.Reset(sayAgain)
			}
			end()
		}
	}
}
