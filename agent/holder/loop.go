package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
)

// loop carries out what the machine decides. All of it runs on one thread.
type loop struct {
	machine *hold.Machine
	opener  opener
	reset   resetter
	log     *journal

	// What the start adds, before run.
	marker   *marker // nil while the one on disk must stay as it is
	listener *listener
	wake     *wake

	// open is the device, with nothing in it while there is none. It stays
	// here until the process ends: see kernelDevice.
	open   opened
	status hold.Status // what never changes, and the last report
	noted  hold.Status // what the log knows
	fds    [4]unix.PollFd
	exit   bool
}

// run serves until the machine says Exit.
func (l *loop) run() error {
	for {
		now := clock.Now()
		_ = l.carry(l.machine.Tick(now))
		l.notice()
		if l.exit {
			return nil
		}
		if err := l.setAlarm(); err != nil {
			return err
		}
		if err := l.wait(); err != nil {
			return err
		}
	}
}

func (l *loop) setAlarm() error {
	if next, ok := l.machine.Next(); ok {
		return l.wake.at(next, clock.Now())
	}
	return l.wake.never()
}

// wait blocks until there is something to do, and does it: at most one call of
// the agent, so that a flood of them cannot delay a pet.
func (l *loop) wait() error {
	l.fds = [...]unix.PollFd{
		{Fd: int32(l.wake.alarm), Events: unix.POLLIN},
		{Fd: int32(l.wake.signals), Events: unix.POLLIN},
		{Fd: int32(l.listener.fd), Events: unix.POLLIN},
		{Fd: int32(l.listener.conn), Events: unix.POLLIN}, // ignored while -1
	}
	if _, err := unix.Poll(l.fds[:], -1); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for the next pet: %w", err)
	}
	if l.fds[1].Revents != 0 && l.wake.signalled() {
		_ = l.carry(l.machine.Terminate(clock.Now()))
	}
	if l.fds[3].Revents != 0 && !l.exit {
		l.serve()
	}
	if l.fds[2].Revents != 0 && !l.exit {
		if err := l.listener.accept(); err != nil {
			l.log.warn("agent not accepted", "error", err)
		}
	}
	return nil
}

// serve carries out one call of the agent and answers it.
func (l *loop) serve() {
	message, ok := l.listener.receive()
	if !ok {
		return
	}
	q, err := hold.DecodeRequest(message)
	if err == nil {
		err = l.carry(l.machine.Request(q, clock.Now()))
	}
	l.report()
	l.listener.send(hold.Reply{Seq: q.Seq, Status: l.status, Err: hold.AsError(err)})
}

// carry carries out an action and all that follow from it, and returns the
// last error among them. Nothing but the marker lies between the check that
// allowed an action and the action.
func (l *loop) carry(a hold.Action, err error) error {
	for {
		l.marker.put(l.machine.Record())
		switch a.Act {
		case hold.Nothing:
			return err
		case hold.Exit:
			l.exit = true
			return err
		default:
		}
		r := l.perform(a)
		next, failure := l.machine.Done(a, r, clock.Now())
		if failure != nil {
			err = failure
		}
		a = next
	}
}

func (l *loop) perform(a hold.Action) hold.Result {
	var r hold.Result
	switch a.Act {
	case hold.Ping:
		r.Err = l.open.Ping()
	case hold.SetTimeout:
		r.Timeout, r.Err = l.open.SetTimeout(a.Timeout)
	case hold.Reset:
		r.Err = l.reset.Reset()
	case hold.Open:
		r.Err = l.take(a)
		r.Timeout, r.Nowayout = l.open.timeout, l.open.facts.Nowayout
	case hold.Close:
		// A descriptor that was handed on is taken only to be closed.
		if r.Err = l.take(hold.Action{Resume: true}); r.Err == nil {
			r.Err = l.open.Close()
		}
		l.open = opened{}
	case hold.Nothing, hold.Exit:
	}
	return r
}

// take opens the device, unless it is open.
func (l *loop) take(a hold.Action) error {
	if l.open.device != nil {
		return nil
	}
	o, err := l.opener.Open(a.Timeout, a.Resume)
	if err == nil {
		l.open = o
	}
	return err
}

// report brings the status up to date.
func (l *loop) report() {
	s := &l.status
	l.machine.Report(s)
	s.Device, s.Stored = l.open.facts, l.open.stored
	if l.open.device == nil {
		facts, _, err := l.opener.Inspect()
		if s.Device = facts; err != nil {
			s.LastError = err.Error()
		}
	}
	s.Now = clock.Now()
}

// notice logs what has changed since the last time: transitions, not ticks.
func (l *loop) notice() {
	old := l.noted
	s := &l.noted
	l.machine.Report(s)
	if s.State != old.State || s.Timeout != old.Timeout {
		l.log.info("holder changed state", "state", s.State.String(), "was", old.State.String(),
			"timeout", s.Timeout.String(), "boot", l.status.Boot, "rule", l.machine.Reason())
	}
	if s.LastError != old.LastError && s.LastError != "" {
		l.log.warn("holder met an error", "state", s.State.String(), "error", s.LastError)
	}
}
