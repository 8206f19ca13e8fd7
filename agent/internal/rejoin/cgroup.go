package rejoin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// cgroup returns the directory of the step's pod, and refuses one in which the
// agent itself lives.
func (o order) cgroup() (dir string, unified bool, err error) {
	root := filepath.Join(o.Config.Host.Sys, "fs/cgroup")
	unified = true
	if _, err := os.Stat(filepath.Join(root, "freezer")); err == nil {
		root, unified = filepath.Join(root, "freezer"), false
	}
	if o.Step.Cgroup == "" || !filepath.IsLocal(o.Step.Cgroup) {
		return "", false, fmt.Errorf("no cgroup of a pod: %q", o.Step.Cgroup)
	}
	dir = filepath.Join(root, o.Step.Cgroup)
	pids, err := processes(dir)
	if err == nil && slices.Contains(pids, os.Getpid()) {
		err = fmt.Errorf("the agent lives in %s", o.Step.Cgroup)
	}
	return dir, unified, err
}

// processes returns those of a cgroup and of all below it.
func processes(dir string) ([]int, error) {
	var pids []int
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.Name() != "cgroup.procs" {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENODEV) {
			return nil // a threaded cgroup, or one that has just been removed
		}
		for word := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil || pid <= 0 {
				return fmt.Errorf("%s names %q, which is no process", path, word)
			}
			pids = append(pids, pid)
		}
		return err
	})
	return pids, err
}

// freeze freezes a pod, or thaws it: the first word is that of cgroups in version
// 2, the second that of version 1.
func (o order) freeze(unified, legacy string) error {
	dir, two, err := o.cgroup()
	switch {
	case err != nil:
		return err
	case two:
		return write(filepath.Join(dir, "cgroup.freeze"), unified)
	}
	return write(filepath.Join(dir, "freezer.state"), legacy)
}

// kill kills a pod: all of it at once where the kernel can, since Linux 5.14;
// one by one elsewhere, and what is frozen dies when it is thawed.
func (o order) kill() error {
	dir, two, err := o.cgroup()
	if err != nil {
		return err
	}
	if two {
		if err := write(filepath.Join(dir, "cgroup.kill"), "1"); !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	pids, err := processes(dir)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill process %d: %w", pid, err)
		}
	}
	return o.freeze("0", "THAWED")
}
