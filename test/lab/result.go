package main

import (
	"fmt"
	"time"
)

// A result is what a scenario measured.
type result struct {
	name          string
	failover      time.Duration // cut → out-of-service taint; 0: none was due
	bound         time.Duration
	endpoints     time.Duration // cut → no ready endpoint on the node; 0: not measured
	petDelay      time.Duration // the worst of a node under pressure; 0: not measured
	armed         time.Duration // first agent starts → all nodes are armed; 0: nothing was installed
	lateWrites    int           // by a fenced boot, after its taint
	rejoin        rejoin
	twoWriters    int
	healthyResets int
	seconds       time.Duration // that the scenario took
	err           error
}

// A rejoin is what became of a node that was fenced and came back in the same
// boot; its zero value: none did.
type rejoin struct {
	measured  bool          // the host's own was looked at
	resets    bool          // the node has reset itself: nothing of it is left to look at
	hung      int           // steps of the teardown that did not end
	untouched int           // devices and sessions of the host that are as they were
	loop      time.Duration // how late the agent's loop was at worst
	idle      time.Duration // the same on nodes that tore nothing down
}

// loopWithin is how late an agent's loop may be: 100 ms on a real processor, and an
// emulated one is some ten times slower. A step that held it up would do so for seconds.
const loopWithin = 10 * 100 * time.Millisecond

// judge adds what every scenario must hold to what this one found.
func (r *result) judge() {
	switch {
	case r.err != nil:
	case r.lateWrites > 0 || r.twoWriters > 0 || r.healthyResets > 0:
		r.err = fmt.Errorf("%d late writes, %d writes by two writers, %d resets of healthy nodes", r.lateWrites, r.twoWriters, r.healthyResets)
	case r.failover > r.bound*11/10:
		r.err = fmt.Errorf("failover took %v, more than 1.10 × %v", r.failover, r.bound)
	case r.rejoin.loop > loopWithin:
		r.err = fmt.Errorf("the agent's loop was %v late during the rejoin, more than %v", r.rejoin.loop, loopWithin)
	case r.armed > time.Minute:
		r.err = fmt.Errorf("the nodes were armed %v after their agents ran, want a minute", r.armed)
	}
}

// String is the RESULT line. What a scenario has no value for is "-".
func (r result) String() string {
	seconds := func(d time.Duration) string {
		if d == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", d.Seconds())
	}
	count := func(n int, known bool) string {
		if !known {
			return "-"
		}
		return fmt.Sprint(n)
	}
	milliseconds := func(d time.Duration) string {
		if d == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", 1e3*d.Seconds())
	}
	verdict, ratio := "pass", "-"
	if r.err != nil {
		verdict = "fail"
	}
	if r.failover > 0 && r.bound > 0 {
		ratio = fmt.Sprintf("%.3f", r.failover.Seconds()/r.bound.Seconds())
	}
	return fmt.Sprintf("RESULT scenario=%s verdict=%s failover_s=%s bound_s=%s ratio=%s endpoints_s=%s pet_delay_s=%s armed_s=%s late_writes=%d hung_steps=%s untouched_host_devices=%s loop_delay_ms=%s idle_loop_delay_ms=%s two_writers=%d resets_of_healthy=%d seconds=%.0f",
		r.name, verdict, seconds(r.failover), seconds(r.bound), ratio, seconds(r.endpoints), seconds(r.petDelay), seconds(r.armed),
		r.lateWrites, count(r.rejoin.hung, r.rejoin.measured || r.rejoin.resets), count(r.rejoin.untouched, r.rejoin.measured),
		milliseconds(r.rejoin.loop), milliseconds(r.rejoin.idle), r.twoWriters, r.healthyResets, r.seconds.Seconds())
}
