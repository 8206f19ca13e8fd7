package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// Config says who this agent is and how it talks to the others.
type Config struct {
	// Node and Boot name this agent in every message.
	Node string
	Boot string

	// Now reads the host's clocks: clock.Now, or a simulator's.
	Now func() timing.Instant

	// Log takes what people must know of keys that were refused, at a bounded
	// rate. Without one it is not said.
	Log *slog.Logger

	// Source is the local address to dial from. Without one the kernel chooses.
	Source netip.Addr

	// Dial opens a connection to host:port. Without it, TCP from Source.
	Dial func(ctx context.Context, address string) (net.Conn, error)

	// Timeout bounds each call. An answer is worth having as long as its
	// neighbour is not lost, so it is the misses times the heartbeat interval.
	Timeout time.Duration

	// HedgeAfter is how long a call may stay unanswered before it is sent
	// again on a second connection, which starts at the peer's next address. A
	// cut path then costs this long and not the whole Timeout. Each call that
	// is slower costs a second one.
	HedgeAfter time.Duration

	// ConnectTimeout bounds one attempt to connect: TCP, TLS and HTTP/2, three
	// round trips. It exceeds 1 s, so that one lost SYN is sent again.
	ConnectTimeout time.Duration

	// BackoffMin and BackoffMax bound the pause between two attempts to
	// connect. A peer that comes back is found within about BackoffMax.
	BackoffMin time.Duration
	BackoffMax time.Duration

	// IdleTimeout closes a connection that carries no calls. Neighbours call
	// each other all the time; of 5000 nodes that ask a witness once a minute,
	// 10 s leave it with some 800 connections of 45 KiB instead of 5000.
	IdleTimeout time.Duration

	// StatementRate limits the statements served to one key, in calls per
	// second; StatementBurst of them may come at once.
	StatementRate  float64
	StatementBurst float64

	// StrangerRate limits the statements served to all keys together that are
	// not known callers, in calls per second, with a burst of one second's
	// worth. 1000/s cost about a fifth of a core.
	StrangerRate float64

	// Strangers limits the open connections of keys that are not known
	// callers. Each holds about 45 KiB. As many more from addresses that are no
	// peer's may be in their handshakes.
	Strangers int
}

// Default returns the settings that suit the standard profile. Node, Boot and
// Now remain to be set.
func Default() Config {
	return Config{
		Timeout:        2 * time.Second,
		HedgeAfter:     500 * time.Millisecond,
		ConnectTimeout: 2 * time.Second,
		BackoffMin:     100 * time.Millisecond,
		BackoffMax:     time.Second,
		IdleTimeout:    10 * time.Second,
		StatementRate:  10,
		StatementBurst: 20,
		StrangerRate:   1000,
		Strangers:      512,
	}
}

// Validate returns an error that names every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	require := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	require(c.Node != "", "node is empty")
	require(c.Boot != "", "boot is empty")
	if c.Now == nil {
		errs = append(errs, errors.New("now is not set"))
	}
	require(c.Timeout > 0, "timeout > 0 does not hold: it is %v", c.Timeout)
	require(c.HedgeAfter > 0 && c.HedgeAfter < c.Timeout,
		"0 < hedgeAfter < timeout does not hold: %v, %v", c.HedgeAfter, c.Timeout)
	require(c.ConnectTimeout > 0, "connectTimeout > 0 does not hold: it is %v", c.ConnectTimeout)
	require(c.BackoffMin > 0 && c.BackoffMin <= c.BackoffMax,
		"0 < backoffMin ≤ backoffMax does not hold: %v, %v", c.BackoffMin, c.BackoffMax)
	require(c.IdleTimeout > c.Timeout, "idleTimeout > timeout does not hold: %v, %v", c.IdleTimeout, c.Timeout)
	require(c.StatementRate > 0, "statementRate > 0 does not hold: it is %v", c.StatementRate)
	require(c.StatementBurst >= 1, "statementBurst ≥ 1 does not hold: it is %v", c.StatementBurst)
	require(c.StrangerRate >= 1, "strangerRate ≥ 1 does not hold: it is %v", c.StrangerRate)
	require(c.Strangers > 0, "strangers > 0 does not hold: it is %d", c.Strangers)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("settings of peer: %w", err)
	}
	return nil
}

// dial opens a connection as Config says.
func (c Config) dial(ctx context.Context, address string) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial(ctx, address)
	}
	var d net.Dialer
	if c.Source.IsValid() && sameFamily(c.Source, address) {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.Source, 0))
	}
	return d.DialContext(ctx, "tcp", address)
}

// sameFamily reports whether the source can reach the address at all: a node
// with an IPv4 source may have peers that also have IPv6 addresses.
func sameFamily(source netip.Addr, address string) bool {
	to, err := netip.ParseAddrPort(address)
	return err != nil || to.Addr().Unmap().Is4() == source.Unmap().Is4()
}
