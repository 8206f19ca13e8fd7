package daemon

import (
	"cmp"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/timing"
)

// watchdogPolicy is the controller's word on the choice of a device; nil before
// it has spoken.
func (d *Daemon) watchdogPolicy() *peerv1.WatchdogPolicy {
	s := d.spec.Load()
	if s == nil {
		return nil
	}
	profile := s.Timing.Resolve(timing.Standard())
	p := &peerv1.WatchdogPolicy{
		Prefer: string(cmp.Or(s.Watchdog.Prefer, v1alpha1.PreferHardware)), Device: s.Watchdog.Device,
		Systemd:     string(cmp.Or(s.Watchdog.Systemd, v1alpha1.Cooperate)),
		RealTimeout: durationpb.New(profile.RealTimeout), PetDelay: durationpb.New(profile.PetDelay),
		ShutdownTimeout: durationpb.New(profile.ShutdownTimeout),
	}
	if h := d.keeper.status.Load(); h != nil {
		p.Outlives = h.Outlives
	}
	return p
}
