package block

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"k8s.io/mount-utils"

	"github.com/picket-dev/picket/agent/teardown"
)

// spaces fills in the namespaces that threads live in, and their mounts. It
// returns those whose mounts none of their threads sees, with a path of procfs
// by which each can be entered.
func (l *look) spaces(tasks []task, owner map[int]string) map[uint64]string {
	living := make(map[uint64][]task)
	for _, t := range tasks {
		if t.space != 0 {
			living[t.space] = append(living[t.space], t)
		}
	}
	host, err := l.hostSpace()
	if err != nil {
		l.note("the host's mount namespace", err)
	}
	closed := make(map[uint64]string)
	for _, id := range slices.Sorted(maps.Keys(living)) {
		s := teardown.Namespace{ID: id, PID: living[id][0].tid, Host: id == host}
		mounts, err := l.mountsOf(&s, living[id])
		switch {
		case errors.Is(err, errPart):
			closed[id] = l.dir(living[id][0]) + "/ns/mnt"
		case err != nil && l.ended(living[id], id):
			continue
		case err != nil:
			l.note(fmt.Sprintf("mounts of namespace %d", id), err)
		}
		if l.inhabit(&s, living[id], owner); !s.Others && s.Pods == nil && l.ended(living[id], id) {
			continue
		}
		l.inv.Namespaces = append(l.inv.Namespaces, s)
		l.addMounts(id, mounts)
	}
	return closed
}

// inhabit fills in whose threads live in a namespace.
func (l *look) inhabit(s *teardown.Namespace, tasks []task, owner map[int]string) {
	for _, t := range tasks {
		uid, there := owner[t.pid], true
		if !s.Host { // whose own processes are many
			uid, there = l.owner(owner, t.pid)
		}
		switch {
		case !there:
		case uid == "":
			s.Others = true
		case !slices.Contains(s.Pods, uid):
			s.Pods = append(s.Pods, uid)
		}
	}
	slices.Sort(s.Pods)
}

// hostSpace returns the namespace of the host's first process.
func (l *look) hostSpace() (uint64, error) {
	link, err := os.Readlink(l.proc("1/ns/mnt"))
	if err != nil {
		return 0, err
	}
	return parseSpace(link)
}

// errPart says that no thread of a namespace sees all of it.
var errPart = errors.New("its processes see only a part of it")

// mountsOf reads a namespace's mounts as one of its threads sees them. One in a
// chroot does not see what lies outside.
func (l *look) mountsOf(s *teardown.Namespace, tasks []task) ([]mount.MountInfo, error) {
	last := error(nil)
	for _, t := range tasks {
		root, err := os.Readlink(l.dir(t) + "/root")
		switch {
		case gone(err):
			continue
		case err != nil:
			last = err
			continue
		case root != "/":
			last = cmp.Or(last, errPart)
			continue
		}
		mounts, err := readMounts(l.dir(t) + "/mountinfo")
		if err == nil {
			s.PID = t.tid
			return mounts, nil
		}
		last = err
	}
	return nil, cmp.Or(last, errEnded)
}

var errEnded = errors.New("its processes have ended")

// ended reports whether none of the threads lives in the namespace any more.
func (l *look) ended(tasks []task, id uint64) bool {
	for _, t := range tasks {
		if l.space(t) == id {
			return false
		}
	}
	return true
}

// addMounts fills in the mounts of one namespace.
func (l *look) addMounts(id uint64, mounts []mount.MountInfo) {
	for _, m := range mounts {
		l.inv.Mounts = append(l.inv.Mounts, l.mountOf(id, m))
	}
}

func (l *look) mountOf(id uint64, m mount.MountInfo) teardown.Mount {
	t := teardown.Mount{
		Namespace: id, ID: m.ID, Parent: m.ParentID,
		Device: teardown.Number{Major: uint32(m.Major), Minor: uint32(m.Minor)},
		Root:   m.Root, Point: m.MountPoint, FS: m.FsType, Source: m.Source,
		ShutDown: slices.Contains(m.SuperOptions, "shutdown") || slices.Contains(m.MountOptions, "shutdown"),
	}
	// What the kernel adds to a path that was unlinked; old ones the other way.
	for _, suffix := range []string{"//deleted", " (deleted)"} {
		if point, ok := strings.CutSuffix(t.Point, suffix); ok {
			t.Point, t.Deleted = point, true
		}
		t.Root = strings.TrimSuffix(t.Root, suffix)
	}
	for _, f := range m.OptionalFields {
		key, value, ok := strings.Cut(f, ":")
		group := map[string]*int{"shared": &t.Shared, "master": &t.Master}[key]
		if group == nil {
			continue // propagate_from and unbindable lead nowhere
		}
		n, err := strconv.Atoi(value)
		if !ok || err != nil || n <= 0 {
			l.note(fmt.Sprintf("peer group of the mount at %q", t.Point), errors.New("no number: "+strconv.Quote(f)))
			continue
		}
		*group = n
	}
	return t
}

// pinned adds the namespaces that no thread lives in: what keeps them is a bind
// mount, or that a process has them open.
func (l *look) pinned(open []pin, closed map[uint64]string) {
	pids := make(map[uint64]int)
	for _, s := range l.inv.Namespaces {
		pids[s.ID] = s.PID
	}
	add := func(id uint64, path string) {
		if _, known := pids[id]; !known && closed[id] == "" {
			closed[id] = path
			l.inv.Namespaces = append(l.inv.Namespaces, teardown.Namespace{ID: id})
		}
	}
	for _, m := range l.inv.Mounts {
		if m.FS != "nsfs" || !strings.HasPrefix(m.Root, "mnt:") {
			continue
		}
		id, err := parseSpace(m.Root)
		if err != nil {
			l.note(fmt.Sprintf("namespace mounted at %q", m.Point), err)
			continue
		}
		add(id, l.proc(strconv.Itoa(pids[m.Namespace]), "root", m.Point))
	}
	for _, p := range open {
		add(p.ID, l.proc(strconv.Itoa(p.PID), "fd", strconv.Itoa(p.FD)))
	}
}
