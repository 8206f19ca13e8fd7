package teardown

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A world carries out steps on a shape as a kernel would, and says what a real
// one would suffer from: a write-back, EBUSY, or a step on what must stay.
type world struct {
	*shape
	faults []string
	dirty  map[Number]bool // devices that were in use when it began, and all below them
}

func (w *world) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// device returns the device, if it is there.
func (w *world) find(n Number) (Device, bool) {
	for _, d := range w.inv.Devices {
		if d.Number == n {
			return d, true
		}
	}
	return Device{}, false
}

// dead reports whether nothing that is written to n reaches the storage, now or
// ever: when a session recovers, open-iscsi sets all its units running again, and
// only what was never in use has nothing to write then.
func (w *world) dead(n Number) bool {
	d, ok := w.find(n)
	if !ok || d.Cut && !(d.Kind == ISCSI && w.dirty[n]) || w.forgets && isMap(d.Kind) && len(d.Slaves) == 0 {
		return true
	}
	for _, slave := range d.Slaves {
		if !w.dead(slave) {
			return false
		}
	}
	return len(d.Slaves) > 0
}

// hangs reports whether what is written to n is neither failed nor stored: it
// waits for a path, or for a request that is in flight.
func (w *world) hangs(n Number) bool {
	d, ok := w.find(n)
	return ok && (d.Queueing || d.Kind == ISCSI && (d.InFlight != 0 || d.Lost && !d.Cut) || slices.ContainsFunc(d.Slaves, w.hangs))
}

// on returns the device behind a mount.
func (w *world) on(m Mount) Number {
	if m.FS == "devtmpfs" {
		return m.Node
	}
	return m.Device
}

func (w *world) holders(n Number) []Device {
	var found []Device
	for _, d := range w.inv.Devices {
		if slices.Contains(d.Slaves, n) {
			found = append(found, d)
		}
	}
	return found
}

func (w *world) remove(n Number) {
	for _, h := range w.holders(n) {
		if h.Kind == Partition {
			w.remove(h.Number)
		}
	}
	for i, d := range w.inv.Devices {
		if w.forgets && isMap(d.Kind) {
			w.inv.Devices[i].Slaves = slices.DeleteFunc(slices.Clone(d.Slaves), func(s Number) bool { return s == n })
		}
	}
	var client Client
	if d, ok := w.find(n); ok {
		client = d.Client
	}
	w.inv.Devices = slices.DeleteFunc(w.inv.Devices, func(d Device) bool { return d.Number == n })
	if !slices.ContainsFunc(w.inv.Devices, func(d Device) bool { return d.Client == client }) {
		w.inv.Clients = slices.DeleteFunc(w.inv.Clients, func(c Client) bool { return c == client })
	}
}

// idle finds fault with closing what is in use.
func (w *world) idle(step Step, n Number) {
	for _, h := range w.holders(n) {
		if h.Kind != Partition {
			w.fault("%v of %s: busy, %s is above it", step.Op, step.Name, h.Name)
		}
	}
	for _, m := range w.inv.Mounts {
		if w.on(m) == n {
			w.fault("%v of %s: busy, mounted at %s", step.Op, step.Name, m.Point)
		}
	}
	if !w.dead(n) {
		w.fault("%v of %s: the last close writes back", step.Op, step.Name)
	}
}

// do carries out a step.
func (w *world) do(step Step) {
	if w.protected[step.Device] {
		w.fault("%v touches %v, which is not to be touched", step.Op, step.Device)
	}
	if step.Bound <= 0 || step.Why == "" {
		w.fault("%v has no bound or no reason", step.Op)
	}
	change := func(n Number, with func(*Device)) {
		for i := range w.inv.Devices {
			if w.inv.Devices[i].Number == n {
				with(&w.inv.Devices[i])
				return
			}
		}
		w.fault("%v: no device %v", step.Op, n)
	}
	switch step.Op {
	case Note:
		w.inv.Volumes = append(slices.Clone(w.inv.Volumes), step.Note)
	case Wait:
		switch {
		case step.PID != 0:
			w.inv.Processes = slices.DeleteFunc(w.inv.Processes, func(p Process) bool { return p.PID == step.PID })
		case step.Client != Client{}:
			w.inv.Clients = slices.DeleteFunc(w.inv.Clients, func(c Client) bool { return c == step.Client })
		default:
			change(step.Device, func(d *Device) { d.InFlight = 0 })
		}
	case Offline:
		change(step.Device, func(d *Device) {
			if d.Lost {
				w.fault("Offline of %s: the kernel refuses it while the session is lost", d.Name)
			}
			d.Cut = true
		})
	case CutMap:
		change(step.Device, func(d *Device) { d.Cut, d.Slaves = true, nil }) // an error table lies on nothing
	case FailQueue:
		change(step.Device, func(d *Device) { d.Queueing = false })
	case UnmapRBD:
		if d, _ := w.find(step.Device); d.ID != step.ID || d.Kind != RBD {
			w.fault("UnmapRBD of rbd %d, which is not %v", step.ID, step.Device)
		} else if d.InFlight != 0 && !d.Cut && !w.dead2(d) {
			w.fault("UnmapRBD of %s hangs: requests in flight", d.Name)
		}
		w.remove(step.Device)
	case SetManual:
		if w.wanted[step.Target] {
			w.fault("SetManual of %s, from which a volume comes that stays", step.Target)
		}
		for i, r := range w.inv.Records {
			if r.Target == step.Target && r.Portal == step.Portal && r.Interface == step.Interface {
				w.inv.Records[i].Startup = "manual"
			}
		}
	case Logout:
		w.logout(step)
	case ShutDown:
		for i, m := range w.inv.Mounts {
			if m.ID == step.Mount && !w.dead(m.Device) {
				w.fault("ShutDown of %s writes: it is not cut", m.Point)
			}
			if m.Device == step.Device {
				w.inv.Mounts[i].ShutDown = true
			}
		}
	case Freeze:
		for i := range w.inv.Pods {
			w.inv.Pods[i].Frozen = w.inv.Pods[i].Frozen || w.inv.Pods[i].UID == step.Pod
		}
	case Kill:
		w.kill(step)
	case Unmount:
		w.unmount(step)
	case DetachLoop, CloseCrypt, Deactivate, RemoveMap, FlushMultipath:
		w.idle(step, step.Device)
		w.remove(step.Device)
	case DeleteSCSI:
		w.idle(step, step.Device)
		w.remove(step.Device)
	case UnmapNBD, Disconnect:
		w.remove(step.Device)
		w.inv.Devices = slices.DeleteFunc(w.inv.Devices, func(d Device) bool { return d.NQN != "" && d.NQN == step.NQN })
	case Verify, Attest:
	case OpUnknown:
		w.fault("a step that does nothing")
	}
}

