package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/picket-dev/picket/agent/decide"
	"github.com/picket-dev/picket/agent/internal/attached"
	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/kube"
	"github.com/picket-dev/picket/agent/internal/rejoin"
	"github.com/picket-dev/picket/agent/teardown"
)

// volumesWithin bounds each of the steward's questions to the API: a list of volumes
// may take longer than a roll may.
const volumesWithin = 5 * time.Second

// openSteward makes the steward, with children and connections of its own.
func (d *Daemon) openSteward() error {
	d.children = child.New(child.Default())
	api := d.apiConfig()
	api.Deadline, api.PingAfter, api.PingTimeout = volumesWithin, volumesWithin/2, volumesWithin/2
	var err error
	if d.volumes, err = kube.New(api, clock.Now); err != nil {
		return err
	}
	c := d.config.rejoin()
	s := newSteward(d.machine.BootID, d.log)
	s.host, s.glance = rejoin.New(c, d.children), c.Host.Glance
	s.api = attached.NewReader(d.config.Node, source{d.volumes})
	s.spec, s.spent, s.pace = d.spec.Load, d.budget.Spent, &d.pace
	s.guide, s.reached = d.guideAgain, d.seen.reached
	s.note = func(n decide.Note) {
		if v := d.verdict.Load(); v != nil {
			d.journal.note(clock.Now(), n, *v)
		}
	}
	s.changed = d.publishAnew
	d.steward = s
	return nil
}

// A source is the API as package attached sees it.
type source struct{ api *kube.API }

// Get reads an object or a list.
func (s source) Get(ctx context.Context, path string, query map[string]string, into any) (bool, error) {
	err := s.api.Get(ctx, path, query, into)
	if kube.KindOf(err) == kube.NotFound {
		return false, nil
	}
	return err == nil, err
}

// volumes returns where volumes are mounted or mapped now, for a self-test. With
// an error that is not known.
func (s *steward) volumes(ctx context.Context) ([]string, error) {
	inv := s.host.Look(ctx)
	devices, _ := devicesOf(teardown.Make(inv, teardown.Attachments{}, teardown.Aim{}).Tree)
	var paths []string
	for _, d := range devices {
		if d.Volume != "" {
			paths = append(paths, d.Path)
		}
	}
	if bad := unread(inv); paths == nil && len(bad) > 0 {
		return nil, fmt.Errorf("whether volumes are mounted is not known: %s", bad[0])
	}
	return paths, nil
}
