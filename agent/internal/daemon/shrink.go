package daemon

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// shrink gives back the pages of code that only the start of this process
// needed: most of them are the worker's business. They stay in the page cache,
// which the worker shares, and what is needed again comes back by itself. An
// error costs memory and nothing else.
//
// Only code is given back. It is never written to, so nothing can be lost; data
// may hold what the linker or the program has put there.
func shrink() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the own program: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return fmt.Errorf("find the own code: %w", err)
	}
	for line := range strings.Lines(string(maps)) {
		// Range, permissions, offset, device, inode, path.
		fields := strings.Fields(line)
		if len(fields) != 6 || fields[1] != "r-xp" || fields[5] != exe {
			continue
		}
		var from, to uintptr
		if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
			return fmt.Errorf("find the own code in %q: %w", line, err)
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give back the own code: %w", errno)
		}
	}
	return nil
}
