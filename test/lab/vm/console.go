package vm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// Console is a place in the text that a machine's kernel has printed.
type Console struct {
	machine *Machine
	from    int
}

// Console returns the end of what has been printed by now.
func (m *Machine) Console() Console {
	text, _ := os.ReadFile(m.path("console")) // none before the first boot
	return Console{m, len(text)}
}

// Printed waits until the kernel has printed a word behind the place, and returns
// the raw time at which it was there.
func (c Console) Printed(ctx context.Context, word string) (time.Duration, error) {
	for {
		now := rawclock.Now()
		text, err := os.ReadFile(c.machine.path("console"))
		if err != nil {
			return 0, fmt.Errorf("console of %s: %w", c.machine.opts.Name, err)
		}
		if bytes.Contains(text[min(c.from, len(text)):], []byte(word)) {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%q on the console of %s: %w", word, c.machine.opts.Name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
