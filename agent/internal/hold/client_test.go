package hold

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/proto/timing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeHolder answers each request by answer, on connection number conn from
// 0; without a reply it closes the connection.
type fakeHolder struct {
	path   string
	answer func(conn int, q Request) (Reply, bool)
	calls  chan Request
}

func newFake(t *testing.T, answer func(int, Request) (Reply, bool)) *fakeHolder {
	t.Helper()
	dir, err := os.MkdirTemp("", "hold") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	h := &fakeHolder{path: filepath.Join(dir, "s"), answer: answer, calls: make(chan Request, 100)}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: h.path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for conn := 0; ; conn++ {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			h.serve(conn, c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		_ = os.RemoveAll(dir)
	})
	return h
}

func (h *fakeHolder) serve(conn int, c *net.UnixConn) {
	defer c.Close()
	b := make([]byte, ReplySize)
	for {
		n, err := c.Read(b)
		if err != nil || n == 0 {
			return
		}
		q, err := DecodeRequest(b[:n])
		if err != nil {
			return
		}
		h.calls <- q
		r, ok := h.answer(conn, q)
		if !ok {
			return
		}
		r.Seq = q.Seq
		if r.Status.Now.IsZero() {
			r.Status.Now = clock.Now()
		}
		r.Encode(b)
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

func dial(t *testing.T, h *fakeHolder) *Client {
	t.Helper()
	c, err := Dial(t.Context(), h.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func always(r Reply) func(int, Request) (Reply, bool) {
	return func(int, Request) (Reply, bool) { return r, true }
}

func TestClientCalls(t *testing.T) {
	h := newFake(t, always(Reply{Status: Status{State: Armed}}))
	c := dial(t, h)
	until := timing.At(5 * s)
	for _, call := range []struct {
		do   func() (Status, error)
		want Request
	}{
		{func() (Status, error) { return c.Status(t.Context()) }, Request{Op: OpStatus}},
		{func() (Status, error) { return c.Arm(t.Context(), s, until) }, Request{Op: OpArm, Timeout: s, PetUntil: until}},
		{func() (Status, error) { return c.Extend(t.Context(), until) }, Request{Op: OpExtend, PetUntil: until}},
		{func() (Status, error) { return c.SetTimeout(t.Context(), s, until) }, Request{Op: OpSetTimeout, Timeout: s, PetUntil: until}},
		{func() (Status, error) { return c.Test(t.Context(), s) }, Request{Op: OpTest, Timeout: s}},
		{func() (Status, error) { return c.Coast(t.Context(), s, until) }, Request{Op: OpCoast, Timeout: s, PetUntil: until}},
		{func() (Status, error) { return c.Latch(t.Context()) }, Request{Op: OpLatch}},
		{func() (Status, error) { return c.Free(t.Context()) }, Request{Op: OpFree}},
		{func() (Status, error) { return c.Disarm(t.Context()) }, Request{Op: OpDisarm}},
	} {
		status, err := call.do()
		if err != nil || status.State != Armed || status.PID != os.Getpid() {
			t.Errorf("%v: %v (pid %d), %v", call.want.Op, status.State, status.PID, err)
		}
		got := <-h.calls
		got.Seq = 0
		if diff := cmp.Diff(call.want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestClientReturnsTheRefusalWithTheStatus(t *testing.T) {
	h := newFake(t, always(Reply{Status: Status{State: Latched}, Err: refuse(ErrLatched, "A6")}))
	status, err := dial(t, h).Extend(t.Context(), timing.At(s))
	if !errors.Is(err, ErrLatched) || status.State != Latched {
		t.Errorf("%v, %v; want Latched and its error", status.State, err)
	}
}

// A restarted holder is found again; what an agent that was replaced must not
// undo is not sent to it.
func TestClientReconnects(t *testing.T) {
	for _, c := range []struct {
		op   Op
		call func(*Client) error
		want bool
	}{
		{OpStatus, func(c *Client) error { _, err := c.Status(t.Context()); return err }, true},
		{OpArm, func(c *Client) error { _, err := c.Arm(t.Context(), s, timing.At(s)); return err }, true},
		{OpExtend, func(c *Client) error { _, err := c.Extend(t.Context(), timing.At(s)); return err }, true},
		{OpLatch, func(c *Client) error { _, err := c.Latch(t.Context()); return err }, true},
		{OpSetTimeout, func(c *Client) error { _, err := c.SetTimeout(t.Context(), s, timing.At(s)); return err }, false},
		{OpTest, func(c *Client) error { _, err := c.Test(t.Context(), s); return err }, false},
		{OpCoast, func(c *Client) error { _, err := c.Coast(t.Context(), s, timing.At(s)); return err }, false},
		{OpFree, func(c *Client) error { _, err := c.Free(t.Context()); return err }, false},
		{OpDisarm, func(c *Client) error { _, err := c.Disarm(t.Context()); return err }, false},
	} {
		t.Run(c.op.String(), func(t *testing.T) {
			h := newFake(t, func(conn int, q Request) (Reply, bool) { return Reply{}, conn > 0 })
			client := dial(t, h)
			err := c.call(client)
			if (err == nil) != c.want || !c.want && !errors.Is(err, ErrReplaced) {
				t.Errorf("first call: %v", err)
			}
			// Still cautious, until the agent has looked at the Status.
			if err := c.call(client); (err == nil) != c.want {
				t.Errorf("second call: %v", err)
			}
			if _, err := client.Status(t.Context()); err != nil {
				t.Errorf("status: %v", err)
			}
			if err := c.call(client); err != nil {
				t.Errorf("call after the status: %v", err)
			}
		})
	}
}

func TestClientGivesUpInTime(t *testing.T) {
	release := make(chan struct{})
	h := newFake(t, func(int, Request) (Reply, bool) { <-release; return Reply{}, false })
	defer close(release)
	c := dial(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), 20*ms)
	defer cancel()
	begin := time.Now()
	_, err := c.Free(ctx)
	if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took > CallTimeout/2 {
		t.Errorf("gave up after %v with %v", took, err)
	}
}

func TestClientRefusesAnotherClock(t *testing.T) {
	h := newFake(t, always(Reply{Status: Status{Now: clock.Now().Add(time.Hour)}}))
	if _, err := dial(t, h).Status(t.Context()); !errors.Is(err, ErrClock) {
		t.Errorf("error %v, want ErrClock", err)
	}
}