// dead2 reports whether only dead maps use the image, so that nothing of ours
// is in flight.
func (w *world) dead2(d Device) bool {
	above := w.holders(d.Number)
	return !slices.ContainsFunc(above, func(h Device) bool { return !h.Cut })
}

func (w *world) logout(step Step) {
	if w.standing[step.Session] {
		w.fault("Logout of session %s, which must stay", step.Session)
	}
	for _, r := range w.inv.Records {
		if r.Target == step.Target && r.Startup == "automatic" {
			w.fault("Logout of session %s while a record would log in again", step.Session)
		}
	}
	for _, d := range slices.Clone(w.inv.Devices) {
		if d.Kind != ISCSI || d.Session != step.Session {
			continue
		}
		if w.protected[d.Number] {
			w.fault("Logout of session %s takes %s away", step.Session, d.Name)
		}
		if !d.Cut && !d.Lost {
			w.fault("Logout of session %s with %s not offline", step.Session, d.Name)
		}
		w.remove(d.Number)
	}
	w.inv.Sessions = slices.DeleteFunc(w.inv.Sessions, func(s Session) bool { return s.ID == step.Session })
}

func (w *world) kill(step Step) {
	if w.innocent[step.Pod] {
		w.fault("Kill of pod %s, which may stay", step.Pod)
	}
	for _, p := range w.inv.Processes {
		for _, n := range p.Opens {
			if p.Pod == step.Pod && !w.dead(n) {
				w.fault("Kill of pod %s writes %v back", step.Pod, n)
			}
		}
	}
	w.inv.Pods = slices.DeleteFunc(w.inv.Pods, func(p Pod) bool { return p.UID == step.Pod })
	w.inv.Processes = slices.DeleteFunc(w.inv.Processes, func(p Process) bool { return p.Pod == step.Pod })
	var left []Namespace
	for _, ns := range w.inv.Namespaces {
		ns.Pods = slices.DeleteFunc(slices.Clone(ns.Pods), func(uid string) bool { return uid == step.Pod })
		if ns.Host || ns.Others || len(ns.Pods) > 0 {
			left = append(left, ns)
			continue
		}
		for _, m := range w.inv.Mounts {
			if m.Namespace == ns.ID && m.Device.Major != 0 && !w.dead(m.Device) {
				w.fault("Kill of pod %s unmounts %s, which writes back", step.Pod, m.Point)
			}
		}
		w.inv.Mounts = slices.DeleteFunc(w.inv.Mounts, func(m Mount) bool { return m.Namespace == ns.ID })
	}
	w.inv.Namespaces = left
}

func (w *world) unmount(step Step) {
	gone := append([]int{step.Mount}, w.echoes[step.Mount]...)
	found := false
	for _, m := range w.inv.Mounts {
		if m.ID == step.Mount {
			found = true
			if !w.dead(w.on(m)) {
				w.fault("Unmount of %s writes back", m.Point)
			}
			if w.hangs(w.on(m)) {
				w.fault("Unmount of %s hangs: what it writes is kept", m.Point)
			}
			for _, d := range w.inv.Devices {
				if d.Kind == Loop && d.Backing == m.Point {
					w.fault("Unmount of %s: busy, %s has it open", m.Point, d.Name)
				}
			}
			if m.Namespace != step.Namespace || m.Point != step.Point || step.PID == 0 {
				w.fault("Unmount of %s leads nowhere", m.Point)
			}
		}
		if m.Parent == step.Mount && !slices.Contains(gone, m.ID) {
			w.fault("Unmount of %s: busy, %s is mounted on it", step.Point, m.Point)
		}
	}
	if !found {
		w.fault("Unmount of %s, which is not there", step.Point)
	}
	w.inv.Mounts = slices.DeleteFunc(w.inv.Mounts, func(m Mount) bool { return slices.Contains(gone, m.ID) })
}

