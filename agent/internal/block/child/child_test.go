package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

// what the child of a test can do.
var table = map[string]Work{
	"double": func(in json.RawMessage) (any, error) {
		var n int
		if err := json.Unmarshal(in, &n); err != nil {
			return nil, err
		}
		return 2 * n, nil
	},
	"fail":  func(json.RawMessage) (any, error) { return nil, errors.New("no such disk") },
	"panic": func(json.RawMessage) (any, error) { panic("out of ideas") },
	"exit":  func(json.RawMessage) (any, error) { os.Exit(7); return nil, nil },
	"chat":  func(json.RawMessage) (any, error) { fmt.Println("hello"); return 1, nil },
	"sleep": func(in json.RawMessage) (any, error) {
		var d time.Duration
		err := json.Unmarshal(in, &d)
		<-time.After(d)
		return nil, err
	},
	"deaf": func(json.RawMessage) (any, error) {
		return nil, syscall.Exec("/bin/sleep", []string{"sleep", "60"}, nil)
	},
	"nest": func(json.RawMessage) (any, error) {
		return nil, New(Default()).Do(context.Background(), "double", patient, 1, nil)
	},
	"large": func(json.RawMessage) (any, error) { return strings.Repeat("x", 3<<20), nil },
}

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == Name {
		if err := Main(os.Args[2], os.Stdin, os.Stdout, table); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patient is a bound that no healthy child reaches, even on a busy machine.
const patient = 30 * time.Second

// A binary that does not know the subcommand runs itself as a child, and must not
// do so for ever.
func TestChildrenHaveNoChildren(t *testing.T) {
	err := New(Default()).Do(t.Context(), "nest", patient, nil, nil)
	if err == nil || !strings.Contains(err.Error(), ErrNested.Error()) {
		t.Errorf("a child in a child: %v", err)
	}
}

func TestDo(t *testing.T) {
	tests := []struct {
		work string
		in   any
		want any
		err  string // a part of it
	}{
		{work: "double", in: 21, want: 42.0},
		{work: "large", want: strings.Repeat("x", 3<<20)},
		{work: "fail", err: "fail: no such disk"},
		{work: "double", in: "x", err: "cannot unmarshal"},
		{work: "panic", err: "out of ideas"},
		{work: "exit", err: "exit status 7"},
		{work: "chat", err: "gave no answer"},
		{work: "none", err: `no work "none": there are [chat deaf double`},
		{work: "double", in: func() {}, err: "encode request"},
	}
	for _, tt := range tests {
		t.Run(tt.work, func(t *testing.T) {
			var got any
			err := New(Default()).Do(t.Context(), tt.work, patient, tt.in, &got)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("Do() = %v, want an error with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("answer (-want +got):\n%s", d)
			}
		})
	}
}

func TestDoKillsAtTheBound(t *testing.T) {
	r := New(Default())
	begin := time.Now()
	err := r.Do(t.Context(), "sleep", 300*time.Millisecond, patient, nil)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrStuck) {
		t.Errorf("Do() = %v, want the deadline, and nothing stuck", err)
	}
	if took := time.Since(begin); took > patient/2 {
		t.Errorf("Do() took %v with a bound of 300 ms", took)
	}
	if s := r.Stuck(); s != nil {
		t.Errorf("Stuck() = %v after the child died", s)
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if err := New(Default()).Do(ctx, "sleep", patient, patient, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Do() = %v, want context.Canceled", err)
	}
}

func TestDoSaysWhenNothingCanBeStarted(t *testing.T) {
	c := Default()
	c.Command = []string{"/nothing/here"}
	if err := New(c).Do(t.Context(), "double", patient, 1, nil); err == nil || !strings.Contains(err.Error(), "/nothing/here") {
		t.Errorf("Do() = %v, want what could not be started", err)
	}
}

// A child that SIGKILL does not end is abandoned, counted, and forgotten when it
// ends; with too many of them nothing more is started. The kernel is played by a
// kill that does nothing, and by a child that has become another program.
func TestDoAbandonsWhatDoesNotDie(t *testing.T) {
	c := Default()
	c.Most = 2
	r := New(c)
	r.kill = func(int) error { return os.ErrProcessDone }
	for range c.Most {
		begin := time.Now()
		if err := r.Do(t.Context(), "deaf", time.Second, nil, nil); !errors.Is(err, ErrStuck) {
			t.Errorf("Do() = %v, want ErrStuck", err)
		}
		if took := time.Since(begin); took > patient/2 {
			t.Errorf("Do() took %v with a bound of 1 s", took)
		}
	}
	if err := r.Do(t.Context(), "double", patient, 1, nil); !errors.Is(err, ErrTooMany) {
		t.Errorf("Do() = %v, want ErrTooMany", err)
	}
	stuck := r.Stuck()
	if len(stuck) != c.Most {
		t.Fatalf("Stuck() = %v, want %d", stuck, c.Most)
	}
	for _, s := range stuck {
		if s.Work != "deaf" || s.PID == 0 || s.Since.IsZero() {
			t.Errorf("Stuck() has %+v", s)
		}
		if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	waitUntilNothingIsStuck(t, r)
	if err := r.Do(t.Context(), "double", patient, 1, nil); err != nil {
		t.Errorf("Do() = %v after all ended", err)
	}
}

func waitUntilNothingIsStuck(t *testing.T, r *Runner) {
	t.Helper()
	for begin := time.Now(); r.Stuck() != nil; <-time.After(10 * time.Millisecond) {
		if time.Since(begin) > patient/2 {
			t.Fatalf("Stuck() = %v for ever", r.Stuck())
		}
	}
}

// A child ends by itself where nobody is left to kill it.
func TestMainEndsAtItsBound(t *testing.T) {
	r := New(Default())
	r.kill = func(int) error { return os.ErrProcessDone }
	if err := r.Do(t.Context(), "sleep", 200*time.Millisecond, patient, nil); err == nil {
		t.Fatal("Do() waits for what does not answer")
	}
	waitUntilNothingIsStuck(t, r)
}

func TestConfigIsChecked(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Errorf("Default().Validate() = %v", err)
	}
	for name, spoil := range map[string]func(*Config){
		"no command": func(c *Config) { c.Command = nil },
		"most":       func(c *Config) { c.Most = 0 },
		"grace":      func(c *Config) { c.Grace = 0 },
	} {
		c := Default()
		spoil(&c)
		if c.Validate() == nil {
			t.Errorf("%s: Validate() accepts %+v", name, c)
		}
	}
}
