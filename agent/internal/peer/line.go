package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// A line is what is kept open to one peer: a main path, and a spare one that
// is opened when the main path leaves a call unanswered. Whichever answers
// first is the main path from then on.
type line struct {
	peer Peer
	open opener

	mu     sync.Mutex
	own    string // the own key that both paths show; empty: the newest
	main   *path
	spare  *path
	closed bool
}

// A path is one connection. It connects with the first call, to the first of
// its addresses that completes a handshake, and again whenever it is lost.
type path struct {
	own       string // the fingerprint of the key that it shows
	addresses []string
	conn      *grpc.ClientConn
	stub      peerv1.PeerClient
}

var errClosed = errors.New("the peer was removed or its key or addresses changed")

// An opener makes paths under the keys of one identity.
type opener struct {
	*Identity
	open func(p Peer, own credential, addresses []string) (*path, error)
}

// newOpener returns the opener of real connections. They do not connect yet.
func newOpener(c Config, id *Identity, tell *refusals) opener {
	return opener{id, func(p Peer, own credential, addresses []string) (*path, error) {
		state := resolver.State{}
		for _, a := range addresses {
			state.Addresses = append(state.Addresses, resolver.Address{Addr: a})
		}
		book := manual.NewBuilderWithScheme("picket")
		book.InitialState(state)
		conn, err := grpc.NewClient("picket:///"+p.Node,
			grpc.WithResolvers(book),
			grpc.WithTransportCredentials(&asking{credentials.NewTLS(clientTLS(own, p.Fingerprint)), p.Node, tell}),
			grpc.WithContextDialer(c.dial),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: c.BackoffMin, Multiplier: 1.6, Jitter: 0.2, MaxDelay: c.BackoffMax},
				MinConnectTimeout: c.ConnectTimeout,
			}),
			// The interval is the least that gRPC accepts and too long to matter
			// here; the timeout also bounds how long TCP waits for an ACK.
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: c.Timeout}),
			grpc.WithIdleTimeout(c.IdleTimeout),
			grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
			grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
			grpc.WithMaxHeaderListSize(maxHeaders),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReply), grpc.WaitForReady(true)),
			grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
		)
		if err != nil {
			return nil, fmt.Errorf("prepare connection to %s: %w", p.Node, err)
		}
		return &path{own: own.fingerprint, addresses: addresses, conn: conn, stub: peerv1.NewPeerClient(conn)}, nil
	}}
}

// asking are a client's credentials: they tell of servers with a wrong key.
type asking struct {
	credentials.TransportCredentials
	node string
	tell *refusals
}

// ClientHandshake does the TLS handshake.
func (a *asking) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, auth, err := a.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if wrong, ok := errors.AsType[*wrongKey](err); ok {
		a.tell.server(a.node, raw.RemoteAddr(), wrong)
	}
	return conn, auth, err
}

// Clone returns credentials that tell the same.
func (a *asking) Clone() credentials.TransportCredentials {
	return &asking{a.TransportCredentials.Clone(), a.node, a.tell}
}

// first returns the main path.
func (l *line) first() (*path, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	return l.opened()
}

// opened is first for a caller that holds the lock.
func (l *line) opened() (*path, error) {
	var err error
	if l.main == nil {
		l.main, err = l.open.open(l.peer, l.open.named(l.own), l.peer.Addresses)
	}
	return l.main, err
}

// other returns a path that is not p: the main one if p was replaced or closed
// meanwhile, else the spare one, which starts at the address after p's first.
func (l *line) other(p *path) (*path, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, errClosed
	case l.main != p:
		return l.opened()
	}
	var err error
	if l.spare == nil {
		l.spare, err = l.open.open(l.peer, l.open.named(p.own), slices.Concat(p.addresses[1:], p.addresses[:1]))
	}
	return l.spare, err
}

// prefer makes the spare path p the main one and closes the one that failed, if
// that was not done.
func (l *line) prefer(p *path) {
	l.mu.Lock()
	if l.closed || l.spare != p {
		l.mu.Unlock()
		return
	}
	failed := l.main
	l.main, l.spare = p, nil
	l.mu.Unlock()
	if failed != nil {
		_ = failed.conn.Close() // it never says more than that it was closed before
	}
}

// change shows the peer another key than the one that it has refused on that
// path, unless that was tried as well.
func (l *line) change(refused *path, tried []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.main != nil && l.main.own != refused.own {
		return !l.closed // somebody else has changed it
	}
	next := l.open.after(refused.own).fingerprint
	if slices.Contains(tried, next) {
		return false
	}
	for _, p := range []*path{l.main, l.spare} {
		if p != nil {
			go p.conn.Close() // as in wake
		}
	}
	l.own, l.main, l.spare = next, nil, nil
	return true
}

// accepted returns the fingerprint of the own key that the peer was last shown.
func (l *line) accepted() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.main == nil {
		return l.own
	}
	return l.main.own
}

// wake ends the pauses between attempts to connect: the next call makes a new
// connection, which shows the same key. It waits for nothing: the agent's core calls it. gRPC's
// ResetConnectBackoff reads a map that a connecting ClientConn writes, without its
// lock, which ends the process.
func (l *line) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range []**path{&l.main, &l.spare} {
		if *p != nil && (*p).conn.GetState() == connectivity.TransientFailure {
			go (*p).conn.Close() // it never says more than that it was closed before
			l.own, *p = (*p).own, nil
		}
	}
}

// close ends all calls and connections.
func (l *line) close() {
	l.mu.Lock()
	paths := []*path{l.main, l.spare}
	l.closed, l.main, l.spare = true, nil, nil
	l.mu.Unlock()
	for _, p := range paths {
		if p != nil {
			_ = p.conn.Close() // as above
		}
	}
}

// ask sends a call, and again under the next of the own keys where the peer
// knows the one that it was shown no more, or not yet.
func ask[T any](ctx context.Context, l *line, hedge time.Duration, call func(context.Context, peerv1.PeerClient) (T, error)) (T, error) {
	var tried []string
	for {
		value, from, err := askOnce(ctx, l, hedge, call)
		if status.Code(err) != codes.PermissionDenied || from == nil {
			return value, err
		}
		if tried = append(tried, from.own); !l.change(from, tried) {
			return value, err
		}
	}
}

// askOnce sends a call on the main path of the line and, when that fails or is
// not answered within hedge, on the spare one too. The first answer counts.
func askOnce[T any](ctx context.Context, l *line, hedge time.Duration, call func(context.Context, peerv1.PeerClient) (T, error)) (T, *path, error) {
	type answer struct {
		from  *path
		value T
		err   error
	}
	var none T
	main, err := l.first()
	if err != nil {
		return none, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, 2)
	send := func(p *path) {
		go func() {
			value, err := call(ctx, p.stub)
			answers <- answer{p, value, err}
		}()
	}
	send(main)
	pending, hedged := 1, false
	timer := time.NewTimer(hedge)
	defer timer.Stop()
	var first error
	for pending > 0 {
		select {
		case <-timer.C:
		case a := <-answers:
			pending--
			if a.err == nil || refused(a.err) {
				if a.from != main {
					l.prefer(a.from)
				}
				return a.value, a.from, a.err
			}
			if first == nil {
				first = a.err
			}
		}
		if !hedged && ctx.Err() == nil {
			hedged = true
			if spare, err := l.other(main); err == nil {
				pending++
				send(spare)
			}
		}
	}
	return none, nil, first
}

// refused reports whether the peer itself answered, with an error: asking it
// again on another path would not help.
func refused(err error) bool {
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated, codes.ResourceExhausted, codes.Unimplemented:
		return true
	}
	return false
}