// copy returns a world that shares nothing that steps change.
func (s *shape) copy() *world {
	c := *s
	c.inv.Mounts, c.inv.Devices = slices.Clone(s.inv.Mounts), slices.Clone(s.inv.Devices)
	c.inv.Sessions, c.inv.Records = slices.Clone(s.inv.Sessions), slices.Clone(s.inv.Records)
	c.inv.Pods, c.inv.Processes = slices.Clone(s.inv.Pods), slices.Clone(s.inv.Processes)
	c.inv.Namespaces, c.inv.Clients = slices.Clone(s.inv.Namespaces), slices.Clone(s.inv.Clients)
	return &world{shape: &c, dirty: c.used()}
}

// used returns the devices that are mounted or open, and all that lie below them.
func (s *shape) used() map[Number]bool {
	w := &world{shape: s}
	used := map[Number]bool{}
	var mark func(Number)
	mark = func(n Number) {
		used[n] = true
		if d, ok := w.find(n); ok {
			for _, slave := range d.Slaves {
				mark(slave)
			}
		}
	}
	for _, m := range s.inv.Mounts {
		mark(w.on(m))
	}
	for _, p := range s.inv.Processes {
		for _, n := range p.Opens {
			if p.Name != "multipathd" { // which writes nothing
				mark(n)
			}
		}
	}
	return used
}

// reporter is *testing.T or *rapid.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// carryOut plans and does one step after the other, as an executor that looks
// at the host after each, and as one that is started anew in between (39): each plan
// must be the rest of the one before. It ends with the last plan.
func carryOut(t reporter, s *shape, aim Aim) Plan {
	t.Helper()
	w := s.copy()
	p := Make(w.inv, w.api, aim)
	for p.State == Work {
		w.do(p.Steps[0])
		if len(w.faults) > 0 {
			break
		}
		next := Make(w.inv, w.api, aim)
		if p.Steps[0].Op == Verify {
			if d := cmp.Diff(Clean, next.State); d != "" {
				t.Errorf("after Verify (-want +got):\n%s%s", d, next.Why)
			}
			return next
		}
		rest := p.Steps[1:]
		if len(rest) > 0 && rest[0].Op == Verify {
			if next.State == Clean {
				return next
			}
		}
		// A stack's reasons and labels can change with what is left of it, and so
		// can the order of stacks within a phase; that of phases is TestOrder's.
		if d := cmp.Diff(rest, next.Steps, cmpopts.IgnoreFields(Step{}, "Why", "Volume", "PID"), cmpopts.EquateEmpty(), cmpopts.EquateComparable(Client{}),
			cmpopts.SortSlices(func(a, b Step) bool { return fmt.Sprint(line(a), a.Mount) < fmt.Sprint(line(b), b.Mount) })); d != "" {
			t.Errorf("after %s the plan is not the rest of the last one (-want +got):\n%s\n%v %s %v", line(p.Steps[0]), d, next.State, next.Why, next.Blockers)
			return next
		}
		p = next
	}
	for _, fault := range w.faults {
		t.Errorf("%s", fault)
	}
	return p
}

// line returns a step in short.
func line(s Step) string {
	switch {
	case s.Mount != 0:
		where := ""
		if s.Namespace != hostNS {
			where = fmt.Sprintf(" in %d", s.Namespace)
		}
		return fmt.Sprintf("%v %s%s", s.Op, short(s.Point), where)
	case s.Session != "":
		return fmt.Sprintf("%v session %s", s.Op, s.Session)
	case s.Target != "":
		return fmt.Sprintf("%v %s %s", s.Op, s.Target, s.Portal)
	case s.Op == Freeze || s.Op == Kill:
		return fmt.Sprintf("%v %s", s.Op, s.Pod)
	case s.Client != Client{}:
		return fmt.Sprintf("%v client %d", s.Op, s.Client.ID)
	case s.PID != 0:
		return fmt.Sprintf("%v %s %d", s.Op, s.Name, s.PID)
	case s.Name != "":
		return fmt.Sprintf("%v %s", s.Op, s.Name)
	}
	return s.Op.String()
}

// short leaves out what all paths of the kubelet have, and hashes.
func short(point string) string {
	point = strings.TrimPrefix(point, kubelet+"/")
	parts := strings.Split(point, "/")
	for i, part := range parts {
		if len(part) == 64 {
			parts[i] = "HASH"
		}
	}
	return strings.Join(parts, "/")
}

func lines(steps []Step) []string {
	var all []string
	for _, s := range steps {
		all = append(all, line(s))
	}
	return all
}

var _ reporter = (*testing.T)(nil)
