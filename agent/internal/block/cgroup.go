package block

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/picket-dev/picket/agent/teardown"
)

// podName is what the kubelet calls a pod's cgroup: its own driver podUID,
// systemd's kubepods-burstable-podUID.slice with underscores for dashes. A
// static pod's UID is a hash without dashes.
var podName = regexp.MustCompile(`(?:^|-)pod([0-9a-f]{8}(?:[-_]?[0-9a-f]{4}){3}[-_]?[0-9a-f]{12})(?:\.slice)?$`)

// depth is how deep cgroups are searched for pods and processes: nested
// container engines reach ten.
const depth = 32

// pods lists the pods' cgroups, and returns which pod each of their processes
// belongs to.
func (l *look) pods() map[int]string {
	root := l.sys("fs/cgroup")
	if _, err := os.Stat(filepath.Join(root, "freezer")); err == nil {
		root = filepath.Join(root, "freezer") // version 1: the hierarchy that can freeze
	}
	owner := make(map[int]string)
	l.findPods(root, "", owner, 0)
	slices.SortFunc(l.inv.Pods, func(a, b teardown.Pod) int { return strings.Compare(a.Cgroup, b.Cgroup) })
	return owner
}

func (l *look) findPods(root, below string, owner map[int]string, level int) {
	dir := filepath.Join(root, below)
	if level > depth {
		l.note(dir, errors.New("cgroups are nested too deeply"))
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !(gone(err) && level > 0) {
		l.note(dir, err)
		return
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		path := filepath.Join(below, e.Name())
		m := podName.FindStringSubmatch(e.Name())
		if m == nil {
			l.findPods(root, path, owner, level+1)
			continue
		}
		pod := teardown.Pod{UID: strings.ReplaceAll(m[1], "_", "-"), Cgroup: path, Frozen: l.frozen(filepath.Join(root, path))}
		for _, pid := range l.members(filepath.Join(root, path), level+1) {
			owner[pid] = pod.UID
			pod.Processes++
		}
		l.inv.Pods = append(l.inv.Pods, pod)
	}
}

// members returns the processes of a cgroup and of those below it.
func (l *look) members(dir string, level int) []int {
	if level > depth {
		l.note(dir, errors.New("cgroups are nested too deeply"))
		return nil
	}
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, syscall.EOPNOTSUPP) { // a threaded cgroup: its domain lists the processes
		text, err = nil, nil
	}
	if err != nil && !gone(err) {
		l.note(dir, err)
	}
	var pids []int
	for word := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil || pid <= 0 { // 0: it is outside of this PID namespace
			l.note(filepath.Join(dir, "cgroup.procs"), errors.New("a process cannot be named: "+strconv.Quote(word)))
			continue
		}
		pids = append(pids, pid)
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !gone(err) {
		l.note(dir, err)
	}
	for _, e := range entries {
		if e.IsDir() {
			pids = append(pids, l.members(filepath.Join(dir, e.Name()), level+1)...)
		}
	}
	return pids
}

// owner returns the pod of a process, "" where it has none, and whether the process is
// still there. One that no cgroup has listed is asked itself, and counts among its
// pod's: it was forked since, or it is ending. Where the first thread has ended and
// the others are about to, cgroups say nothing of a process that still holds all that
// it has mounted. A reader in another cgroup namespace is told a path that begins with
// dots, and ends the same.
func (l *look) owner(of map[int]string, pid int) (uid string, there bool) {
	if uid, known := of[pid]; known {
		return uid, true
	}
	text, _ := l.attr(l.proc(strconv.Itoa(pid), "cgroup"))
	if _, err := os.Lstat(l.proc(strconv.Itoa(pid))); gone(err) {
		return "", false
	}
	for name := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '/' || r == '\n' }) {
		m := podName.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		id := strings.ReplaceAll(m[1], "_", "-")
		i := slices.IndexFunc(l.inv.Pods, func(p teardown.Pod) bool { return p.UID == id })
		if i >= 0 { // a pod that is new is none of this look
			l.inv.Pods[i].Processes++
			uid = id
		}
		break
	}
	of[pid] = uid
	return uid, true
}

// frozen reports whether all of a cgroup is frozen now.
func (l *look) frozen(dir string) bool {
	if events, ok := l.attr(filepath.Join(dir, "cgroup.events")); ok {
		return slices.Contains(strings.Split(events, "\n"), "frozen 1")
	}
	state, _ := l.attr(filepath.Join(dir, "freezer.state"))
	return state == "FROZEN"
}
