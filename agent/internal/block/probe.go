package block

import (
	"encoding/json"
	"os"
	"syscall"

	"github.com/picket-dev/picket/agent/internal/block/child"
)

// The names of what children do for an inventory.
const (
	workFiles    = "files"
	workOpens    = "opens"
	workMaps     = "maps"
	workMounts   = "mounts"
	workCommands = "commands"
	workLoops    = "loops"
	workNodes    = "nodes"
)

// Probes returns what a child can do for an inventory: everything that reads
// below the host's root, or that can wait for a lock which a dead device holds.
func Probes() map[string]child.Work {
	return map[string]child.Work{
		workFiles:    work(readFiles),
		workOpens:    work(readOpens),
		workMaps:     work(readMaps),
		workMounts:   work(readSpace),
		workCommands: work(readCommands),
		workLoops:    work(readLoops),
		workNodes:    work(readNodes),
	}
}

// work makes a child.Work of a function with types.
func work[In, Out any](do func(In) (Out, error)) child.Work {
	return func(text json.RawMessage) (any, error) {
		var in In
		if err := json.Unmarshal(text, &in); err != nil {
			return nil, err
		}
		return do(in)
	}
}

// enter makes a directory the root of this process, so that the host's absolute
// symbolic links lead where they lead on the host. An unprivileged process, a
// test's, puts the directory before each path instead.
func enter(root string) (prefix string, err error) {
	if os.Geteuid() != 0 {
		return root, nil
	}
	if err := syscall.Chroot(root); err != nil {
		return "", &os.PathError{Op: "chroot", Path: root, Err: err}
	}
	return "", syscall.Chdir("/")
}
