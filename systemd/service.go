package systemd

import (
	"math"
	"slices"
	"time"

	sd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"
)

// A Service is a transient service that outlives whoever starts it: it is
// restarted whenever it ends, keeps descriptors over that, is neither stopped by
// the host's shutdown before the final kill nor by a change of target, and runs
// in real time. It must say READY=1 when it has started, and ends by its own will
// or not at all.
type Service struct {
	// Name ends in .service.
	Name        string
	Description string
	// Exec is the command, with the binary's path on the host.
	Exec []string
	// Bind, if set, shows the service the file From at the path To.
	Bind Bind
	// Priority is that of SCHED_RR, from 1 to 99.
	Priority int
	// Descriptors is how many of them the manager keeps for the service.
	Descriptors int
}

// Bind shows a file of the host at another path.
type Bind struct{ From, To string }

const (
	// restartPause lies between the end of a service and its next start.
	restartPause = 100 * time.Millisecond
	// startWithin bounds the time until READY=1, stopWithin the wait for the end
	// after SIGTERM.
	startWithin = 30 * time.Second
	stopWithin  = 10 * time.Second

	roundRobin = 2 // SCHED_RR
)

// optional names what an older manager may not know, and what a kernel may
// refuse: the service does without.
func optional(name string) bool {
	return slices.Contains([]string{"FileDescriptorStorePreserve", "CPUSchedulingPolicy", "CPUSchedulingPriority"}, name)
}

// scheduling reports whether the property asks for real time.
func scheduling(p sd.Property) bool {
	return p.Name == "CPUSchedulingPolicy" || p.Name == "CPUSchedulingPriority"
}

// properties returns what StartTransientUnit is told, in an order in which each
// may rest on those before it.
func (s Service) properties() []sd.Property {
	property := func(name string, value any) sd.Property {
		return sd.Property{Name: name, Value: dbus.MakeVariant(value)}
	}
	all := []sd.Property{
		sd.PropDescription(s.Description),
		// No Conflicts=shutdown.target: the service lives on until the final kill.
		property("DefaultDependencies", false),
		property("IgnoreOnIsolate", true),
		property("CollectMode", "inactive-or-failed"),
		property("StartLimitIntervalUSec", uint64(0)),

		sd.PropType("notify"),
		property("NotifyAccess", "main"),
		property("Restart", "always"),
		property("RestartUSec", usec(restartPause)),
		property("TimeoutStartUSec", usec(startWithin)),
		property("TimeoutStopUSec", usec(stopWithin)),
		property("SendSIGKILL", false), // it may have reasons to stay: its end pings
		property("FileDescriptorStoreMax", uint32(s.Descriptors)),
		property("FileDescriptorStorePreserve", "yes"), // systemd 254

		property("OOMScoreAdjust", int32(-1000)),
		property("LimitMEMLOCK", uint64(math.MaxUint64)),
		property("CPUSchedulingPolicy", int32(roundRobin)),
		property("CPUSchedulingPriority", int32(s.Priority)),
	}
	if s.Bind != (Bind{}) {
		all = append(all, property("BindPaths", []bindPath{{Source: s.Bind.From, Destination: s.Bind.To}}))
	}
	return append(all, sd.PropExecStart(s.Exec, false))
}

// bindPath is an element of BindPaths on the wire, a(ssbt).
type bindPath struct {
	Source, Destination string
	IgnoreMissing       bool
	Flags               uint64
}
