package hold

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/clock"
	"github.com/picket-dev/picket/proto/timing"
)

// CallTimeout bounds a call whose context has no nearer deadline.
const CallTimeout = time.Second

// ErrClock means that agent and holder read different clocks: they run in
// different time namespaces, and no petUntil of the one means anything to the
// other. Nothing must be armed then.
var ErrClock = errors.New("agent and holder read different clocks: run both in the host's time namespace")

// ErrReplaced means that the connection broke, or another agent took it over,
// before the holder answered. Whether the call was carried out is unknown: ask
// for the Status.
var ErrReplaced = errors.New("connection to the holder broke before it answered")

// A Client is the agent's side of the protocol. Its methods may be called from
// several goroutines and run one after the other.
//
// A Client connects again when its holder was restarted. Calls that may safely
// come twice and late (Status, Arm, Extend and Latch) are then sent once more.
// Free, Disarm, SetTimeout, Coast and Test are not: on a new connection they
// could undo what another agent has armed meanwhile. The Status tells what
// became of them.
type Client struct {
	path string

	mu   sync.Mutex
	conn *net.UnixConn
	pid  int // of the holder on conn
	seq  uint64
	in   [ReplySize + 1]byte
	out  [RequestSize]byte
}

// Dial returns a Client of the holder that listens at path, after a first
// connection.
func Dial(ctx context.Context, path string) (*Client, error) {
	c := &Client{path: path}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Close ends the connection. The holder goes on until its petUntil.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drop()
}

// Status returns what the holder does.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return c.call(ctx, Request{Op: OpStatus})
}

// Arm makes the holder open its device if need be, set T and ping until
// petUntil. T in force is in the Status, and may be rounded up. Errors are
// ErrRefused where the device must not be used, ErrExpired, ErrLatched and
// ErrDevice; the holder is then as it was.
func (c *Client) Arm(ctx context.Context, t time.Duration, petUntil timing.Instant) (Status, error) {
	return c.call(ctx, Request{Op: OpArm, Timeout: t, PetUntil: petUntil})
}

// Extend moves petUntil. One that is not later than the one in force is
// ignored, so the Status tells which counts.
func (c *Client) Extend(ctx context.Context, petUntil timing.Instant) (Status, error) {
	return c.call(ctx, Request{Op: OpExtend, PetUntil: petUntil})
}

// SetTimeout sets T of an armed holder and extends like Extend. Unlike with
// Arm, petUntil must lie ahead, for setting T pings; and a T that the device
// rounds up is taken back and refused, for the agent has published its T.
func (c *Client) SetTimeout(ctx context.Context, t time.Duration, petUntil timing.Instant) (Status, error) {
	return c.call(ctx, Request{Op: OpSetTimeout, Timeout: t, PetUntil: petUntil})
}

// Coast is for a host that shuts down in order. It sets the long timeout t of
// an armed holder by one last ping, for which petUntil must lie ahead, and the
// holder is Coasting: the device runs on and is never pinged again in this
// boot, petUntil binds no more, and every other call but Status and Latch is
// ErrRefused. So a shutdown that hangs is reset by the device, t after this
// call, and whoever counts on that needs the node to have published t, called
// the roll and adopted it before (PROTOCOL.md §4 and the end of §9).
//
// Errors are those of SetTimeout, and the holder is then armed as before:
// ErrExpired, ErrDevice where the device cannot count t, ErrRefused where it
// makes a longer timeout of it, ErrLatched where it then keeps that, ErrNotArmed
// where there is nothing to coast with. ErrInvalid comes from a holder that is
// too old to coast. A holder that coasts already is not pinged and goes on with
// the timeout that the Status tells.
func (c *Client) Coast(ctx context.Context, t time.Duration, petUntil timing.Instant) (Status, error) {
	return c.call(ctx, Request{Op: OpCoast, Timeout: t, PetUntil: petUntil})
}

