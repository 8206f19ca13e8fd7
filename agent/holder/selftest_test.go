package main

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/agent/internal/hold"
)

// A self-test: after its last ping nobody touches the dog any more, neither a
// SIGTERM nor the death of the holder nor its successor, and sysrq is not
// written. Only the dog can reset the host.
func TestSelfTestPingsOnceAndNeverAgain(t *testing.T) {
	t.Parallel()
	for name, nowayout := range map[string]bool{"stoppable": false, "nowayout": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.config["outlives"] = true
			m.config["testDevice"] = map[string]any{"nowayout": nowayout, "kappa": 1020}
			m.start()
			c := m.dial()
			before := clock.Now()
			s := m.ok(c.Test(t.Context(), 600*ms))
			if s.State != hold.Testing || s.Timeout != 600*ms || before.After(s.LastPet) || s.LastPet.After(s.Now) {
				t.Fatalf("testing: %+v", s)
			}
			last := m.registers()
			if got := time.Duration(last[lastPing]); last[running] != 1 || got < s.LastPet.Raw {
				t.Errorf("registers %v, last pet %v", last, s.LastPet)
			}
			for what, call := range map[string]func() (hold.Status, error){
				"disarm": func() (hold.Status, error) { return c.Disarm(t.Context()) },
				"free":   func() (hold.Status, error) { return c.Free(t.Context()) },
				"arm":    func() (hold.Status, error) { return c.Arm(t.Context(), time.Second, in(time.Minute)) },
			} {
				if s, err := call(); !errors.Is(err, hold.ErrRefused) || s.State != hold.Testing {
					t.Errorf("%s: %v, %v", what, s.State, err)
				}
			}
			_ = m.holder.cmd.Process.Signal(syscall.SIGTERM)
			m.until("four timeouts", func() bool { return s.LastPet.Add(2400 * ms).Passed(clock.Now()) })
			if s := m.ok(c.Status(t.Context())); s.State != hold.Testing || s.Failing {
				t.Errorf("after SIGTERM: %+v", s)
			}
			m.kill()
			m.start()
			c = m.dial()
			if s := m.ok(c.Status(t.Context())); s.State != hold.Testing || s.Timeout != 600*ms || !s.Stored {
				t.Errorf("resumed with %+v", s)
			}
			if got := m.registers(); got != last {
				t.Errorf("registers %v after the last ping, %v in the end", last, got)
			}
			m.isAlive()
		})
	}
}

func TestSelfTestOfAFreeDevice(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start()
	c := m.dial()
	m.ok(c.Arm(t.Context(), time.Second, in(time.Minute)))
	if s, err := c.Test(t.Context(), time.Second); !errors.Is(err, hold.ErrRefused) || s.State != hold.Armed {
		t.Errorf("test of an armed node: %v, %v", s.State, err)
	}
	m.ok(c.Free(t.Context()))
	if s := m.ok(c.Test(t.Context(), time.Second)); s.State != hold.Testing {
		t.Errorf("%+v", s)
	}
	if _, err := c.Latch(t.Context()); err == nil {
		t.Error("A1: the latch was answered as if nothing had happened")
	}
	m.isReset()
}
