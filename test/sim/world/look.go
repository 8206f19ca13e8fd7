package world

import (
	"strconv"

	"github.com/picket-dev/picket/controller/plan"
)

// look reads the Node, then its NodeGuard and its Lease, and then the Roll.
func (c *controller) look(a plan.Look, t *attempt) {
	i := nodeIndex(a.Node)
	saw := plan.Saw{Fence: a.Fence, Sent: c.clock.read(c.now)}
	var versions [2]int64
	read := func(serve, then func()) {
		c.command(serve, func(ok bool) {
			if !ok {
				c.finish(t, failed)
				return
			}
			then()
		})
	}
	read(func() {
		versions[0], saw.Node = c.store.nodes[i].version, c.store.nodes[i].value
	}, func() {
		read(func() {
			versions[1], saw.Guard = c.store.guards[i].version, c.store.guards[i].value
			saw.Lease = strconv.FormatInt(c.store.leases[i], 10)
		}, func() {
			sent := c.clock.read(c.now)
			read(func() {
				if r := c.store.roll; r != nil {
					v := *r
					v.Sent = sent
					saw.Roll = &v
				}
			}, func() {
				c.take(nodeKind, i, versions[0], saw.Node)
				c.take(guardKind, i, versions[1], saw.Guard)
				c.core.Saw(c.clock.read(c.now), saw)
				c.finish(t, done)
			})
		})
	})
}

func (c *controller) survey(a plan.Survey, t *attempt) {
	i := nodeIndex(a.Node)
	s := plan.Surveyed{Fence: a.Fence, Sent: c.clock.read(c.now)}
	c.command(func() {
		s.Pods = c.store.pods[i]
		if c.store.mounts[i] {
			s.Attachments = []string{"va-" + a.Node}
		}
	}, func(ok bool) {
		if ok {
			c.core.Surveyed(c.clock.read(c.now), s)
		}
		c.finish(t, known(ok))
	})
}
