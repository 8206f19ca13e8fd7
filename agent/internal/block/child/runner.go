package child

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrStuck says that a child neither answered within its bound nor died when it
// was killed: it sleeps in the kernel. What it was to do may still happen.
var ErrStuck = errors.New("the child is stuck in the kernel")

// ErrNested says that a child was to start a child. A binary that does not know
// the subcommand would otherwise begin its own work in each, and that again.
var ErrNested = errors.New("a child starts no children")

// marker is set in a child's environment.
const marker = "PICKET_CHILD"

// ErrTooMany says that nothing was started, because too many children are stuck.
var ErrTooMany = errors.New("too many children are stuck in the kernel")

// Config says what a child is.
type Config struct {
	// Command is the argument list that leads to Main; the name of the work is
	// added to it. /proc/self/exe finds the own binary even where the path to
	// it hangs, or was deleted.
	Command []string
	// Most is how many children may be stuck at once: each holds a thread of
	// this process until it ends.
	Most int
	// Grace is how long a killed child may take to die before it counts as
	// stuck.
	Grace time.Duration
}

// Default returns the Config of a binary that has Command's subcommand.
func Default() Config {
	return Config{Command: []string{"/proc/self/exe", Name}, Most: 8, Grace: 500 * time.Millisecond}
}

// Validate returns an error for settings that cannot work.
func (c Config) Validate() error {
	switch {
	case len(c.Command) == 0:
		return errors.New("settings of child: command is empty")
	case c.Most < 1:
		return fmt.Errorf("settings of child: most is %d, it must be at least 1", c.Most)
	case c.Grace <= 0:
		return fmt.Errorf("settings of child: grace is %v, it must be positive", c.Grace)
	}
	return nil
}

// A Runner starts children and remembers those that do not end. It is safe for
// concurrent use.
type Runner struct {
	config Config
	kill   func(group int) error // replaced by tests: what ignores SIGKILL

	mu    sync.Mutex
	next  int
	stuck map[int]Stuck
}

// Stuck is a child that was abandoned and has not ended yet.
type Stuck struct {
	// PID is the child's process, or 0 where not even its start came back.
	PID int
	// Work is the name of what it was to do.
	Work string
	// Since is when it was started, by the wall clock, to be shown.
	Since time.Time
}

// New returns a Runner for a valid Config.
func New(c Config) *Runner {
	return &Runner{
		config: c,
		kill:   func(group int) error { return syscall.Kill(-group, syscall.SIGKILL) },
		stuck:  make(map[int]Stuck),
	}
}

// Stuck returns the children that are abandoned now, the oldest first.
func (r *Runner) Stuck() []Stuck {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Stuck
	for _, s := range r.stuck {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Stuck) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.PID, b.PID))
	})
	return all
}

// Do has a child do the named work with in, and stores its answer in out. It
// returns within bound and the Config's grace: with the error that the work
// returned; one that is context.DeadlineExceeded or Canceled, where the child
// was killed; ErrStuck, where it did not even die; ErrTooMany or ErrNested.
func (r *Runner) Do(ctx context.Context, work string, bound time.Duration, in, out any) error {
	if os.Getenv(marker) != "" {
		return fmt.Errorf("%s: %w", work, ErrNested)
	}
	if n := len(r.Stuck()); n >= r.config.Most {
		return fmt.Errorf("%s: %w: %d", work, ErrTooMany, n)
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	c, err := newCall(work, bound, in)
	if err != nil {
		return fmt.Errorf("%s: %w", work, err)
	}
	cmd := r.command(ctx, c)
	since, ended := time.Now(), make(chan struct{})
	var exit error // once it has ended
	var pid atomic.Int64
	// Even the start can hang: fork waits until the child has executed the
	// binary, which lies on a filesystem too.
	go func() {
		defer close(ended)
		if exit = cmd.Start(); exit == nil {
			pid.Store(int64(cmd.Process.Pid))
			exit = cmd.Wait()
		}
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		select {
		case <-ended:
		case <-time.After(r.config.Grace):
			r.abandon(Stuck{PID: int(pid.Load()), Work: work, Since: since}, c, ended)
			return fmt.Errorf("%s: no answer within %v: %w (process %d)", work, bound, ErrStuck, pid.Load())
		}
	}
	defer c.close()
	if cause := ctx.Err(); cause != nil && exit != nil {
		return fmt.Errorf("%s: no answer within %v: %w", work, bound, cause)
	}
	if err := c.answer(exit, out); err != nil {
		return fmt.Errorf("%s: %w", work, err)
	}
	return nil
}

func (r *Runner) command(ctx context.Context, c *call) *exec.Cmd {
	argv := append(slices.Clone(r.config.Command), c.work)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", marker+"=1")
	// A group of its own, so that what the child has started dies with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return r.kill(cmd.Process.Pid) }
	return cmd
}

// abandon counts a child as stuck until it ends.
func (r *Runner) abandon(s Stuck, c *call, ended <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.next
	r.next++
	r.stuck[id] = s
	go func() {
		<-ended
		c.close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.stuck, id)
	}()
}

// A call is the three files that a child has for its input and output. They are
// in memory and no pipes: nothing has to be pumped for a child that hangs.
type call struct {
	work         string
	in, out, err *os.File
}

func newCall(work string, bound time.Duration, in any) (*call, error) {
	input, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	envelope, err := json.Marshal(request{Bound: bound, In: input})
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	c := &call{work: work}
	for _, f := range []struct {
		file **os.File
		text []byte
	}{{&c.in, envelope}, {&c.out, nil}, {&c.err, nil}} {
		if *f.file, err = memory(work, f.text); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// answer reads what the child wrote, which ended with err.
func (c *call) answer(err error, out any) error {
	text, readErr := content(c.out)
	if readErr != nil {
		return fmt.Errorf("read answer: %w", readErr)
	}
	var a answer
	if json.Unmarshal(text, &a) != nil {
		return fmt.Errorf("the child gave no answer: %w%s", cmp.Or(err, errNoText), c.lastWords())
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.Out, out); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

var errNoText = errors.New("what it wrote is no answer")

// lastWords returns the beginning of what the child wrote to its standard error.
func (c *call) lastWords() string {
	text, err := content(c.err)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(text[:min(len(text), 512)]))
}

func (c *call) close() {
	for _, f := range []*os.File{c.in, c.out, c.err} {
		if f != nil {
			_ = f.Close() // nothing was written by this process that could be lost
		}
	}
}
