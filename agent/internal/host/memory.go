package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/picket-dev/picket/proto/roll"
)

// A Memory keeps the newest Roll that this agent has itself read from the API
// in this boot. A witness acknowledges only what is in it: so a restart in an
// outage loses no acknowledged Roll.
type Memory struct {
	path string
	boot string
}

// remembered is the content of the file. A Roll of which an entry got lost
// would permit a withheld boot, so the file counts whole or not at all.
type remembered struct {
	Boot string
	Roll *roll.Roll
}

// NewMemory returns the memory of the present boot.
func NewMemory(c Config, boot string) *Memory {
	return &Memory{path: c.path(c.Run, "roll.json"), boot: boot}
}

// Load returns what was stored last in this boot. It is false if nothing was,
// or if what is there is of another boot; an error says that it is damaged,
// which is as good as nothing: the agent makes no statement until it has read
// the Roll again.
func (m *Memory) Load() (roll.Roll, bool, error) {
	data, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return roll.Roll{}, false, nil
	}
	if err != nil {
		return roll.Roll{}, false, fmt.Errorf("read memory of the roll: %w", err)
	}
	r, ok, err := parseMemory(data, m.boot)
	if err != nil {
		return roll.Roll{}, false, fmt.Errorf("read memory of the roll in %s: %w", m.path, err)
	}
	return r, ok, nil
}

// Store replaces what is remembered. When it returns without an error, and not
// before, the Roll may be acknowledged and stated.
func (m *Memory) Store(r roll.Roll) error {
	data, err := json.Marshal(remembered{Boot: m.boot, Roll: &r})
	if err != nil {
		return fmt.Errorf("encode memory of the roll: %w", err)
	}
	return replace(m.path, data, false)
}

// Forget voids the memory: the Roll's history was broken.
func (m *Memory) Forget() error {
	if err := os.Remove(m.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the roll: %w", err)
	}
	return nil
}

// parseMemory returns the Roll that data holds for the boot. What does not
// encode to the same bytes again was not written by this version of the agent,
// and may mean something else.
func parseMemory(data []byte, boot string) (roll.Roll, bool, error) {
	var x remembered
	if err := json.Unmarshal(data, &x); err != nil {
		return roll.Roll{}, false, err
	}
	if again, err := json.Marshal(x); err != nil || !bytes.Equal(again, data) {
		return roll.Roll{}, false, errors.New("it is not what this version of the agent writes")
	}
	switch {
	case x.Boot == "" || x.Roll == nil:
		return roll.Roll{}, false, errors.New("it lacks a boot ID or a roll")
	case x.Boot != boot:
		return roll.Roll{}, false, nil
	}
	if err := x.Roll.Validate(); err != nil {
		return roll.Roll{}, false, err
	}
	return *x.Roll, true, nil
}
