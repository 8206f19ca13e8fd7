package machine

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// hostFiles are those that describe a plain bare-metal host.
func (m *Machine) hostFiles(boot string) map[string]string {
	files := map[string]string{
		"proc/sys/kernel/random/boot_id": boot + "\n",
		"proc/cmdline":                   "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet\n",
		"proc/sys/kernel/osrelease":      "6.1.0-test\n",
		"proc/cpuinfo":                   "processor\t: 0\nmodel name\t: Bare Metal\nflags\t\t: fpu tsc lm\n",
		"etc/machine-id":                 m.machineID + "\n",
		"sys/class/dmi/id/product_uuid":  m.systemUUID + "\n",
		"sys/class/dmi/id/sys_vendor":    "Picket Test\n",
		"sys/class/dmi/id/product_name":  "Bare Metal\n",
		"etc/hostname":                   m.opts.Name + "\n",
		"proc/swaps":                     "Filename\tType\tSize\tUsed\tPriority\n",
		"proc/1/mountinfo":               rootMount,
		"proc/1/task/1/mountinfo":        rootMount,
		"proc/1/task/1/stat":             "1 (systemd) S 0 1 1 0 -1 4194560\n",
		"proc/1/task/1/status":           "Name:\tsystemd\nState:\tS (sleeping)\n",
		"sys/fs/cgroup/cgroup.procs":     "",
	}
	maps.Copy(files, m.opts.Files)
	return files
}

// rootMount is all that a plain host has mounted.
const rootMount = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"

// hostLinks are the links by which the host's first process shows its root and
// its mount namespace.
func hostLinks() map[string]string {
	return map[string]string{
		"proc/1/root": "../..", "proc/1/task/1/root": "/",
		"proc/1/ns/mnt": "mnt:[4026531841]", "proc/1/task/1/ns/mnt": "mnt:[4026531841]",
	}
}

// makeMemory puts the machine's /run/picket and /dev into memory, as on a real
// host, where this one has a tmpfs. On a disk they would stall all machines of a
// test at once, for longer than a roll lives, whenever its journal is busy.
func (m *Machine) makeMemory() (err error) {
	if !isTmpfs(sharedMemory) {
		return nil
	}
	if m.memory, err = os.MkdirTemp(sharedMemory, "picket-"+m.opts.Name+"-"); err != nil {
		return err
	}
	for _, name := range []string{"run/picket", "dev"} {
		dir, at := filepath.Join(m.memory, filepath.Base(name)), m.path(name)
		if err := errors.Join(os.Mkdir(dir, 0o755), os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(dir, at)); err != nil {
			return err
		}
	}
	return nil
}

// emptyRun empties /run, and what lies in memory of it.
func (m *Machine) emptyRun() error {
	entries, err := os.ReadDir(m.path("run"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		at := m.path(filepath.Join("run", e.Name()))
		if dir, notLink := os.Readlink(at); notLink == nil {
			err = errors.Join(err, os.RemoveAll(dir), os.Mkdir(dir, 0o755))
		} else {
			err = errors.Join(err, os.RemoveAll(at))
		}
	}
	return err
}

const sharedMemory = "/dev/shm"

func isTmpfs(dir string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(dir, &fs) == nil && fs.Type == unix.TMPFS_MAGIC
}

// prepareHost makes the host's file system as a boot finds it: /run empty,
// /var as it was, the dog at rest, a new boot ID.
func (m *Machine) prepareHost(boot string) error {
	if err := m.emptyRun(); err != nil {
		return fmt.Errorf("empty /run of %s: %w", m.opts.Name, err)
	}
	for _, dir := range []string{"run/picket", "var/lib/picket", "var/lib/kubelet/pods", "dev", "log"} {
		if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
			return fmt.Errorf("prepare the host of %s: %w", m.opts.Name, err)
		}
	}
	for name, text := range m.hostFiles(boot) {
		if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
			return fmt.Errorf("prepare the host of %s: %w", m.opts.Name, err)
		}
		if err := os.WriteFile(m.path(name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("prepare the host of %s: %w", m.opts.Name, err)
		}
	}
	for name, target := range hostLinks() {
		if err := errors.Join(os.MkdirAll(filepath.Dir(m.path(name)), 0o755), link(target, m.path(name))); err != nil {
			return fmt.Errorf("prepare the host of %s: %w", m.opts.Name, err)
		}
	}
	if err := unix.Mkfifo(m.Sysrq(), 0o600); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the sysrq file of %s: %w", m.opts.Name, err)
	}
	return writeDog(m.Device(), Dog{Timeout: time.Minute, Kappa: m.opts.Kappa}, m.boots-1)
}

// link makes a symbolic link, if an earlier boot has not.
func link(target, path string) error {
	err := os.Symlink(target, path)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// newUUID is a random UUID, as the kernel makes boot IDs.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newMachineID is a random machine ID: 32 hexadecimal digits.
func newMachineID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
