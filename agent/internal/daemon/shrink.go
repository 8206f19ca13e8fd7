package daemon

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// shrink gives back the pages of code and constants that only the start of this
// process needed: most of them are the worker's business. They stay in the page
// cache, which the worker shares, and what is needed again comes back by itself. An
// error costs memory and nothing else.
//
// Only what nobody has written to is given back, so nothing can be lost: a loader may
// have put addresses among the constants, which are no pages of the file any more.
func shrink() error {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("find the own program: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("find the own code: %w", err)
	}
	var from, to uintptr // of the mapping that the line is about; nothing, if it is to stay
	for line := range strings.Lines(string(maps)) {
		switch fields := strings.Fields(line); {
		case len(fields) >= 5 && !strings.HasSuffix(fields[0], ":"): // range, permissions, offset, device, inode, path
			from, to = 0, 0
			if len(fields) != 6 || fields[1] != "r-xp" && fields[1] != "r--p" || fields[5] != exe {
				continue
			}
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &from, &to); err != nil {
				return fmt.Errorf("find the own code in %q: %w", line, err)
			}
		case from < to && len(fields) == 3 && fields[0] == "Anonymous:" && fields[1] == "0":
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
				return fmt.Errorf("give back the own code: %w", errno)
			}
		}
	}
	return nil
}
