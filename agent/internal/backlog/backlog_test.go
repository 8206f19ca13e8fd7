package backlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A reader is a log's reader that does not read until it is released.
type reader struct {
	read   chan struct{}
	writes []string
}

func (r *reader) Write(line []byte) (int, error) {
	<-r.read
	r.writes = append(r.writes, string(line))
	return len(line), nil
}

func TestLinesArePassedOnOneByOne(t *testing.T) {
	r := &reader{read: make(chan struct{})}
	b := New(r)
	log := slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Info("one", "text", "two\nlines")
	log.Info("two")
	close(r.read)
	b.Close(time.Minute)
	log.Info("too late")
	if d := cmp.Diff([]string{"level=INFO msg=one text=\"two\\nlines\"\n", "level=INFO msg=two\n"}, r.writes); d != "" {
		t.Errorf("lines (-want +got):\n%s", d)
	}
}

// Whoever logs goes on, and whoever reads at last learns what is missing, where.
func TestALogThatNobodyReadsStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{read: make(chan struct{})}
		b := New(r)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		const hangs, fit, lost = 1, room / 1024, 40
		for i := range hangs + fit + lost {
			if n, err := b.Write(line); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
			if i == 0 {
				synctest.Wait() // the first one hangs
			}
		}
		close(r.read)
		synctest.Wait()
		fmt.Fprintln(b, "back")
		b.Close(time.Minute)
		if n, want := len(r.writes), hangs+fit+2; n != want {
			t.Fatalf("%d lines, want %d", n, want)
		}
		if gap := r.writes[hangs+fit]; !strings.Contains(gap, "level=WARN") || !strings.Contains(gap, "lines="+strconv.Itoa(lost)) {
			t.Errorf("the gap is told by %q", gap)
		}
		if last := r.writes[hangs+fit+1]; last != "back\n" {
			t.Errorf("then comes %q", last)
		}
	})
}

// The end of the process does not wait for a reader either.
func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{read: make(chan struct{})}
		b := New(r)
		fmt.Fprintln(b, "never read")
		began := time.Now()
		b.Close(time.Second)
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v", took)
		}
		close(r.read)
	})
}

// A real pipe, which holds 64 KiB.
func TestAFullPipeStopsNobody(t *testing.T) {
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b := New(in)
	var logging sync.WaitGroup
	for range 4 {
		logging.Go(func() {
			for range 1000 {
				fmt.Fprintln(b, strings.Repeat("x", 200))
			}
		})
	}
	logging.Wait()
	var got bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = got.ReadFrom(out) })
	b.Close(time.Minute)
	in.Close()
	reading.Wait()
	out.Close()
	text := got.String()
	kept, told := strings.Count(text, strings.Repeat("x", 200)+"\n"), 0
	for _, gap := range regexp.MustCompile(`lines=(\d+)\n`).FindAllStringSubmatch(text, -1) { // one, or two
		n, err := strconv.Atoi(gap[1])
		if err != nil {
			t.Fatal(err)
		}
		told += n
	}
	if told == 0 || kept+told != 4000 {
		t.Errorf("%d of 4000 lines came, and %d are said to be missing", kept, told)
	}
}
