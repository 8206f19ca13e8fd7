package block

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/teardown"
)

// A Reader takes inventories of a host.
type Reader struct {
	host Host
	run  *child.Runner
	hung atomic.Int32 // looks that have been abandoned and have not ended
}

// NewReader returns a Reader for a valid Host. The Runner's children must do the
// work of Probes.
func NewReader(h Host, run *child.Runner) *Reader { return &Reader{host: h, run: run} }

// read is Read, but for the bound on what it reads itself.
func (r *Reader) read(ctx context.Context) teardown.Inventory {
	l := &look{host: r.host}
	opens := ask[opensAnswer](ctx, r, workOpens, opensRequest{Proc: r.host.Proc, Still: r.host.Still})
	nodes := l.rbds(l.devices())
	tables := r.askMaps(ctx, nodes)
	commands := r.askCommands(ctx, nodes)
	owner := l.pods()
	tasks := l.tasks()
	closed := l.spaces(tasks, owner)
	r.statNodes(ctx, l)
	l.useNodes(nodes)
	loops := r.askLoops(ctx, l, nodes)
	found := ask[filesAnswer](ctx, r, workFiles, l.filesRequest())
	l.linger(tasks)

	open, err := opens()
	l.take("open files of processes", err, open.Unknown)
	l.pinned(open.Pins, closed)
	r.enterAll(ctx, l, closed)
	l.useNodes(nodes)
	files, err := found()
	l.take("files of the host", err, files.Unknown)
	l.inv.Roots = files.Roots
	if err != nil {
		l.inv.Roots = slices.Clone(r.host.Kubelet)
	}
	l.useMaps(nodes, tables)
	l.useCommands(nodes, commands)
	l.useLoops(nodes, loops)
	l.useFiles(files.Files)
	l.join()
	l.claim(nodes, files.Files)
	l.sessions(l.onboot())
	l.clients()
	l.processes(tasks, open.Opens, owner, r.abandoned())
	for _, n := range nodes {
		l.inv.Devices = append(l.inv.Devices, n.Device)
	}
	return l.done()
}

// ask starts a probe, and returns how to wait for its answer.
func ask[Out any](ctx context.Context, r *Reader, work string, in any) func() (Out, error) {
	var out Out
	done := make(chan error, 1)
	go func() { done <- r.run.Do(ctx, work, r.host.Bound, in, &out) }()
	return func() (Out, error) {
		err := <-done
		return out, err
	}
}

// none is a probe that was not needed.
func none[Out any]() func() (Out, error) {
	return func() (out Out, err error) { return out, nil }
}

// take notes what a probe could not find out.
func (l *look) take(what string, err error, unknown []teardown.Unknown) {
	if err != nil {
		l.note(what, err)
	}
	l.inv.Unknown = append(l.inv.Unknown, unknown...)
}

// abandoned returns the processes of children that do not end.
func (r *Reader) abandoned() []int {
	var pids []int
	for _, s := range r.run.Stuck() {
		pids = append(pids, s.PID)
	}
	return pids
}

// filesRequest says which files of the host the look needs.
func (l *look) filesRequest() filesRequest {
	r := filesRequest{Root: l.host.Root, Kubelet: l.host.Kubelet}
	r.Patterns = slices.Concat(metadata(), claims(), recordPatterns(l.host.Records), []string{l.host.Trident + "/*.json"})
	for _, m := range l.hostMounts() {
		if volumePoint(m.Point) {
			r.Avoid = append(r.Avoid, m.Point)
		}
	}
	return r
}

// volumePoint reports whether a mount point is where the kubelet and its
// plugins mount volumes, whatever the kubelet's root is.
func volumePoint(p string) bool {
	_, below, pod := strings.Cut(p, "/pods/")
	return strings.Contains(p, "/plugins/kubernetes.io/") || pod && strings.Contains(below, "/volume")
}

// hostMounts returns the mounts of the host's namespace.
func (l *look) hostMounts() []teardown.Mount {
	var host uint64
	for _, s := range l.inv.Namespaces {
		if s.Host {
			host = s.ID
		}
	}
	var all []teardown.Mount
	for _, m := range l.inv.Mounts {
		if m.Namespace == host {
			all = append(all, m)
		}
	}
	return all
}

// enterAll reads the mounts of namespaces that have to be entered for it.
func (r *Reader) enterAll(ctx context.Context, l *look, closed map[uint64]string) {
	answers := make(map[uint64]func() (string, error))
	for id, path := range closed {
		answers[id] = ask[string](ctx, r, workMounts, spaceRequest{Path: path, ID: id})
	}
	for id, answer := range answers {
		text, err := answer()
		if err == nil {
			mounts, parseErr := parseMounts([]byte(text))
			l.addMounts(id, mounts)
			err = parseErr
		}
		if err != nil {
			l.note(fmt.Sprintf("mounts of namespace %d", id), err)
		}
	}
}

