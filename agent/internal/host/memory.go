package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A Memory keeps one thing that a restarted agent needs and the next boot must
// not have: what the core remembers, or what the controller said last. A
// witness acknowledges only what is in its memory, so a restart in an outage
// loses no acknowledged Roll.
type Memory[T interface{ Validate() error }] struct {
	path string
	boot string
}

// remembered is the content of the file. A Roll of which an entry got lost
// would permit a withheld boot, so the file counts whole or not at all.
type remembered[T any] struct {
	Boot  string
	Value *T
}

// NewMemory returns the memory of that name in the present boot.
func NewMemory[T interface{ Validate() error }](c Config, name, boot string) *Memory[T] {
	return &Memory[T]{path: c.path(c.Run, name+".json"), boot: boot}
}

// Load returns what was stored last in this boot. It is false if nothing was,
// or if what is there is of another boot; an error says that it is damaged,
// which is as good as nothing: a witness makes no statement until it has read
// the Roll again.
func (m *Memory[T]) Load() (value T, ok bool, err error) {
	data, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return value, false, nil
	}
	if err != nil {
		return value, false, fmt.Errorf("read memory: %w", err)
	}
	value, ok, err = parseMemory[T](data, m.boot)
	if err != nil {
		return value, false, fmt.Errorf("read memory in %s: %w", m.path, err)
	}
	return value, ok, nil
}

// Store replaces what is remembered. When it returns without an error, and not
// before, the value may be relied on.
func (m *Memory[T]) Store(value T) error {
	data, err := json.Marshal(remembered[T]{Boot: m.boot, Value: &value})
	if err != nil {
		return fmt.Errorf("encode memory: %w", err)
	}
	return replace(m.path, data, false)
}

// parseMemory returns the value that data holds for the boot. What does not
// encode to the same bytes again was not written by this version of the agent,
// and may mean something else.
func parseMemory[T interface{ Validate() error }](data []byte, boot string) (value T, ok bool, err error) {
	var x remembered[T]
	if err := json.Unmarshal(data, &x); err != nil {
		return value, false, err
	}
	if again, err := json.Marshal(x); err != nil || !bytes.Equal(again, data) {
		return value, false, errors.New("it is not what this version of the agent writes")
	}
	switch {
	case x.Boot == "" || x.Value == nil:
		return value, false, errors.New("it lacks a boot ID or a value")
	case x.Boot != boot:
		return value, false, nil
	}
	if err := (*x.Value).Validate(); err != nil {
		return value, false, err
	}
	return *x.Value, true, nil
}
