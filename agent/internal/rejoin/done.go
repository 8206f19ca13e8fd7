package rejoin

import (
	"slices"

	"github.com/picket-dev/picket/agent/teardown"
)

// done reports whether an inventory shows that a step was carried out. What the
// inventory could not read is no proof.
func done(s teardown.Step, inv teardown.Inventory) bool {
	for _, u := range inv.Unknown {
		if u.Device == (teardown.Number{}) || u.Device == s.Device {
			return false
		}
	}
	d, there := find(s, inv)
	switch s.Op {
	case teardown.Note:
		return slices.Contains(inv.Volumes, s.Note)
	case teardown.Wait:
		return waited(s, inv)
	case teardown.Offline, teardown.CutMap:
		return !there || d.Cut
	case teardown.FailQueue:
		return !there || !d.Queueing
	case teardown.UnmapRBD, teardown.DetachLoop, teardown.CloseCrypt, teardown.Deactivate, teardown.RemoveMap,
		teardown.FlushMultipath, teardown.DeleteSCSI, teardown.UnmapNBD:
		return !there
	case teardown.Disconnect:
		return !slices.ContainsFunc(inv.Devices, func(d teardown.Device) bool { return d.NQN == s.NQN })
	case teardown.SetManual:
		return !slices.ContainsFunc(inv.Records, func(r teardown.Record) bool {
			return r.Target == s.Target && r.Portal == s.Portal && r.Interface == s.Interface && r.Startup == "automatic"
		})
	case teardown.Logout:
		return !slices.ContainsFunc(inv.Sessions, func(x teardown.Session) bool { return x.ID == s.Session }) &&
			!slices.ContainsFunc(inv.Devices, func(d teardown.Device) bool { return d.Session == s.Session })
	case teardown.ShutDown, teardown.Unmount:
		return !slices.ContainsFunc(inv.Mounts, func(m teardown.Mount) bool {
			return m.ID == s.Mount && m.Namespace == s.Namespace && !(s.Op == teardown.ShutDown && m.ShutDown)
		})
	case teardown.Freeze, teardown.Kill:
		return !slices.ContainsFunc(inv.Pods, func(p teardown.Pod) bool {
			return p.Cgroup == s.Cgroup && p.Processes > 0 && !(s.Op == teardown.Freeze && p.Frozen)
		})
	case teardown.Verify:
		return true // the plan that follows says what it comes to
	case teardown.OpUnknown, teardown.Attest:
	}
	return false
}

// find returns the device that a step means, if it is there. Another one that
// has its number by now is another device.
func find(s teardown.Step, inv teardown.Inventory) (teardown.Device, bool) {
	for _, d := range inv.Devices {
		if d.Number == s.Device && d.Name == s.Name && d.Map == s.Map {
			return d, true
		}
	}
	return teardown.Device{}, false
}

// waited reports whether what a step waits for has come.
func waited(s teardown.Step, inv teardown.Inventory) bool {
	switch {
	case s.PID != 0:
		return !slices.ContainsFunc(inv.Processes, func(p teardown.Process) bool { return p.PID == s.PID && p.Name == s.Name && p.Stuck })
	case s.Client != (teardown.Client{}):
		return inv.ClientsKnown && !slices.ContainsFunc(inv.Clients, func(c teardown.Client) bool { return c.Cluster == s.Client.Cluster && c.ID == s.Client.ID })
	}
	d, there := find(s, inv)
	return !there || d.InFlight == 0
}
