package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/test/lab/wire"
)

// guest is the machine's end of the port.
type guest struct {
	conn  net.Conn
	lines *bufio.Reader
}

func (g *guest) request(t *testing.T) wire.Request {
	t.Helper()
	line, err := g.lines.ReadBytes('\n')
	if err != nil {
		t.Fatalf("read a request: %v", err)
	}
	var r wire.Request
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func (g *guest) say(t *testing.T, text string) {
	t.Helper()
	if _, err := g.conn.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func connect(t *testing.T, greet func(string)) (*hand, *guest) {
	host, inside := net.Pipe()
	t.Cleanup(func() { host.Close(); inside.Close() })
	return newHand(host, greet), &guest{inside, bufio.NewReader(inside)}
}

func TestRepliesFindTheirRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := connect(t, func(string) {})
		got := make(chan string, 2)
		for _, command := range []string{"one", "two"} {
			go func() {
				reply, err := h.ask(t.Context(), wire.Request{Command: command})
				if err != nil {
					t.Errorf("ask: %v", err)
				}
				got <- command + "=" + string(reply.Out)
			}()
		}
		first, second := g.request(t), g.request(t)
		for _, r := range []wire.Request{second, first} { // the other way around
			line, _ := json.Marshal(wire.Reply{ID: r.ID, Out: []byte(r.Command)})
			g.say(t, string(line)+"\n")
		}
		have := map[string]bool{<-got: true, <-got: true}
		if diff := cmp.Diff(map[string]bool{"one=one": true, "two=two": true}, have); diff != "" {
			t.Errorf("replies (-want +got):\n%s", diff)
		}
	})
}

// A reset cuts the guest's line off, and the next boot greets in the middle.
func TestGreetingAfterAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var boots []string
		_, g := connect(t, func(boot string) { boots = append(boots, boot) })
		g.say(t, `{"boot":"a"}`+"\n"+`{"id":7,"out":"aGF`+"\n"+`{"boot":"b"}`+"\n")
		synctest.Wait()
		if diff := cmp.Diff([]string{"a", "b"}, boots); diff != "" {
			t.Errorf("greetings (-want +got):\n%s", diff)
		}
	})
}

func TestPowerCutEndsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, g := connect(t, func(string) {})
		failed := make(chan error, 1)
		go func() {
			_, err := h.ask(t.Context(), wire.Request{Command: "sleep 100"})
			failed <- err
		}()
		g.request(t)
		g.conn.Close()
		if err := <-failed; !errors.Is(err, errGone) {
			t.Errorf("ask = %v, want %v", err, errGone)
		}
		if _, err := h.ask(t.Context(), wire.Request{}); !errors.Is(err, errGone) {
			t.Errorf("ask afterwards = %v, want %v", err, errGone)
		}
	})
}

// A guest that hangs reads nothing: the lab must go on.
func TestHungGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := connect(t, func(string) {})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, err := h.ask(ctx, wire.Request{Command: "true"}); err == nil {
			t.Error("ask = nil, want an error")
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("ask took %v", took)
		}
	})
}
