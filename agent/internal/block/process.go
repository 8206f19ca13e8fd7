package block

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/picket-dev/picket/agent/teardown"
)

// A task is a thread, by which its process sleeps or lives in a namespace.
type task struct {
	pid, tid int
	name     string // of the thread
	sleeping bool   // in uninterruptible sleep
	stuck    bool   // still in the same one after a while
	space    uint64 // its mount namespace; 0: it has left it, or it is unknown
}

// tasks lists all threads.
func (l *look) tasks() []task {
	var all []task
	for _, pid := range numbers(l.names(l.host.Proc)) {
		for _, tid := range numbers(l.names(l.proc(strconv.Itoa(pid), "task"))) {
			if t, ok := l.task(pid, tid); ok {
				all = append(all, t)
			}
		}
	}
	return all
}

// dir is the task's directory in procfs.
func (l *look) dir(t task) string {
	return l.proc(strconv.Itoa(t.pid), "task", strconv.Itoa(t.tid))
}

// task reads what a thread does, if it still exists and has not ended.
func (l *look) task(pid, tid int) (task, bool) {
	t := task{pid: pid, tid: tid}
	text, ok := l.attr(l.dir(t) + "/stat")
	if !ok {
		return t, false
	}
	name, state, err := parseStat(text)
	if err != nil {
		l.note(l.dir(t)+"/stat", err)
		return t, false
	}
	t.name, t.sleeping = name, state == 'D'
	t.space = l.space(t)
	return t, state != 'Z' && state != 'X'
}

// parseStat reads the name and the state of a thread from its stat file. A name
// may hold anything, parentheses and blanks too.
func parseStat(text string) (name string, state byte, err error) {
	begin, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if begin < 0 || end < begin || len(text) < end+3 || text[end+1] != ' ' {
		return "", 0, fmt.Errorf("no process: %.80q", text)
	}
	return text[begin+1 : end], text[end+2], nil
}

// space returns the mount namespace of a thread, 0 where it has none any more.
func (l *look) space(t task) uint64 {
	link, err := os.Readlink(l.dir(t) + "/ns/mnt")
	if gone(err) {
		return 0
	}
	id := uint64(0)
	if err == nil {
		id, err = parseSpace(link)
	}
	if err != nil {
		l.note(l.dir(t)+"/ns/mnt", err)
	}
	return id
}

// parseSpace reads the number of a mount namespace, such as mnt:[4026531841].
func parseSpace(link string) (uint64, error) {
	number, ok := strings.CutPrefix(link, "mnt:[")
	number, end := strings.CutSuffix(number, "]")
	id, err := strconv.ParseUint(number, 10, 64)
	if !ok || !end || err != nil || id == 0 {
		return 0, fmt.Errorf("no mount namespace: %.80q", link)
	}
	return id, nil
}

// linger marks the threads that sleep uninterruptibly now, and do so still after
// the Host's time in which none of them has run: not those that wait for a disk
// again and again.
func (l *look) linger(tasks []task) {
	asleep := make(map[int]string)
	for i, t := range tasks {
		if t.sleeping {
			if since, ok := l.sleep(t); ok {
				asleep[i] = since
			}
		}
	}
	if len(asleep) == 0 {
		return
	}
	time.Sleep(l.host.Still)
	for i, since := range asleep {
		now, ok := l.sleep(tasks[i])
		tasks[i].stuck = ok && now == since
	}
}

// sleep tells one uninterruptible sleep of a thread from the next, by how often
// it has gone to sleep.
func (l *look) sleep(t task) (since string, ok bool) {
	text, ok := l.attr(l.dir(t) + "/status")
	if !ok {
		return "", false
	}
	state := ""
	for line := range strings.Lines(text) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); key {
		case "State":
			state = strings.TrimSpace(value)
		case "voluntary_ctxt_switches":
			since = strings.TrimSpace(value)
		}
	}
	return since, strings.HasPrefix(state, "D")
}

// processes fills in those that are stuck, or have a block device open. What has ended
// since has none open.
func (l *look) processes(tasks []task, opens []opening, owner map[int]string, abandoned []int) {
	found := make(map[int]*teardown.Process)
	at := func(pid int, name string) *teardown.Process {
		if found[pid] == nil {
			found[pid] = &teardown.Process{PID: pid, Name: name, Agent: slices.Contains(abandoned, pid)}
		}
		return found[pid]
	}
	names := make(map[int]string)
	for _, t := range tasks {
		if t.tid == t.pid || names[t.pid] == "" {
			names[t.pid] = t.name
		}
	}
	for _, t := range tasks {
		if t.stuck {
			at(t.pid, names[t.pid]).Stuck = true
		}
	}
	for _, o := range opens {
		p := at(o.PID, names[o.PID])
		for _, n := range o.Devices {
			if !slices.Contains(p.Opens, n) {
				p.Opens = append(p.Opens, n)
			}
		}
	}
	for _, p := range found {
		var there bool
		if p.Pod, there = l.owner(owner, p.PID); !there {
			continue
		}
		slices.SortFunc(p.Opens, compareNumbers)
		l.inv.Processes = append(l.inv.Processes, *p)
	}
	slices.SortFunc(l.inv.Processes, func(a, b teardown.Process) int { return a.PID - b.PID })
}

// numbers returns those of the names that are positive numbers, in order.
func numbers(names []string) []int {
	var all []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil && n > 0 {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}
