package hold

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/timing"
)

const (
	ms = time.Millisecond
	s  = time.Second
)

// A step calls the machine at an instant and says what must come back.
type step struct {
	at   time.Duration
	call func(*Machine, timing.Instant) (Action, error)
	want Action
	err  Code // 0: none
	then State
}

func request(op Op, t, until time.Duration) func(*Machine, timing.Instant) (Action, error) {
	return func(m *Machine, now timing.Instant) (Action, error) {
		q := Request{Op: op, Timeout: t}
		if until != 0 {
			q.PetUntil = timing.At(until)
		}
		return m.Request(q, now)
	}
}

func done(a Act, t time.Duration, r Result) func(*Machine, timing.Instant) (Action, error) {
	return func(m *Machine, now timing.Instant) (Action, error) {
		return m.Done(Action{Act: a, Timeout: t}, r, now)
	}
}

func tick(m *Machine, now timing.Instant) (Action, error)      { return m.Tick(now) }
func terminate(m *Machine, now timing.Instant) (Action, error) { return m.Terminate(now) }

// armed are the steps from Idle to Armed at 100 s with T = 8 s, petUntil 105 s.
var armed = []step{
	{100 * s, request(OpArm, 8*s, 105*s), Action{Act: Open, Timeout: 8 * s}, 0, Armed},
	{100 * s, done(Open, 8*s, Result{Timeout: 30 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
	{100 * s, done(SetTimeout, 8*s, Result{Timeout: 8 * s}), Action{}, 0, Armed},
}

var freed = append(armed[:3:3], step{101 * s, request(OpFree, 0, 0), Action{}, 0, Free})

// coasting are the steps from Idle to Coasting at 101 s with T = 300 s; the
// petUntil of its last ping was 106 s.
var coasting = append(armed[:3:3],
	step{101 * s, request(OpCoast, 300*s, 106*s), Action{Act: SetTimeout, Timeout: 300 * s}, 0, Armed},
	step{101 * s, done(SetTimeout, 300*s, Result{Timeout: 300 * s}), Action{}, 0, Coasting},
)

var errBroken = errors.New("broken")

// inTest are the steps from Idle to Testing at 100 s with T = 8 s.
var inTest = []step{
	{100 * s, request(OpTest, 8*s, 0), Action{Act: Open, Timeout: 8 * s}, 0, Idle},
	{100 * s, done(Open, 8*s, Result{Timeout: 30 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Free},
	{100 * s, done(SetTimeout, 8*s, Result{Timeout: 8 * s}), Action{Act: Ping}, 0, Free},
	{100 * s, done(Ping, 0, Result{}), Action{}, 0, Testing},
}

func TestMachine(t *testing.T) {
	ping := Action{Act: Ping}
	reset := Action{Act: Reset}
	for name, steps := range map[string][]step{
		"pets every T/4 while petUntil is ahead": append(armed[:3:3],
			step{101999 * ms, tick, Action{}, 0, Armed},
			step{102 * s, tick, ping, 0, Armed},
			step{102 * s, done(Ping, 0, Result{}), Action{}, 0, Armed},
			step{103 * s, tick, Action{}, 0, Armed},
			step{104 * s, tick, ping, 0, Armed},
		),
		"A6: petUntil reached latches and resets at once": append(armed[:3:3],
			step{105 * s, tick, reset, ErrLatched, Latched},
		),
		"A6: an Extend that comes too late resets": append(armed[:3:3],
			step{105 * s, request(OpExtend, 0, 110*s), reset, ErrLatched, Latched},
			step{106 * s, request(OpExtend, 0, 110*s), Action{}, ErrLatched, Latched},
			step{106 * s, request(OpArm, 8*s, 110*s), Action{}, ErrLatched, Latched},
			step{106 * s, request(OpFree, 0, 0), Action{}, ErrLatched, Latched},
			step{106 * s, request(OpDisarm, 0, 0), Action{}, ErrLatched, Latched},
			step{106 * s, terminate, Action{}, 0, Latched},
		),
		"A6: a Status that comes too late resets": append(armed[:3:3],
			step{105 * s, request(OpStatus, 0, 0), reset, ErrLatched, Latched},
		),
		"A6: a failed reset is tried again every second": append(armed[:3:3],
			step{105 * s, tick, reset, ErrLatched, Latched},
			step{105 * s, done(Reset, 0, Result{Err: errBroken}), Action{}, 0, Latched},
			step{105500 * ms, tick, Action{}, 0, Latched},
			step{106 * s, tick, reset, ErrLatched, Latched},
			step{106 * s, done(Reset, 0, Result{Err: errBroken}), Action{}, 0, Latched},
			step{106500 * ms, tick, Action{}, 0, Latched},
		),
		"overrun: petUntil passed during a ping": append(armed[:3:3],
			step{104900 * ms, tick, ping, 0, Armed},
			step{105 * s, done(Ping, 0, Result{}), reset, ErrLatched, Latched},
		),
		"a slow ping before petUntil is only counted": append(armed[:3:3],
			step{102 * s, tick, ping, 0, Armed},
			step{104 * s, done(Ping, 0, Result{}), Action{}, 0, Armed},
			step{104 * s, tick, ping, 0, Armed},
		),
		"Extend moves petUntil, never back": append(armed[:3:3],
			step{101 * s, request(OpExtend, 0, 110*s), Action{}, 0, Armed},
			step{101 * s, request(OpExtend, 0, 104*s), Action{}, 0, Armed},
			step{101 * s, request(OpExtend, 0, 99*s), Action{}, 0, Armed},
			step{106 * s, tick, ping, 0, Armed},
			step{106 * s, done(Ping, 0, Result{}), Action{}, 0, Armed},
			step{110 * s, tick, reset, ErrLatched, Latched},
		),
		"Extend from another clock is refused": append(armed[:3:3],
			step{101 * s, request(OpExtend, 0, 101*s+MaxLead+ms), Action{}, ErrInvalid, Armed},
			step{105 * s, tick, reset, ErrLatched, Latched},
		),
		"Extend needs Armed": {
			{100 * s, request(OpExtend, 0, 105*s), Action{}, ErrNotArmed, Idle},
			{100 * s, request(OpSetTimeout, s, 105*s), Action{}, ErrNotArmed, Idle},
		},
		"Arm needs a petUntil ahead and a timeout": {
			{100 * s, request(OpArm, 8*s, 100*s), Action{}, ErrExpired, Idle},
			{100 * s, request(OpArm, 0, 105*s), Action{}, ErrInvalid, Idle},
		},
		"Arm is refused by the device: idle again": {
			{100 * s, request(OpArm, 8*s, 105*s), Action{Act: Open, Timeout: 8 * s}, 0, Armed},
			{100 * s, done(Open, 8*s, Result{Err: errBroken}), Action{}, ErrRefused, Idle},
			{106 * s, tick, Action{}, 0, Idle},
		},
		"Arm whose timeout cannot be set closes the device": {
			armed[0], armed[1],
			{100 * s, done(SetTimeout, 8*s, Result{Err: errBroken}), Action{Act: Close}, ErrDevice, Free},
			{100 * s, done(Close, 0, Result{}), Action{}, 0, Idle},
		},
		"Arm that took longer than its petUntil is undone, not reset": {
			armed[0],
			{106 * s, done(Open, 8*s, Result{Timeout: 30 * s}), Action{Act: Close}, ErrExpired, Free},
			{106 * s, done(Close, 0, Result{}), Action{}, 0, Idle},
		},
		"Arm while armed extends and sets T": append(armed[:3:3],
			step{101 * s, request(OpArm, 8*s, 110*s), Action{}, 0, Armed},
			step{102 * s, request(OpArm, 6*s, 111*s), Action{Act: SetTimeout, Timeout: 6 * s}, 0, Armed},
			step{102 * s, done(SetTimeout, 6*s, Result{Timeout: 6 * s}), Action{}, 0, Armed},
			step{103400 * ms, tick, Action{}, 0, Armed},
			step{103500 * ms, tick, ping, 0, Armed},
		),
		"Latch resets in any state (A1)": {
			{100 * s, request(OpLatch, 0, 0), reset, ErrLatched, Latched},
		},
		"Latch resets an armed holder (A1)": append(armed[:3:3],
			step{101 * s, request(OpLatch, 0, 0), reset, ErrLatched, Latched},
		),
		"Latch resets a free holder (A1, A14)": append(freed[:4:4],
			step{101 * s, request(OpLatch, 0, 0), reset, ErrLatched, Latched},
		),
		"Free pets without a deadline, until armed again": append(freed[:4:4],
			step{200 * s, tick, ping, 0, Free},
			step{200 * s, done(Ping, 0, Result{}), Action{}, 0, Free},
			step{201 * s, request(OpExtend, 0, 206*s), Action{}, ErrNotArmed, Free},
			step{201 * s, request(OpArm, 8*s, 201*s), Action{}, ErrExpired, Free},
			step{201 * s, request(OpArm, 8*s, 206*s), Action{}, 0, Armed},
			step{206 * s, tick, reset, ErrLatched, Latched},
		),
		"arming a free holder falls back to Free": append(freed[:4:4],
			step{102 * s, request(OpArm, 6*s, 107*s), Action{Act: SetTimeout, Timeout: 6 * s}, 0, Armed},
			step{102 * s, done(SetTimeout, 6*s, Result{Err: errBroken}), Action{}, ErrDevice, Free},
			step{110 * s, tick, ping, 0, Free},
		),
		"arming a free holder that took too long falls back to Free": append(freed[:4:4],
			step{102 * s, request(OpArm, 6*s, 107*s), Action{Act: SetTimeout, Timeout: 6 * s}, 0, Armed},
			step{107 * s, done(SetTimeout, 6*s, Result{Timeout: 6 * s}), Action{}, ErrExpired, Free},
		),
		"Free and Disarm of an idle holder are done already (A13)": {
			{100 * s, request(OpFree, 0, 0), Action{}, 0, Idle},
			{100 * s, request(OpDisarm, 0, 0), Action{}, 0, Idle},
		},
		"Disarm closes; the marker is Free meanwhile (A13)": append(armed[:3:3],
			step{101 * s, request(OpDisarm, 0, 0), Action{Act: Close}, 0, Free},
			step{101 * s, done(Close, 0, Result{}), Action{}, 0, Idle},
			step{106 * s, tick, Action{}, 0, Idle},
		),
		"Disarm that failed takes the device back and pets": append(armed[:3:3],
			step{101 * s, request(OpDisarm, 0, 0), Action{Act: Close}, 0, Free},
			step{101 * s, done(Close, 0, Result{Err: errBroken}), Action{}, ErrDevice, Free},
			step{101 * s, tick, Action{Act: Open, Timeout: 8 * s, Resume: true}, 0, Free},
			step{101 * s, done(Open, 8*s, Result{Timeout: 8 * s}), Action{}, 0, Free},
			step{101 * s, tick, ping, 0, Free},
		),
		"Disarm of a nowayout device leaves it Free": {
			armed[0],
			{100 * s, done(Open, 8*s, Result{Timeout: 8 * s, Nowayout: true}), Action{}, 0, Armed},
			{101 * s, request(OpDisarm, 0, 0), Action{}, ErrRefused, Free},
			{110 * s, terminate, Action{Act: Exit}, 0, Free},
		},
		"SIGTERM: idle exits": {
			{100 * s, terminate, Action{Act: Exit}, 0, Idle},
		},
		"SIGTERM: free closes, then exits": append(freed[:4:4],
			step{102 * s, terminate, Action{Act: Close}, 0, Free},
			step{102 * s, done(Close, 0, Result{}), Action{Act: Exit}, 0, Idle},
		),
		"SIGTERM: armed exits without disarming (A13)": append(armed[:3:3],
			step{101 * s, terminate, Action{Act: Exit}, 0, Armed},
		),
		"SIGTERM: armed and nearly expired stays for an Extend": append(armed[:3:3],
			step{104100 * ms, terminate, Action{}, 0, Armed},
			step{104200 * ms, request(OpExtend, 0, 109*s), Action{}, 0, Armed},
			step{104200 * ms, tick, Action{Act: Exit}, 0, Armed},
		),
		"SIGTERM: armed and expired resets (A6)": append(armed[:3:3],
			step{105 * s, terminate, reset, ErrLatched, Latched},
		),
		"A11: a failing ping goes on being tried": append(armed[:3:3],
			step{102 * s, tick, ping, 0, Armed},
			step{102 * s, done(Ping, 0, Result{Err: errBroken}), Action{}, ErrDevice, Armed},
			step{104 * s, tick, ping, 0, Armed},
		),
		"SetTimeout needs a petUntil like any ping": append(armed[:3:3],
			step{101 * s, request(OpSetTimeout, 300*s, 101*s), Action{}, ErrExpired, Armed},
			step{101 * s, request(OpSetTimeout, 300*s, 106*s), Action{Act: SetTimeout, Timeout: 300 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 300*s, Result{Timeout: 300 * s}), Action{}, 0, Armed},
			step{105 * s, tick, Action{}, 0, Armed},
			step{106 * s, tick, reset, ErrLatched, Latched},
		),
		"SetTimeout during which petUntil passed resets": append(armed[:3:3],
			step{104900 * ms, request(OpSetTimeout, 9*s, 105*s), Action{Act: SetTimeout, Timeout: 9 * s}, 0, Armed},
			step{105 * s, done(SetTimeout, 9*s, Result{Timeout: 9 * s}), reset, ErrLatched, Latched},
		),
		"SetTimeout never leaves more in force than was published": append(armed[:3:3],
			step{101 * s, request(OpSetTimeout, 9500*ms, 106*s), Action{Act: SetTimeout, Timeout: 9500 * ms}, 0, Armed},
			step{101 * s, done(SetTimeout, 9500*ms, Result{Timeout: 10 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 8*s, Result{Timeout: 8 * s}), Action{}, ErrRefused, Armed},
		),
		"SetTimeout that cannot be taken back latches": append(armed[:3:3],
			step{101 * s, request(OpSetTimeout, 9500*ms, 106*s), Action{Act: SetTimeout, Timeout: 9500 * ms}, 0, Armed},
			step{101 * s, done(SetTimeout, 9500*ms, Result{Timeout: 10 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 8*s, Result{Err: errBroken}), reset, ErrLatched, Latched},
		),
		"Coasting never pings, and no deadline passes": append(coasting[:5:5],
			step{103 * s, tick, Action{}, 0, Coasting},
			step{106 * s, tick, Action{}, 0, Coasting},
			step{107 * s, request(OpStatus, 0, 0), Action{}, 0, Coasting},
			step{200 * s, tick, Action{}, 0, Coasting},
			step{402 * s, tick, Action{}, 0, Coasting},
		),
		"Coasting refuses what would change it": append(coasting[:5:5],
			step{102 * s, request(OpExtend, 0, 107*s), Action{}, ErrRefused, Coasting},
			step{102 * s, request(OpSetTimeout, 8*s, 107*s), Action{}, ErrRefused, Coasting},
			step{102 * s, request(OpArm, 8*s, 107*s), Action{}, ErrRefused, Coasting},
			step{102 * s, request(OpFree, 0, 0), Action{}, ErrRefused, Coasting},
			step{102 * s, request(OpDisarm, 0, 0), Action{}, ErrRefused, Coasting},
		),
		"Coast again is done already": append(coasting[:5:5],
			step{102 * s, request(OpCoast, 300*s, 107*s), Action{}, 0, Coasting},
			step{110 * s, request(OpCoast, 600*s, 107*s), Action{}, 0, Coasting},
		),
		"Latch resets a coasting holder (A1)": append(coasting[:5:5],
			step{200 * s, request(OpLatch, 0, 0), reset, ErrLatched, Latched},
			step{201 * s, request(OpCoast, 300*s, 206*s), Action{}, ErrLatched, Latched},
		),
		"Coast pings even where T is in force already": append(armed[:3:3],
			step{101 * s, request(OpCoast, 8*s, 106*s), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 8*s, Result{Timeout: 8 * s}), Action{}, 0, Coasting},
		),
		"Test of an idle device opens it, sets T and pings once": append(inTest[:4:4],
			step{103 * s, tick, Action{}, 0, Testing},
			step{120 * s, tick, Action{}, 0, Testing},
		),
		"Test where T is in force already still pings": {
			{100 * s, request(OpTest, 8*s, 0), Action{Act: Open, Timeout: 8 * s}, 0, Idle},
			{100 * s, done(Open, 8*s, Result{Timeout: 8 * s}), Action{Act: Ping}, 0, Free},
			{100 * s, done(Ping, 0, Result{}), Action{}, 0, Testing},
		},
		"Test of a free device": append(freed[:4:4],
			step{102 * s, request(OpTest, 9*s, 0), Action{Act: SetTimeout, Timeout: 9 * s}, 0, Free},
			step{102 * s, done(SetTimeout, 9*s, Result{Timeout: 9 * s}), Action{Act: Ping}, 0, Free},
			step{102 * s, done(Ping, 0, Result{}), Action{}, 0, Testing},
		),
		"Test refuses what would end it": append(inTest[:4:4],
			step{102 * s, request(OpArm, 8*s, 107*s), Action{}, ErrRefused, Testing},
			step{102 * s, request(OpExtend, 0, 107*s), Action{}, ErrRefused, Testing},
			step{102 * s, request(OpSetTimeout, 8*s, 107*s), Action{}, ErrRefused, Testing},
			step{102 * s, request(OpCoast, 300*s, 107*s), Action{}, ErrRefused, Testing},
			step{102 * s, request(OpFree, 0, 0), Action{}, ErrRefused, Testing},
			step{102 * s, request(OpDisarm, 0, 0), Action{}, ErrRefused, Testing},
			step{102 * s, request(OpTest, 8*s, 0), Action{}, 0, Testing},
		),
		"A1: a latch ends a test": append(inTest[:4:4],
			step{102 * s, request(OpLatch, 0, 0), reset, ErrLatched, Latched},
		),
		"SIGTERM does not end a test: the close would ping": append(inTest[:4:4],
			step{102 * s, terminate, Action{}, 0, Testing},
			step{103 * s, tick, Action{}, 0, Testing},
		),
		"Test needs a node that is unarmed": append(armed[:3:3],
			step{101 * s, request(OpTest, 8*s, 0), Action{}, ErrRefused, Armed},
		),
		"Test needs a timeout": {
			{100 * s, request(OpTest, 0, 0), Action{}, ErrInvalid, Idle},
		},
		"Test of a device that cannot be opened": {
			{100 * s, request(OpTest, 8*s, 0), Action{Act: Open, Timeout: 8 * s}, 0, Idle},
			{100 * s, done(Open, 8*s, Result{Err: errBroken}), Action{}, ErrRefused, Idle},
			{101 * s, tick, Action{}, 0, Idle},
		},
		"Test of a device that rounds T is undone": {
			{100 * s, request(OpTest, 8*s, 0), Action{Act: Open, Timeout: 8 * s}, 0, Idle},
			{100 * s, done(Open, 8*s, Result{Timeout: 30 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Free},
			{100 * s, done(SetTimeout, 8*s, Result{Timeout: 9 * s}), Action{Act: Close}, ErrDevice, Free},
			{100 * s, done(Close, 0, Result{}), Action{}, 0, Idle},
		},
		"Test of a nowayout device that fails keeps it free": {
			{100 * s, request(OpTest, 8*s, 0), Action{Act: Open, Timeout: 8 * s}, 0, Idle},
			{100 * s, done(Open, 8*s, Result{Timeout: 8 * s, Nowayout: true}), Action{Act: Ping}, 0, Free},
			{100 * s, done(Ping, 0, Result{Err: errBroken}), Action{}, ErrDevice, Free},
			{101 * s, tick, Action{Act: Ping}, 0, Free},
		},
		"Test of a free device that fails leaves it free": append(freed[:4:4],
			step{102 * s, request(OpTest, 8*s, 0), Action{Act: Ping}, 0, Free},
			step{102 * s, done(Ping, 0, Result{Err: errBroken}), Action{}, ErrDevice, Free},
			step{103 * s, tick, Action{Act: Ping}, 0, Free},
		),
		"Coast needs Armed": {
			{100 * s, request(OpCoast, 300*s, 105*s), Action{}, ErrNotArmed, Idle},
		},
		"Coast needs Armed, not Free": append(freed[:4:4],
			step{102 * s, request(OpCoast, 300*s, 107*s), Action{}, ErrNotArmed, Free},
		),
		"Coast needs a petUntil ahead and a timeout": append(armed[:3:3],
			step{101 * s, request(OpCoast, 300*s, 101*s), Action{}, ErrExpired, Armed},
			step{101 * s, request(OpCoast, 300*s, 101*s+MaxLead+ms), Action{}, ErrInvalid, Armed},
			step{101 * s, request(OpCoast, 0, 106*s), Action{}, ErrInvalid, Armed},
			step{102 * s, tick, ping, 0, Armed},
		),
		"A6: a Coast that comes too late resets": append(armed[:3:3],
			step{105 * s, request(OpCoast, 300*s, 110*s), reset, ErrLatched, Latched},
		),
		"A6: a Coast during which petUntil passed resets": append(armed[:3:3],
			step{104900 * ms, request(OpCoast, 300*s, 105*s), Action{Act: SetTimeout, Timeout: 300 * s}, 0, Armed},
			step{105 * s, done(SetTimeout, 300*s, Result{Timeout: 300 * s}), reset, ErrLatched, Latched},
		),
		"Coast that the device refuses leaves it armed": append(armed[:3:3],
			step{101 * s, request(OpCoast, 300*s, 106*s), Action{Act: SetTimeout, Timeout: 300 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 300*s, Result{Timeout: 8 * s, Err: errBroken}), Action{}, ErrDevice, Armed},
			step{102 * s, request(OpSetTimeout, 9*s, 107*s), Action{Act: SetTimeout, Timeout: 9 * s}, 0, Armed},
			step{102 * s, done(SetTimeout, 9*s, Result{Timeout: 9 * s}), Action{}, 0, Armed},
			step{107 * s, tick, reset, ErrLatched, Latched},
		),
		"Coast that failed is forgotten": append(armed[:3:3],
			step{101 * s, request(OpCoast, 300*s, 106*s), Action{Act: SetTimeout, Timeout: 300 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 300*s, Result{Timeout: 8 * s, Err: errBroken}), Action{}, ErrDevice, Armed},
			step{101 * s, request(OpDisarm, 0, 0), Action{Act: Close}, 0, Free},
			step{101 * s, done(Close, 0, Result{}), Action{}, 0, Idle},
			step{102 * s, request(OpArm, 8*s, 107*s), Action{Act: Open, Timeout: 8 * s}, 0, Armed},
			step{102 * s, done(Open, 8*s, Result{Timeout: 30 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
			step{102 * s, done(SetTimeout, 8*s, Result{Timeout: 8 * s}), Action{}, 0, Armed},
		),
		"Coast of which the device makes more is taken back": append(armed[:3:3],
			step{101 * s, request(OpCoast, 300*s, 106*s), Action{Act: SetTimeout, Timeout: 300 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 300*s, Result{Timeout: 301 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 8*s, Result{Timeout: 8 * s}), Action{}, ErrRefused, Armed},
			step{103 * s, tick, ping, 0, Armed},
		),
		"Coast that cannot be taken back latches": append(armed[:3:3],
			step{101 * s, request(OpCoast, 300*s, 106*s), Action{Act: SetTimeout, Timeout: 300 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 300*s, Result{Timeout: 301 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 8*s, Result{Timeout: 301 * s, Err: errBroken}), reset, ErrLatched, Latched},
		),
		"SIGTERM: coasting exits and closes nothing": append(coasting[:5:5],
			step{200 * s, terminate, Action{Act: Exit}, 0, Coasting},
		),
		"SIGTERM: armed and nearly expired stays, coasts, and leaves": append(armed[:3:3],
			step{104100 * ms, terminate, Action{}, 0, Armed},
			step{104200 * ms, request(OpCoast, 300*s, 109*s), Action{Act: SetTimeout, Timeout: 300 * s}, 0, Armed},
			step{104200 * ms, done(SetTimeout, 300*s, Result{Timeout: 300 * s}), Action{}, 0, Coasting},
			step{104200 * ms, tick, Action{Act: Exit}, 0, Coasting},
		),
		"SetTimeout that the device refuses changes nothing": append(armed[:3:3],
			step{101 * s, request(OpSetTimeout, 900*s, 106*s), Action{Act: SetTimeout, Timeout: 900 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 900*s, Result{Timeout: 8 * s, Err: errBroken}), Action{}, ErrDevice, Armed},
			step{102 * s, tick, ping, 0, Armed},
		),
	} {
		t.Run(name, func(t *testing.T) {
			m, _, _ := Resume(Evidence{Verdict: Absent, Active: watchdog.No}, s, timing.At(100*s))
			play(t, m, steps)
		})
	}
}

func play(t *testing.T, m *Machine, steps []step) {
	t.Helper()
	for i, p := range steps {
		got, err := p.call(m, timing.At(p.at))
		where := fmt.Sprintf("step %d at %v", i, p.at)
		if diff := cmp.Diff(p.want, got); diff != "" {
			t.Fatalf("%s: action (-want +got):\n%s", where, diff)
		}
		if p.err == 0 && err != nil || p.err != 0 && !errors.Is(err, p.err) {
			t.Fatalf("%s: error %v, want code %d", where, err, p.err)
		}
		if got := m.Record().State; got != p.then {
			t.Fatalf("%s: state %v, want %v", where, got, p.then)
		}
	}
}

// One clock that has reached petUntil is enough (the host was suspended, or a
// time daemon slews).
func TestA6EitherClockLatches(t *testing.T) {
	for name, now := range map[string]timing.Instant{
		"raw":      {Raw: 105 * s, Boot: 101 * s},
		"boottime": {Raw: 101 * s, Boot: 105 * s},
	} {
		t.Run(name, func(t *testing.T) {
			m, _, _ := Resume(Evidence{Verdict: Absent}, s, timing.At(100*s))
			play(t, m, armed)
			if a, _ := m.Tick(now); a.Act != Reset {
				t.Errorf("action %v, want Reset", a.Act)
			}
		})
	}
}

func TestResume(t *testing.T) {
	rec := func(state State, until time.Duration) Record {
		return Record{State: state, Timeout: 8 * s, PetUntil: timing.At(until)}
	}
	for name, c := range map[string]struct {
		e      Evidence
		want   Action
		err    Code
		then   State
		unread bool
		arm    Code // what a call of Arm meets
	}{
		"no marker":                 {Evidence{Verdict: Absent}, Action{}, 0, Idle, false, 0},
		"marker of another boot":    {Evidence{Verdict: OtherBoot, Active: watchdog.Yes}, Action{}, 0, Idle, false, 0},
		"idle":                      {Evidence{Verdict: Ours, Record: Record{State: Idle}}, Action{}, 0, Idle, false, 0},
		"A6: latched":               {Evidence{Verdict: Ours, Record: rec(Latched, 0), Adopted: true}, Action{Act: Reset}, ErrLatched, Latched, false, ErrLatched},
		"A6: armed and passed":      {Evidence{Verdict: Ours, Record: rec(Armed, 100*s)}, Action{Act: Reset}, ErrLatched, Latched, false, ErrLatched},
		"armed and ahead":           {Evidence{Verdict: Ours, Record: rec(Armed, 101*s)}, Action{}, 0, Armed, false, 0},
		"free":                      {Evidence{Verdict: Ours, Record: rec(Free, 0), Adopted: true}, Action{}, 0, Free, false, 0},
		"coasting":                  {Evidence{Verdict: Ours, Record: rec(Coasting, 0)}, Action{}, 0, Coasting, false, ErrRefused},
		"coasting, descriptor kept": {Evidence{Verdict: Ours, Record: rec(Coasting, 0), Adopted: true}, Action{}, 0, Coasting, false, ErrRefused},
		"testing":                   {Evidence{Verdict: Ours, Record: rec(Testing, 0)}, Action{}, 0, Testing, false, ErrRefused},
		"testing, descriptor kept":  {Evidence{Verdict: Ours, Record: rec(Testing, 0), Adopted: true}, Action{}, 0, Testing, false, ErrRefused},
		"coasting, cannot reset":    {Evidence{Verdict: Ours, Record: rec(Coasting, 0), NoReset: errBroken}, Action{}, 0, Coasting, false, ErrRefused},
		"idle, descriptor left":     {Evidence{Verdict: Ours, Record: Record{State: Idle}, Adopted: true}, Action{Act: Close}, 0, Free, false, 0},
		"corrupt, device runs":      {Evidence{Verdict: Corrupt, Active: watchdog.Yes}, Action{}, ErrRefused, Idle, true, ErrRefused},
		"corrupt, device may run":   {Evidence{Verdict: Corrupt}, Action{}, ErrRefused, Idle, true, ErrRefused},
		"corrupt, device stopped":   {Evidence{Verdict: Corrupt, Active: watchdog.No}, Action{}, 0, Idle, false, 0},
		"no marker, but descriptor": {Evidence{Verdict: Absent, Adopted: true}, Action{}, ErrRefused, Idle, true, ErrRefused},
		"no way to reset":           {Evidence{Verdict: Absent, NoReset: errBroken}, Action{}, 0, Idle, false, ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			m, got, err := Resume(c.e, s, timing.At(100*s))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("action (-want +got):\n%s", diff)
			}
			if c.err == 0 && err != nil || c.err != 0 && !errors.Is(err, c.err) {
				t.Errorf("error %v, want code %d", err, c.err)
			}
			if got := m.Record().State; got != c.then {
				t.Errorf("state %v, want %v", got, c.then)
			}
			if m.Unread() != c.unread {
				t.Errorf("unread %v, want %v", m.Unread(), c.unread)
			}
			_, err = m.Request(Request{Op: OpArm, Timeout: 8 * s, PetUntil: timing.At(100500 * ms)}, timing.At(100*s))
			if c.arm == 0 && err != nil || c.arm != 0 && !errors.Is(err, c.arm) {
				t.Errorf("arm: error %v, want code %d", err, c.arm)
			}
		})
	}
}

func TestResumeArmed(t *testing.T) {
	e := Evidence{Verdict: Ours, Record: Record{State: Armed, Timeout: 8 * s, PetUntil: timing.At(105 * s)}}
	reset := Action{Act: Reset}
	open := Action{Act: Open, Timeout: 8 * s, Resume: true}
	for name, steps := range map[string][]step{
		"goes on under the old petUntil": {
			{100 * s, done(Open, 8*s, Result{Timeout: 8 * s}), Action{}, 0, Armed},
			{100 * s, tick, Action{Act: Ping}, 0, Armed},
			{100 * s, done(Ping, 0, Result{}), Action{}, 0, Armed},
			{105 * s, tick, reset, ErrLatched, Latched},
		},
		"a device that is gone is tried again, until petUntil (A11)": {
			{100 * s, done(Open, 8*s, Result{Err: errBroken}), Action{}, ErrDevice, Armed},
			{100 * s, tick, Action{}, 0, Armed},
			{101 * s, tick, open, 0, Armed},
			{101 * s, done(Open, 8*s, Result{Err: errBroken}), Action{}, ErrDevice, Armed},
			{101 * s, request(OpSetTimeout, 9*s, 105*s), Action{}, ErrDevice, Armed},
			{105 * s, tick, reset, ErrLatched, Latched},
		},
		"opening past petUntil resets": {
			{105 * s, done(Open, 8*s, Result{Timeout: 8 * s}), reset, ErrLatched, Latched},
		},
		"another timeout is set to the marker's": {
			{100 * s, done(Open, 8*s, Result{Timeout: 60 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
			{100 * s, done(SetTimeout, 8*s, Result{Timeout: 8 * s}), Action{}, 0, Armed},
		},
		"a longer timeout that cannot be mended latches": {
			{100 * s, done(Open, 8*s, Result{Timeout: 60 * s}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
			{100 * s, done(SetTimeout, 8*s, Result{Err: errBroken}), reset, ErrLatched, Latched},
		},
		"an unknown timeout that cannot be mended latches": {
			{100 * s, done(Open, 8*s, Result{}), Action{Act: SetTimeout, Timeout: 8 * s}, 0, Armed},
			{100 * s, done(SetTimeout, 8*s, Result{Err: errBroken}), reset, ErrLatched, Latched},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, a, err := Resume(e, s, timing.At(100*s))
			if a.Act != Nothing || err != nil {
				t.Fatalf("resumed with %v, %v", a, err)
			}
			play(t, m, append([]step{{100 * s, tick, open, 0, Armed}}, steps...))
		})
	}
}

// A holder that coasts wants nothing more of time, and says so to whoever asks.
func TestCoastingIsReported(t *testing.T) {
	m, _, _ := Resume(Evidence{Verdict: Absent}, s, timing.At(100*s))
	play(t, m, coasting)
	want := Record{State: Coasting, Timeout: 300 * s}
	check := func(m *Machine) {
		t.Helper()
		if next, ok := m.Next(); ok {
			t.Errorf("wants a tick at %v", next)
		}
		var st Status
		if m.Report(&st); st.State != Coasting || st.Timeout != 300*s || !st.PetUntil.IsZero() || st.Failing {
			t.Errorf("status %+v", st)
		}
		if got := m.Record(); got != want {
			t.Errorf("record %+v, want %+v", got, want)
		}
	}
	check(m)
	again, _, _ := Resume(Evidence{Verdict: Ours, Record: m.Record(), Adopted: true}, s, timing.At(200*s))
	play(t, again, []step{{200 * s, tick, Action{}, 0, Coasting}, {500 * s, tick, Action{}, 0, Coasting}})
	check(again)
}

func TestNextIsThePetOrTheDeadline(t *testing.T) {
	m, _, _ := Resume(Evidence{Verdict: Absent}, s, timing.At(100*s))
	if _, ok := m.Next(); ok {
		t.Error("an idle machine wants a tick")
	}
	play(t, m, armed)
	if next, _ := m.Next(); next != timing.At(102*s) {
		t.Errorf("next %v, want the pet at 102s", next)
	}
	play(t, m, []step{{104 * s, tick, Action{Act: Ping}, 0, Armed}, {104 * s, done(Ping, 0, Result{}), Action{}, 0, Armed}})
	if next, _ := m.Next(); next != timing.At(105*s) {
		t.Errorf("next %v, want petUntil at 105s", next)
	}
	var st Status
	m.Report(&st)
	if st.WorstDelay != 2*s || st.Pets != 1 || st.LastPet != timing.At(104*s) {
		t.Errorf("worst %v, pets %d, last %v; want 2s, 1, 104s", st.WorstDelay, st.Pets, st.LastPet)
	}
}

func TestPetPathDoesNotAllocate(t *testing.T) {
	m, _, _ := Resume(Evidence{Verdict: Absent}, s, timing.At(100*s))
	play(t, m, armed)
	marker := NewMarker("boot", m.Record())
	now := timing.At(100 * s)
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(2 * s)
		if _, err := m.Request(Request{Op: OpExtend, PetUntil: now.Add(5 * s)}, now.Add(-s)); err != nil {
			t.Fatal(err)
		}
		PutRecord(marker, m.Record())
		if a, _ := m.Tick(now); a.Act != Ping {
			t.Fatalf("action %v, want Ping", a.Act)
		}
		_, _ = m.Done(Action{Act: Ping}, Result{}, now)
	}); n != 0 {
		t.Errorf("%v allocations on the way of a pet", n)
	}
}

func TestLatchDoesNotAllocate(t *testing.T) {
	machines := make([]*Machine, 0, 200)
	for range cap(machines) {
		m, _, _ := Resume(Evidence{Verdict: Absent}, s, timing.At(100*s))
		play(t, m, armed)
		machines = append(machines, m)
	}
	marker := NewMarker("boot", Record{State: Armed})
	i := 0
	if n := testing.AllocsPerRun(len(machines)-1, func() {
		if a, _ := machines[i].Tick(timing.At(105 * s)); a.Act != Reset {
			t.Fatalf("action %v, want Reset", a.Act)
		}
		PutRecord(marker, machines[i].Record())
		i++
	}); n != 0 {
		t.Errorf("%v allocations on the way of a reset", n)
	}
}

// A device that dislikes a T is no failing device: the agent must not disarm
// for it (A11).
func TestA11FailingMeansTheDeviceNotTheCall(t *testing.T) {
	for name, c := range map[string]struct {
		got  time.Duration
		want bool
	}{"T read back": {8 * s, false}, "T unknown": {0, true}} {
		m, _, _ := Resume(Evidence{Verdict: Absent}, s, timing.At(100*s))
		play(t, m, append(armed[:3:3],
			step{101 * s, request(OpSetTimeout, 9*s, 106*s), Action{Act: SetTimeout, Timeout: 9 * s}, 0, Armed},
			step{101 * s, done(SetTimeout, 9*s, Result{Timeout: c.got, Err: errBroken}), Action{}, ErrDevice, Armed}))
		var st Status
		if m.Report(&st); st.Failing != c.want {
			t.Errorf("%s: failing %v", name, st.Failing)
		}
	}
}
