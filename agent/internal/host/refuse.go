package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// BreakGlass returns why a person wants this node unarmed, or nothing: the
// break-glass file exists, or the kernel was started with picket.arm and
// another value than 1. A question that cannot be answered counts as yes.
func BreakGlass(c Config) string {
	path := c.path(c.BreakGlass)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Sprintf("the file %s exists; remove it to let the node arm", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("cannot tell whether the break-glass file exists: %v", err)
	}
	line, err := os.ReadFile(c.path("proc/cmdline"))
	if err != nil {
		return fmt.Sprintf("cannot read the kernel's arguments: %v", err)
	}
	if value, ok := parseArm(string(line)); ok && value != "1" {
		return fmt.Sprintf("the kernel was started with picket.arm=%s; start it without to let the node arm", value)
	}
	return ""
}

// parseArm returns the value of the last picket.arm on a kernel command line.
func parseArm(line string) (value string, ok bool) {
	for word := range strings.FieldsSeq(line) {
		name, v, _ := strings.Cut(strings.Trim(word, `"`), "=")
		if name == "picket.arm" {
			value, ok = strings.Trim(v, `"`), true
		}
	}
	return value, ok
}

// initialPID is the inode of the first PID namespace, a constant of the kernel.
const initialPID = "pid:[4026531836]"

// SharedKernel returns why the node is a container, or nothing. A container
// shares its kernel with others: a reset would take them along, and its boot
// ID is theirs as well. An agent that sees no /proc of the host finds its own
// container here, and stays unarmed too.
func SharedKernel(c Config) string {
	namespace, err := os.Readlink(c.path("proc/1/ns/pid"))
	if errors.Is(err, fs.ErrPermission) { // some hosts protect process 1; with hostPID it is the same one
		namespace, err = os.Readlink(c.path("proc/self/ns/pid"))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // a kernel without namespaces
	case err != nil:
		return fmt.Sprintf("cannot tell whether process 1 runs in a container: %v", err)
	case namespace != initialPID:
		return fmt.Sprintf("process 1 is in %s, not in the first PID namespace: the node is a container, or the agent lacks hostPID", namespace)
	}
	for _, mark := range []string{"run/systemd/container", ".dockerenv", "run/.containerenv"} {
		if _, err := os.Lstat(c.path(mark)); err == nil {
			return fmt.Sprintf("%s exists: the node is a container", c.path(mark))
		}
	}
	environ := readOptional(c.path("proc/1/environ"))
	for entry := range strings.SplitSeq(environ, "\x00") {
		if kind, ok := strings.CutPrefix(entry, "container="); ok && kind != "" {
			return fmt.Sprintf("process 1 runs with container=%q", kind)
		}
	}
	return ""
}

// Hypervisor returns why the node is a virtual machine, or nothing. A machine
// that can be paused stops its watchdog with it.
func Hypervisor(c Config) string {
	if kind := strings.TrimSpace(readOptional(c.path("sys/hypervisor/type"))); kind != "" {
		return fmt.Sprintf("/sys/hypervisor says %q", kind)
	}
	if parseHypervisorFlag([]byte(readOptional(c.path("proc/cpuinfo")))) {
		return "the CPU has the hypervisor bit"
	}
	if kind := strings.Trim(readOptional(c.path("proc/device-tree/hypervisor/compatible")), "\x00\n "); kind != "" {
		return fmt.Sprintf("the device tree names the hypervisor %q", kind)
	}
	vendor := strings.TrimSpace(readOptional(c.path("sys/class/dmi/id/sys_vendor")))
	if virtualVendor(vendor) {
		return fmt.Sprintf("the machine's vendor is %q", vendor)
	}
	return ""
}

// virtualVendor reports whether the vendor makes virtual machines only. It
// matters where the CPU has no hypervisor bit, as on arm64.
func virtualVendor(name string) bool {
	switch name {
	case "QEMU", "KubeVirt", "VMware, Inc.", "Xen", "innotek GmbH", "Parallels Software International Inc.":
		return true
	}
	return false
}

// parseHypervisorFlag reports whether /proc/cpuinfo shows the hypervisor bit.
func parseHypervisorFlag(cpuinfo []byte) bool {
	for line := range bytes.Lines(cpuinfo) {
		name, flags, ok := bytes.Cut(line, []byte(":"))
		if !ok || string(bytes.TrimSpace(name)) != "flags" {
			continue
		}
		for flag := range bytes.FieldsSeq(flags) {
			if string(flag) == "hypervisor" {
				return true
			}
		}
		return false // all cores are alike
	}
	return false
}

// ShuttingDown reports whether somebody has left the mark that the host shuts
// down in order: a host's own shutdown script, where there is no systemd to ask.
func ShuttingDown(c Config) bool {
	_, err := os.Lstat(c.path(c.Run, "shutdown"))
	return err == nil
}

// Uninstalling reports whether Picket is about to be taken off this host: a
// person, or the chart's hook, has left the mark. The agent then stops its
// watchdog when it leaves, and takes its holder along.
func Uninstalling(c Config) bool {
	_, err := os.Lstat(c.path(c.Run, "uninstall"))
	return err == nil
}
