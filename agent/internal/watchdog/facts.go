package watchdog

import "time"

// Facts are what the holder tells about its device.
type Facts struct {
	// Driver is the module's name from the table, or "unknown".
	Driver string
	// Identity is the driver's own name for the device.
	Identity string
	Kind     Kind
	// Kappa is κ·1000, the real time to a reset over the nominal timeout.
	Kappa int
	// Min and Max bound the nominal timeout; zero where unknown.
	Min, Max time.Duration
	// Nowayout says that the device cannot be stopped once it runs. It is also
	// true where nobody can tell.
	Nowayout bool
}

// ChooseTimeout returns T as the agent's core chooses it: the longest in whole
// seconds with κT within the bound, or the device's minimum.
func (f Facts) ChooseTimeout(bound time.Duration) time.Duration {
	t := (bound * 1000 / time.Duration(max(f.Kappa, 1000))).Truncate(time.Second)
	if f.Max > 0 {
		t = min(t, f.Max)
	}
	return max(t, f.Min, time.Second)
}

// RealTimeout returns κT for T=t.
func (f Facts) RealTimeout(t time.Duration) time.Duration {
	return t * time.Duration(max(f.Kappa, 1000)) / 1000
}

// Facts returns the facts of the device that i describes, with the bounds from
// sysfs where it has them and else from the table of drivers.
func (i Info) Facts() Facts {
	d := Lookup(i.Identity)
	f := Facts{Driver: d.Name, Identity: i.Identity, Kind: d.Kind, Kappa: d.Kappa,
		Min: d.Min, Max: d.Max, Nowayout: i.Nowayout != No}
	f.Min = max(f.Min, i.Min)
	if i.Max > 0 && (f.Max == 0 || i.Max < f.Max) {
		f.Max = i.Max
	}
	return f
}
