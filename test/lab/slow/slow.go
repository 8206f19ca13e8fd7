// Package slow runs what takes minutes, and says every five seconds how far it
// has come. It refuses to be silent.
package slow

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/picket-dev/picket/test/cluster/proc"
)

// every is how often slow work says that it goes on.
const every = 5 * time.Second

// Command is something that takes minutes.
type Command struct {
	// What says in words what is built.
	What string
	Argv []string
	// Env is added to the environment.
	Env []string
	Dir string
	// Log is a file that takes the output.
	Log string
}

// Run runs a command, and says every five seconds how far its log has come.
func Run(ctx context.Context, c Command, progress io.Writer) error {
	start := time.Now()
	fmt.Fprintf(progress, "lab: building %s\n", c.What)
	p, err := proc.Start(proc.Command{Name: c.Argv[0], Argv: c.Argv, Env: c.Env, Dir: c.Dir, Log: c.Log})
	if err != nil {
		return err
	}
	defer p.KillGroup()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-p.Done():
			if !p.State().Success() {
				return fmt.Errorf("build %s: %s; end of the log:\n%s", c.What, p.State(), end(c.Log, 4096))
			}
			fmt.Fprintf(progress, "lab: built in %.0f s\n", time.Since(start).Seconds())
			return nil
		case <-ctx.Done():
			return fmt.Errorf("build %s: %w", c.What, ctx.Err())
		case <-tick.C:
			line := bytes.TrimSpace(end(c.Log, 160))
			fmt.Fprintf(progress, "lab: %4.0f s, %s\n", time.Since(start).Seconds(), line[bytes.LastIndexByte(line, '\n')+1:])
		}
	}
}

// end returns the last n bytes of a file.
func end(file string, n int) []byte {
	text, _ := os.ReadFile(file)
	return text[max(0, len(text)-n):]
}
