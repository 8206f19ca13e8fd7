package daemon

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/picket-dev/picket/agent/internal/clock"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

const (
	// retireEvery is how often is looked at whether the old keys may go.
	retireEvery = time.Second
	// retireAfter is how long they are kept once all neighbours know the new one:
	// for nodes that only ask this one as a witness, and hear of it from the
	// controller at the same time.
	retireAfter = time.Minute
)

// RotateKey answers `picket-agent rotate-key`.
func (a *admin) RotateKey(_ context.Context, req *peerv1.RotateKeyRequest) (*peerv1.RotateKeyReply, error) {
	if req.GetBegin() {
		if err := a.d.rotateKey("somebody has asked for one"); err != nil {
			return nil, status.Error(codes.FailedPrecondition, err.Error())
		}
	}
	keys := a.d.identity.Fingerprints()
	r := &peerv1.RotateKeyReply{Fingerprint: keys[0], Old: keys[1:]}
	r.WaitsFor, r.Away = a.d.uninformed()
	return r, nil
}

// rotateKey makes a new key and publishes it (DESIGN §9). Peers that know only an
// old one are served with that until retireKeys lets it go, so there is no gap.
func (d *Daemon) rotateKey(why string) error {
	newest, err := d.identity.Rotate()
	if err != nil {
		return err
	}
	d.log.Info("this agent has a new key", "key", newest, "why", why)
	select {
	case d.republish <- struct{}{}:
	default: // it is to be published already
	}
	return nil
}

// revoked takes the deletion of the NodeGuard for the word that the key is not to
// be trusted any more: whoever has stolen it loses it, since nobody pins it again.
func (d *Daemon) revoked() {
	if d.uninstalling() {
		return // nobody is to be talked to any more
	}
	if err := d.rotateKey("the NodeGuard was deleted, which revokes the old one"); err != nil {
		d.log.Error("the key is revoked, and there is no new one", "err", err)
	}
}

// uninformed returns the neighbours that do not know the newest key: those that
// answer under an old one, and those that do not answer at all.
func (d *Daemon) uninformed() (waits, away []string) {
	s := d.spec.Load()
	if s == nil {
		return nil, nil
	}
	newest, now := d.identity.Fingerprint(), clock.Now()
	for _, n := range s.Neighbours {
		at, answered := d.client.Answered(n.Node)
		switch {
		case !answered || at.Age(now) > d.profile().LostAfter():
			away = append(away, n.Node)
		case d.client.Accepted(n.Node) != newest:
			waits = append(waits, n.Node)
		}
	}
	return waits, away
}

// retireKeys forgets old keys once nobody needs them, until ctx ends.
func (d *Daemon) retireKeys(ctx context.Context) {
	var r retirement
	again(ctx, retireEvery, func() time.Duration {
		keys := d.identity.Fingerprints()
		waits, away := d.uninformed()
		spec := d.spec.Load()
		if spec == nil || len(keys) == 1 || !r.due(keys[0], len(waits), len(spec.Neighbours)-len(waits)-len(away), clock.Now()) {
			return retireEvery
		}
		if err := d.identity.Retire(keys[0]); err != nil {
			d.log.Warn("the old keys stay", "err", err)
			return retireAfter
		}
		d.log.Info("the old keys are forgotten: the neighbours know the new one", "key", keys[0], "old", keys[1:])
		return retireEvery
	})
}

// A retirement decides when old keys may go.
type retirement struct {
	newest string
	since  timing.Instant // since when nobody waits for that key; zero: somebody does
}

// due reports whether the newest key is known by some neighbour, and no other one
// has waited for it for long enough. One that is away for so long learns it from
// the API when it is back; but while nobody shows that the API has told of it, all
// may need the old one.
func (r *retirement) due(newest string, waits, informed int, now timing.Instant) bool {
	if waits > 0 || informed == 0 || newest != r.newest {
		*r = retirement{newest: newest}
	}
	if waits > 0 || informed == 0 {
		return false
	}
	if r.since.IsZero() {
		r.since = now
	}
	return r.since.Elapsed(now) >= retireAfter
}
