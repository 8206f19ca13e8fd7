package controlplane

import (
	"time"

	"github.com/picket-dev/picket/test/cluster/proc"
)

// restartAfter is how long a standing process that ended stays away.
const restartAfter = time.Second

// standing is a process that is started again whenever it ends by itself, as a
// kubelet does with static pods: kube-scheduler exits when, after an outage, a
// pod of a StatefulSet seems to have moved.
type standing struct {
	quit  chan struct{} // closed by stop
	ended chan struct{} // closed when nothing of it runs any more
}

// stand starts a standing process.
func stand(start func() (*proc.Process, error)) (*standing, error) {
	p, err := start()
	if err != nil {
		return nil, err
	}
	s := &standing{quit: make(chan struct{}), ended: make(chan struct{})}
	go s.keep(p, start)
	return s, nil
}

// keep starts the process again until stop. What cannot be started is missed by
// the scenario.
func (s *standing) keep(p *proc.Process, start func() (*proc.Process, error)) {
	defer close(s.ended)
	for {
		select {
		case <-s.quit:
			p.KillGroup()
			return
		case <-p.Done():
		}
		select {
		case <-s.quit:
			return
		case <-time.After(restartAfter):
		}
		if next, err := start(); err == nil {
			p = next
		}
	}
}

// stop ends the process for good.
func (s *standing) stop() {
	close(s.quit)
	<-s.ended
}
