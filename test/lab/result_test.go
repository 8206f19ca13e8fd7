package main

import (
	"errors"
	"testing"
	"time"
)

func TestResultLine(t *testing.T) {
	tests := []struct {
		name   string
		result result
		want   string
	}{
		{
			name: "a failover in time",
			result: result{
				name: "power-cut", failover: 28 * time.Second, bound: 30 * time.Second,
				endpoints: 5470 * time.Millisecond, seconds: 178 * time.Second,
			},
			want: "RESULT scenario=power-cut verdict=pass failover_s=28.00 bound_s=30.00 ratio=0.933 endpoints_s=5.47 pet_delay_s=- armed_s=- late_writes=0 hung_steps=- untouched_host_devices=- loop_delay_ms=- idle_loop_delay_ms=- two_writers=0 resets_of_healthy=0 seconds=178",
		},
		{
			name:   "a failover too late",
			result: result{name: "x", failover: 34 * time.Second, bound: 30 * time.Second, seconds: time.Second},
			want:   "RESULT scenario=x verdict=fail failover_s=34.00 bound_s=30.00 ratio=1.133 endpoints_s=- pet_delay_s=- armed_s=- late_writes=0 hung_steps=- untouched_host_devices=- loop_delay_ms=- idle_loop_delay_ms=- two_writers=0 resets_of_healthy=0 seconds=1",
		},
		{
			name:   "no failover was due",
			result: result{name: "x", seconds: time.Minute},
			want:   "RESULT scenario=x verdict=pass failover_s=- bound_s=- ratio=- endpoints_s=- pet_delay_s=- armed_s=- late_writes=0 hung_steps=- untouched_host_devices=- loop_delay_ms=- idle_loop_delay_ms=- two_writers=0 resets_of_healthy=0 seconds=60",
		},
		{
			name:   "something else is wrong",
			result: result{name: "x", seconds: time.Minute, twoWriters: 2, err: errors.New("two writers")},
			want:   "RESULT scenario=x verdict=fail failover_s=- bound_s=- ratio=- endpoints_s=- pet_delay_s=- armed_s=- late_writes=0 hung_steps=- untouched_host_devices=- loop_delay_ms=- idle_loop_delay_ms=- two_writers=2 resets_of_healthy=0 seconds=60",
		},
		{
			name:   "steps hold up the loop",
			result: result{name: "x", seconds: time.Minute, rejoin: rejoin{measured: true, untouched: 4, loop: 1001 * time.Millisecond, idle: 200 * time.Millisecond}},
			want:   "RESULT scenario=x verdict=fail failover_s=- bound_s=- ratio=- endpoints_s=- pet_delay_s=- armed_s=- late_writes=0 hung_steps=0 untouched_host_devices=4 loop_delay_ms=1001.0 idle_loop_delay_ms=200.0 two_writers=0 resets_of_healthy=0 seconds=60",
		},
		{
			name:   "the processor alone holds up the loop",
			result: result{name: "x", seconds: time.Minute, rejoin: rejoin{measured: true, untouched: 4, loop: 211500 * time.Microsecond, idle: 202300 * time.Microsecond}},
			want:   "RESULT scenario=x verdict=pass failover_s=- bound_s=- ratio=- endpoints_s=- pet_delay_s=- armed_s=- late_writes=0 hung_steps=0 untouched_host_devices=4 loop_delay_ms=211.5 idle_loop_delay_ms=202.3 two_writers=0 resets_of_healthy=0 seconds=60",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.result.judge()
			if got := tt.result.String(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	all, err := choose(nil)
	if err != nil || len(all) != len(scenarios()) {
		t.Errorf("choose(nil) = %d scenarios, %v, want all %d", len(all), err, len(scenarios()))
	}
	if two, err := choose([]string{"fencing", "rejoin"}); len(two) != len(all) || err != nil {
		t.Errorf("choose(both suites) = %d scenarios, %v, want all %d", len(two), err, len(all))
	}
	if _, err := choose([]string{"power-cut", "no-such"}); err == nil {
		t.Error("choose accepts a scenario that does not exist")
	}
	names := map[string]bool{}
	for _, s := range all {
		if names[s.name] || s.about == "" || s.run == nil {
			t.Errorf("scenario %q is listed twice, or incomplete", s.name)
		}
		names[s.name] = true
	}
}
