package watchdog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Roots say where the host's file systems are: /sys, /dev and /proc, or where
// a pod sees them. They have no default, so that a test cannot reach the
// machine that it runs on.
type Roots struct {
	Sys, Dev, Proc string
}

// A Candidate is one watchdog of the machine, and who has it.
type Candidate struct {
	Info
	// Path is the device node as the host's processes name it, such as
	// /dev/watchdog1; empty where there is none.
	Path string
	// Number is the device number; zero where nobody tells.
	Number uint64
	// Keepers are the processes that have the device open, as far as they can
	// be seen.
	Keepers []Keeper
	// Trouble is why nothing is known of the device, or empty.
	Trouble string
	// Measured is κ·1000 as a self-test has measured it; 0: never. Failed says
	// that a self-test found no reset, or is empty. List knows of no tests: see
	// Record.Apply.
	Measured int
	Failed   string
}

// Facts returns the facts of the device with the κ to count with: the table's,
// or the measured one where that is larger. A smaller one lowers nothing, see
// Judge.
func (c Candidate) Facts() Facts {
	f := c.Info.Facts()
	f.Kappa = max(f.Kappa, c.Measured)
	return f
}

// outsiderName is how the device outside the watchdog core is named.
const outsiderName = "watchdog"

// List returns every watchdog of the machine: those of the kernel's watchdog
// core, and the /dev/watchdog of a driver that is not part of it. They come in
// the order of their numbers, the one without a number last. A device that
// cannot be read is listed with its Trouble. Nothing is opened.
func List(r Roots) ([]Candidate, error) {
	class := filepath.Join(r.Sys, "class", "watchdog")
	entries, err := os.ReadDir(class)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list watchdogs: %w", err)
	}
	var all []Candidate
	for _, e := range entries {
		if _, ok := index(e.Name()); ok {
			all = append(all, r.candidate(e.Name(), number(class, e.Name())))
		}
	}
	if n, ok := r.node(outsiderName); ok && r.outsider(n) {
		all = append(all, r.candidate(outsiderName, n))
	}
	slices.SortFunc(all, func(a, b Candidate) int { return byName(a.Name, b.Name) })
	return all, nil
}

// candidate looks at one device, which sysfs may not know.
func (r Roots) candidate(name string, number uint64) Candidate {
	read := Read
	if name == outsiderName {
		read = func(sysRoot, _ string) (Info, error) { return outside(sysRoot) }
	}
	info, err := read(r.Sys, name)
	c := Candidate{Info: info, Number: number}
	c.Name = name
	if err != nil {
		c.Trouble = err.Error()
	}
	if number == 0 {
		return c
	}
	if n, ok := r.node(name); ok && n == number {
		c.Path = "/dev/" + name
	}
	numbers := []uint64{number}
	if !r.outsider(legacy) {
		numbers = Numbers(r.Sys, number)
	}
	c.Keepers = Keepers(r.Proc, numbers)
	return c
}

// outsider reports whether a /dev/watchdog of that number belongs to a driver
// that is not in the watchdog core. Where a watchdog0 is there as well, the
// core's /dev/watchdog has the same parent as that one, and the IPMI driver's
// has none.
func (r Roots) outsider(node uint64) bool {
	switch {
	case node != legacy:
		return false
	case number(filepath.Join(r.Sys, "class", "watchdog"), "watchdog0") == 0:
		return true
	}
	return exists(r.Sys, "module", ipmiModule) &&
		exists(r.Sys, "class", "watchdog", "watchdog0", "device") &&
		!exists(r.Sys, "class", "misc", "watchdog", "device")
}

// node returns the number of the character device of that name.
func (r Roots) node(name string) (uint64, bool) {
	var st unix.Stat_t
	if unix.Stat(filepath.Join(r.Dev, name), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return 0, false
	}
	return st.Rdev, true
}

func exists(path ...string) bool {
	_, err := os.Stat(filepath.Join(path...))
	return err == nil
}

// index returns N of watchdogN.
func index(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "watchdog")
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), ok && err == nil
}

// byName sorts watchdog2 before watchdog10, and watchdog itself last.
func byName(a, b string) int {
	m, okM := index(a)
	n, okN := index(b)
	if okM != okN {
		if okM {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(m, n), cmp.Compare(a, b))
}
