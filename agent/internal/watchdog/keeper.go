package watchdog

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Keeper is a process that has the device open.
type Keeper struct {
	PID  int
	Name string
}

// String names the keeper for a message to a person.
func (k Keeper) String() string { return fmt.Sprintf("%s (pid %d)", k.Name, k.PID) }

// Keepers returns the processes which have a device of one of these numbers
// open, by looking at every descriptor that procRoot (usually /proc, or the
// host's) shows. It finds what its PID namespace and its rights let it see;
// an empty result proves nothing.
func Keepers(procRoot string, numbers []uint64) []Keeper {
	links, err := filepath.Glob(filepath.Join(procRoot, "[0-9]*", "fd", "*"))
	if err != nil {
		return nil
	}
	var found []Keeper
	for _, link := range links {
		// Only what lies in /dev is looked at: stat on another file can block
		// on a dead server.
		if target, err := os.Readlink(link); err != nil || !strings.HasPrefix(target, "/dev/") {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(link, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || !slices.Contains(numbers, st.Rdev) {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		pid, err := strconv.Atoi(filepath.Base(process))
		if err != nil {
			continue
		}
		k := Keeper{PID: pid, Name: "unknown"}
		if comm, err := os.ReadFile(filepath.Join(process, "comm")); err == nil {
			k.Name = strings.TrimSpace(string(comm))
		}
		if !slices.Contains(found, k) {
			found = append(found, k)
		}
	}
	return found
}