// useFiles fills in what metadata and node records say.
func (l *look) useFiles(files []file) {
	for _, f := range files {
		isRecord := slices.ContainsFunc(l.host.Records, func(dir string) bool { return strings.HasPrefix(f.Path, dir+"/") })
		switch {
		case isRecord && blank(f): // it leads nowhere
		case isRecord:
			rec, err := record(f)
			if err != nil {
				l.note(f.Path, err)
				continue
			}
			l.inv.Records = append(l.inv.Records, rec)
		case strings.Contains(f.Path, "/kubernetes.io") && strings.HasSuffix(f.Path, ".json") && blank(f):
			l.noteBlank(f)
		case strings.Contains(f.Path, "/kubernetes.io") || strings.HasPrefix(f.Path, l.host.Trident+"/"):
			v, err := volume(f)
			if err != nil {
				l.note(f.Path, err)
				continue
			}
			l.inv.Volumes = append(l.inv.Volumes, v)
		}
	}
}

// done puts everything in order.
func (l *look) done() teardown.Inventory {
	inv := l.inv
	slices.SortFunc(inv.Namespaces, func(a, b teardown.Namespace) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortStableFunc(inv.Mounts, func(a, b teardown.Mount) int { return cmp.Compare(a.Namespace, b.Namespace) })
	slices.SortFunc(inv.Devices, func(a, b teardown.Device) int { return compareNumbers(a.Number, b.Number) })
	slices.SortFunc(inv.Volumes, func(a, b teardown.Volume) int { return cmp.Compare(a.File, b.File) })
	slices.SortFunc(inv.Records, func(a, b teardown.Record) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Portal, b.Portal), cmp.Compare(a.Interface, b.Interface))
	})
	slices.SortFunc(inv.Unknown, func(a, b teardown.Unknown) int {
		return cmp.Or(compareNumbers(a.Device, b.Device), cmp.Compare(a.What, b.What), cmp.Compare(a.Why, b.Why))
	})
	inv.Unknown = slices.Compact(inv.Unknown)
	return inv
}

// askMaps asks for the tables of device-mapper devices, where there are any.
func (r *Reader) askMaps(ctx context.Context, nodes []node) func() ([]table, error) {
	request := mapsRequest{Control: r.host.Dev + "/mapper/control"}
	for _, n := range nodes {
		if strings.HasPrefix(n.Name, "dm-") {
			request.Devices = append(request.Devices, n.Number)
		}
	}
	if request.Devices == nil {
		return none[[]table]()
	}
	return ask[[]table](ctx, r, workMaps, request)
}

// useMaps fills in what tables say of device-mapper devices.
func (l *look) useMaps(nodes []node, answer func() ([]table, error)) {
	tables, err := answer()
	byNumber := make(map[teardown.Number]table)
	for _, t := range tables {
		byNumber[t.Device] = t
	}
	for i := range nodes {
		n := &nodes[i].Device
		if !strings.HasPrefix(n.Name, "dm-") {
			continue
		}
		t, ok := byNumber[n.Number]
		switch {
		case err != nil:
			l.noteDevice(n.Number, "table of "+n.Name, err)
		case !ok || t.Error != "":
			l.noteDevice(n.Number, "table of "+n.Name, errors.New(cmp.Or(t.Error, "no answer")))
		default:
			useTable(n, t)
		}
	}
}

// useTable completes a device by its table. One without targets holds nothing
// back and lets nothing through, but can be given some.
func useTable(n *teardown.Device, t table) {
	all := func(kind string) bool {
		return len(t.Targets) > 0 && !slices.ContainsFunc(t.Targets, func(k string) bool { return k != kind })
	}
	n.Cut, n.Queueing = all("error"), t.Queueing
	if n.Kind == teardown.Other && all("linear") {
		n.Kind = teardown.Linear
	}
	if n.Kind == teardown.Other && all("crypt") {
		n.Kind = teardown.Crypt
	}
	if n.Kind == teardown.Other && all("multipath") {
		n.Kind = teardown.Multipath
	}
}

// askCommands asks how the processes that serve nbd devices were started.
func (r *Reader) askCommands(ctx context.Context, nodes []node) func() (map[int]string, error) {
	request := commandsRequest{Proc: r.host.Proc}
	for _, n := range nodes {
		if n.pid != 0 {
			request.PIDs = append(request.PIDs, n.pid)
		}
	}
	if request.PIDs == nil {
		return none[map[int]string]()
	}
	return ask[map[int]string](ctx, r, workCommands, request)
}

// useCommands fills in the images that rbd-nbd maps.
func (l *look) useCommands(nodes []node, answer func() (map[int]string, error)) {
	commands, err := answer()
	for i := range nodes {
		n := &nodes[i]
		if n.pid == 0 {
			continue
		}
		if err != nil {
			l.noteDevice(n.Number, "process that serves "+n.Name, err)
			continue
		}
		img, ours := parseNBD(commands[n.pid])
		if !ours {
			continue
		}
		n.Kind, n.Image = teardown.NBD, img
		if img.Name == "" {
			l.noteDevice(n.Number, "image that "+n.Name+" maps", errors.New("rbd-nbd's arguments do not say it"))
		}
	}
}
