package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// press gives the screen messages one after the other.
func press(t *testing.T, m top, msgs ...tea.Msg) top {
	t.Helper()
	for _, msg := range msgs {
		next, _ := m.Update(msg)
		m = next.(top)
	}
	return m
}

func TestTopGolden(t *testing.T) {
	answer := answered{reply: nodes()["rack-cut"], at: noon}
	key := func(k rune) tea.Msg { return tea.KeyPressMsg{Code: k, Text: string(k)} }
	for _, size := range []tea.WindowSizeMsg{{Width: 80, Height: 24}, {Width: 120, Height: 40}} {
		for name, msgs := range map[string][]tea.Msg{
			"status":   {answer},
			"peers":    {answer, key('p')},
			"matrix":   {answer, tea.KeyPressMsg{Code: tea.KeyTab}, tea.KeyPressMsg{Code: tea.KeyTab}},
			"why":      {answer, tea.KeyPressMsg{Code: tea.KeyLeft}},
			"stale":    {answer, answered{err: errors.New("the agent does not answer within 2s"), at: noon.Add(3 * time.Second)}},
			"starting": {},
		} {
			t.Run(fmt.Sprintf("%s-%d", name, size.Width), func(t *testing.T) {
				m := press(t, newTop(nil, time.Second, false), append([]tea.Msg{size}, msgs...)...)
				out := m.draw() + "\n"
				if lines := strings.Count(out, "\n"); lines > size.Height {
					t.Errorf("%d lines", lines)
				}
				fits(t, out, size.Width)
				golden(t, fmt.Sprintf("top-%s-%d", name, size.Width), out)
			})
		}
	}
}

// The screen asks at once, again after every answer, and ends when it is told to.
func TestTopRuns(t *testing.T) {
	var asked atomic.Int32
	in, keys := newPipe()
	ask := func(context.Context) (*peerv1.StatusReply, error) {
		if asked.Add(1) == 3 {
			keys <- "q"
		}
		return armed(), nil
	}
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := live(ctx, newTop(ask, time.Millisecond, false), in, &out, tea.WithWindowSize(80, 24), tea.WithEnvironment([]string{"TERM=xterm"})); err != nil {
		t.Fatal(err)
	}
	if asked.Load() < 3 || !strings.Contains(out.String(), "r1-node-1") {
		t.Errorf("asked %d times; %q", asked.Load(), out.String())
	}
}

// A pipe hands out what is typed.
type pipe struct {
	keys chan string
	left []byte
}

func newPipe() (*pipe, chan<- string) {
	keys := make(chan string, 1)
	return &pipe{keys: keys}, keys
}

func (p *pipe) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		p.left = []byte(<-p.keys)
	}
	n := copy(b, p.left)
	p.left = p.left[n:]
	return n, nil
}
