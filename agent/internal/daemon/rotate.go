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
	// retireAfter is how long nobody may have needed them: the API tells all nodes
	// at about the same time, and the slowest of them has this much more.
	retireAfter = time.Minute
	// remindAfter is how long the API has told of a key before a node that calls
	// under an old one is more than slow.
	remindAfter = 10 * time.Minute
	// keepLongest is how long old keys are kept for those of whom is not known
	// whether they need them: nodes that are away, and askers who prove nothing. It
	// is also how often is said who needs them.
	keepLongest = time.Hour
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
	who := a.d.pinning()
	r.WaitsFor, r.Away = who.waits, who.away
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
	d.publishAnew()
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

// retireKeys forgets old keys once nobody needs them, until ctx ends.
//
// An old key is never in the way. It lets nobody in: what a key is good for is
// decided by the pins of the other nodes, and they change when the API tells them. A
// thief of it has lost every node that was told, and keeps those that were not,
// whether this agent has the key still or no more; so what revokes a key is the
// NodeGuard and not this. Who is harmed by haste is a node without the API, which
// knows only the old key, is refused, gets no roll, and resets. Nodes that prove who
// they are keep it as long as they call under it, and others, who might be anybody,
// for an hour. There are never more than a handful.
func (d *Daemon) retireKeys(ctx context.Context) {
	var r retirement
	again(ctx, retireEvery, func() time.Duration {
		keys := d.identity.Fingerprints()
		if d.spec.Load() == nil || len(keys) == 1 {
			return retireEvery
		}
		who, now := d.pinning(), clock.Now()
		due := r.due(keys[0], who, now)
		if r.remind(who, now) {
			d.log.Warn("an old key is kept: nodes call this one under it that have not been told of the new one",
				"nodes", who.waits, "key", keys[0], "old", keys[1:], "do", "see why these nodes hear nothing from the API")
		}
		if !due {
			return retireEvery
		}
		if err := d.identity.Retire(keys[0]); err != nil {
			d.log.Warn("the old keys stay", "err", err)
			return retireAfter
		}
		if who.asked {
			d.log.Warn("the old keys are forgotten, though somebody asks for statements under one still", "key", keys[0], "old", keys[1:],
				"do", "nothing, unless a node logs that it has refused this one's key: see then why it hears nothing from the API")
			return retireEvery
		}
		d.log.Info("the old keys are forgotten: nobody needs them", "key", keys[0], "old", keys[1:])
		return retireEvery
	})
}

// A retirement decides when old keys may go.
type retirement struct {
	newest   string
	told     timing.Instant // since when somebody knows that key: the API has told of it
	quiet    timing.Instant // since when nobody needs another one; zero: somebody does
	reminded timing.Instant // when was last said who does
}

// due reports whether the newest key is known to somebody, and nobody has needed
// another one for long enough. While nobody shows that the API has told of it, all
// may need the old one.
func (r *retirement) due(newest string, who pinning, now timing.Instant) bool {
	if newest != r.newest {
		*r = retirement{newest: newest}
	}
	if who.informed && r.told.IsZero() {
		r.told = now
	}
	asked := who.asked && r.told.Elapsed(now) < keepLongest
	if !who.informed || len(who.waits) > 0 || who.owed || asked {
		r.quiet = timing.Instant{}
		return false
	}
	if r.quiet.IsZero() {
		r.quiet = now
	}
	return r.quiet.Elapsed(now) >= retireAfter
}

// remind reports whether it is to be said now who still needs an old key.
func (r *retirement) remind(who pinning, now timing.Instant) bool {
	late := len(who.waits) > 0 && !r.told.IsZero() && r.told.Elapsed(now) >= remindAfter
	if !late || !r.reminded.IsZero() && r.reminded.Elapsed(now) < keepLongest {
		return false
	}
	r.reminded = now
	return true
}