// Test sets T of an idle or free holder, pings its device once more, and never
// again in this boot: the holder is Testing, every other call but Status and
// Latch is ErrRefused, and the device must reset the host. LastPet of the
// Status is when the last ping began. The node must have become unarmed by the
// handshake before.
//
// Errors are ErrRefused for an armed holder and for a device that must not be
// used, ErrDevice where the device fails or makes another timeout of t; the
// holder is then idle or free as before. ErrInvalid comes from a holder that is
// too old to test. A holder that tests already is not pinged and goes on.
func (c *Client) Test(ctx context.Context, t time.Duration) (Status, error) {
	return c.call(ctx, Request{Op: OpTest, Timeout: t})
}

// Latch resets the host at once (A1). Where that works nobody returns.
func (c *Client) Latch(ctx context.Context) (Status, error) {
	return c.call(ctx, Request{Op: OpLatch})
}

// Free lets the holder ping without a deadline until an agent arms again. The
// node must have become unarmed by the handshake before.
func (c *Client) Free(ctx context.Context) (Status, error) {
	return c.call(ctx, Request{Op: OpFree})
}

// Disarm stops the device by a magic close. The node must have become unarmed
// by the handshake before. A nowayout device cannot be stopped: ErrRefused,
// and the holder is Free.
func (c *Client) Disarm(ctx context.Context) (Status, error) {
	return c.call(ctx, Request{Op: OpDisarm})
}

func (c *Client) call(ctx context.Context, q Request) (Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	q.Seq = c.seq
	c.seq++
	repeatable := q.Op != OpFree && q.Op != OpDisarm && q.Op != OpSetTimeout && q.Op != OpCoast && q.Op != OpTest
	fresh := c.conn == nil
	if fresh && !repeatable {
		return Status{}, fmt.Errorf("%v: %w", q.Op, ErrReplaced)
	}
	s, err := c.exchange(ctx, q)
	if err != nil && c.conn == nil && !fresh && repeatable {
		s, err = c.exchange(ctx, q)
	}
	if err != nil {
		return s, fmt.Errorf("%v: %w", q.Op, err)
	}
	return s, nil
}

// exchange sends q and waits for its reply. After an error of the connection
// it leaves none behind, lest a late reply be taken for the next one.
func (c *Client) exchange(ctx context.Context, q Request) (Status, error) {
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return Status{}, err
		}
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	before := clock.Now()
	reply, err := c.transfer(q)
	after := clock.Now()
	if !stop() || err != nil {
		_ = c.drop()
	}
	if err != nil {
		return Status{}, errors.Join(context.Cause(ctx), err)
	}
	reply.Status.PID = c.pid
	if now := reply.Status.Now; before.Add(-clockSlack).After(now) || now.After(after.Add(clockSlack)) {
		return reply.Status, fmt.Errorf("%w: the agent's says %v, the holder's %v", ErrClock, after, now)
	}
	if reply.Err != nil {
		return reply.Status, reply.Err
	}
	return reply.Status, nil
}

// clockSlack forgives what two cores may disagree on about one clock.
const clockSlack = 10 * time.Millisecond

func (c *Client) transfer(q Request) (Reply, error) {
	q.Encode(c.out[:])
	if _, err := c.conn.Write(c.out[:]); err != nil {
		return Reply{}, errors.Join(ErrReplaced, err)
	}
	n, err := c.conn.Read(c.in[:])
	if err != nil {
		return Reply{}, errors.Join(ErrReplaced, err)
	}
	reply, err := DecodeReply(c.in[:n])
	if err == nil && reply.Seq != q.Seq {
		err = fmt.Errorf("reply %d of the holder does not answer call %d", reply.Seq, q.Seq)
	}
	return reply, err
}

func (c *Client) connect(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", c.path)
	if err != nil {
		return fmt.Errorf("connect to the holder: %w", err)
	}
	c.conn = conn.(*net.UnixConn)
	c.pid = peerOf(c.conn)
	return nil
}

// peerOf returns the process that listens at the other end, or 0.
func peerOf(conn *net.UnixConn) (pid int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	})
	return pid
}

func (c *Client) drop() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	return err
}
