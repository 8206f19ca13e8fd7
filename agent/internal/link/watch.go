package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/proto/timing"
)

const (
	// resubscribeAfter is the pause after a subscription broke. It keeps a
	// kernel that refuses from being asked all the time.
	resubscribeAfter = time.Second
	// receiveBuffer lets a burst of pod starts through without a loss.
	receiveBuffer = 1 << 20
)

// Watch reports every change until ctx ends, one at a time, on one goroutine
// and without waiting for anything: report must not block for long. When
// netlink fails or loses messages, which a storm of changes can cause, it
// reports an event of kind Unknown, subscribes again, and reports what changed
// meanwhile. What is there at the start is not reported.
//
// It looks at the network namespace of the calling thread: an agent that is to
// see its host runs in the host's network.
func Watch(ctx context.Context, log *slog.Logger, now func() timing.Instant, report func(Event)) {
	s := newState()
	say := func(e Event) {
		e.At = now()
		report(e)
	}
	for ctx.Err() == nil {
		err := watchOnce(ctx, s, say)
		if ctx.Err() != nil {
			return
		}
		log.Warn("lost sight of the network, will look again", "error", err)
		say(Event{Kind: Unknown})
		select {
		case <-ctx.Done():
		case <-time.After(resubscribeAfter):
		}
	}
}

// A subscription is netlink's three streams of changes.
type subscription struct {
	links     chan netlink.LinkUpdate
	addresses chan netlink.AddrUpdate
	routes    chan netlink.RouteUpdate
	broken    chan error // of any of them
	done      chan struct{}
	open      []func() // drains a stream until it is closed
}

// watchOnce reports changes until ctx ends or a stream breaks. It returns when
// nothing of its subscription is left.
func watchOnce(ctx context.Context, s *state, say func(Event)) error {
	sub, err := subscribe()
	defer sub.close()
	if err != nil {
		return err
	}
	// After the subscription, so that no change falls between the two. What
	// the list holds already, the streams repeat: state drops that.
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	addresses, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, e := range s.resync(links, addresses) {
		say(e)
	}
	return sub.follow(ctx, s, say)
}

// follow reports what the streams bring.
func (sub *subscription) follow(ctx context.Context, s *state, say func(Event)) error {
	for {
		var e Event
		var changed, open bool
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-sub.broken:
			return err
		case u, ok := <-sub.links:
			// A port that leaves a bridge is "deleted" for the bridge alone.
			if open = ok; ok && u.Family != unix.AF_BRIDGE {
				e, changed = s.link(u.Link, u.Header.Type == unix.RTM_DELLINK)
			}
		case u, ok := <-sub.addresses:
			if open = ok; ok {
				e, changed = s.address(u.LinkIndex, u.LinkAddress, u.NewAddr)
			}
		case u, ok := <-sub.routes:
			if open = ok; ok {
				e, changed = s.route(u.Route, u.Type == unix.RTM_NEWROUTE)
			}
		}
		if !open {
			return errors.New("netlink ended a subscription")
		}
		if changed {
			say(e)
		}
	}
}

// subscribe opens the three streams. Also with an error, the subscription is
// to be closed.
func subscribe() (*subscription, error) {
	sub := &subscription{
		links:     make(chan netlink.LinkUpdate, 64),
		addresses: make(chan netlink.AddrUpdate, 64),
		routes:    make(chan netlink.RouteUpdate, 64),
		broken:    make(chan error, 1),
		done:      make(chan struct{}),
	}
	onError := func(err error) {
		select {
		case sub.broken <- fmt.Errorf("watch netlink: %w", err):
		default:
		}
	}
	err := netlink.LinkSubscribeWithOptions(sub.links, sub.done,
		netlink.LinkSubscribeOptions{ErrorCallback: onError, ReceiveBufferSize: receiveBuffer})
	if err != nil {
		return sub, fmt.Errorf("watch links: %w", err)
	}
	sub.open = append(sub.open, drain(sub.links))
	err = netlink.AddrSubscribeWithOptions(sub.addresses, sub.done,
		netlink.AddrSubscribeOptions{ErrorCallback: onError, ReceiveBufferSize: receiveBuffer})
	if err != nil {
		return sub, fmt.Errorf("watch addresses: %w", err)
	}
	sub.open = append(sub.open, drain(sub.addresses))
	err = netlink.RouteSubscribeWithOptions(sub.routes, sub.done,
		netlink.RouteSubscribeOptions{ErrorCallback: onError, ReceiveBufferSize: receiveBuffer})
	if err != nil {
		return sub, fmt.Errorf("watch routes: %w", err)
	}
	sub.open = append(sub.open, drain(sub.routes))
	return sub, nil
}

// close closes the sockets and waits until the streams have ended.
func (sub *subscription) close() {
	close(sub.done)
	for _, wait := range sub.open {
		wait()
	}
}

// drain returns a function that empties the stream until netlink closes it.
func drain[T any](stream <-chan T) func() {
	return func() {
		for range stream {
		}
	}
}
