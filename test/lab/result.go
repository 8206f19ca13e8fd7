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
	twoWriters    int
	healthyResets int
	seconds       time.Duration // that the scenario took
	err           error
}

// judge adds what every scenario must hold to what this one found.
func (r *result) judge() {
	switch {
	case r.err != nil:
	case r.twoWriters > 0 || r.healthyResets > 0:
		r.err = fmt.Errorf("%d writes by two writers, %d resets of healthy nodes", r.twoWriters, r.healthyResets)
	case r.failover > r.bound*11/10:
		r.err = fmt.Errorf("failover took %v, more than 1.10 × %v", r.failover, r.bound)
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
	verdict, ratio := "pass", "-"
	if r.err != nil {
		verdict = "fail"
	}
	if r.failover > 0 && r.bound > 0 {
		ratio = fmt.Sprintf("%.3f", r.failover.Seconds()/r.bound.Seconds())
	}
	return fmt.Sprintf("RESULT scenario=%s verdict=%s failover_s=%s bound_s=%s ratio=%s endpoints_s=%s pet_delay_s=%s two_writers=%d resets_of_healthy=%d seconds=%.0f",
		r.name, verdict, seconds(r.failover), seconds(r.bound), ratio, seconds(r.endpoints), seconds(r.petDelay),
		r.twoWriters, r.healthyResets, r.seconds.Seconds())
}
