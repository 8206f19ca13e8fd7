package rejoin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/picket-dev/picket/agent/teardown"
)

// file is what a memory is kept in, below the Config's Run.
const memoryFile = "rejoin.json"

// A memory is what the work so far knows, and no inventory would show any more:
// it outlives the agent, and ends with the boot or with the node's being Clean.
type memory struct {
	Notes []teardown.Volume
	Told  []told
}

// told is a file system that was told to shut down, as it was mounted.
type told struct {
	Mount  int
	Device teardown.Number
	Point  string
}

// recall reads the memory. One that cannot be read is an error: without it a
// device could seem to be nobody's.
func (e *Executor) recall() (memory, error) {
	var m memory
	text, err := os.ReadFile(filepath.Join(e.config.Run, memoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read what the teardown has noted: %w", err)
	}
	return m, nil
}

// remember changes the memory, in one step that a crash of the agent cannot
// split.
func (e *Executor) remember(change func(*memory)) error {
	m, err := e.recall()
	if err != nil {
		return err
	}
	change(&m)
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("note for the teardown: %w", err)
	}
	if err := os.MkdirAll(e.config.Run, 0o700); err != nil {
		return fmt.Errorf("note for the teardown: %w", err)
	}
	path := filepath.Join(e.config.Run, memoryFile)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("note for the teardown: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("note for the teardown: %w", err)
	}
	return nil
}

// Forget drops what was noted: the node is Clean.
func (e *Executor) Forget() error {
	err := os.Remove(filepath.Join(e.config.Run, memoryFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the teardown's notes: %w", err)
	}
	return nil
}

// addTo adds what is remembered to an inventory.
func (m memory) addTo(inv *teardown.Inventory) {
	inv.Volumes = append(inv.Volumes, m.Notes...)
	for i, mount := range inv.Mounts {
		if slices.Contains(m.Told, told{Mount: mount.ID, Device: mount.Device, Point: mount.Point}) {
			inv.Mounts[i].ShutDown = true
		}
	}
}
