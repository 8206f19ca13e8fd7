package link

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/proto/timing"
)

// watchOwnNamespace runs Watch in a network namespace of its own, and returns
// a handle to change that network, the events, and a function that ends it.
func watchOwnNamespace(ctx context.Context, t *testing.T) (*netlink.Handle, <-chan Event, *sync.WaitGroup) {
	t.Helper()
	type start struct {
		ns  netns.NsHandle
		err error
	}
	started := make(chan start, 1)
	events := make(chan Event, 100)
	var done sync.WaitGroup
	done.Go(func() {
		// The thread is never unlocked, so it ends with the goroutine and
		// takes the namespace along.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			started <- start{err: err}
			return
		}
		ns, err := netns.Get()
		started <- start{ns, err}
		if err != nil {
			return
		}
		begin := time.Now()
		Watch(ctx, slog.New(slog.DiscardHandler), func() timing.Instant { return timing.At(time.Since(begin)) }, func(e Event) { events <- e })
	})
	s := <-started
	if errors.Is(s.err, unix.EPERM) {
		t.Skip("needs CAP_SYS_ADMIN for a network namespace of its own")
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	h, err := netlink.NewHandleAt(s.ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); _ = s.ns.Close() })
	return h, events, &done
}

// A5: a carrier loss is known at once.
func TestWatchSeesTheNetworkChange(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	h, events, done := watchOwnNamespace(ctx, t)
	defer done.Wait()
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// wait returns the delay until the event comes.
	wait := func(want Event) time.Duration {
		t.Helper()
		begin := time.Now()
		timeout := time.After(10 * time.Second)
		for {
			select {
			case e := <-events:
				if e.At.IsZero() {
					t.Errorf("event without an instant: %+v", e)
				}
				e.At = timing.Instant{}
				if e == want {
					return time.Since(begin)
				}
			case <-timeout:
				t.Fatalf("no event %+v", want)
			}
		}
	}
	must(h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near"}, PeerName: "far"}))
	near, err := h.LinkByName("near")
	must(err)
	far, err := h.LinkByName("far")
	must(err)
	must(h.LinkSetUp(near))
	for begun := false; !begun; { // what Watch finds at its start is no event
		must(h.LinkSetUp(far))
		select {
		case e := <-events:
			begun = e.Interface == "near" && e.Up
		case <-time.After(100 * time.Millisecond):
			must(h.LinkSetDown(far))
		}
	}
	must(h.LinkSetDown(far))
	wait(Event{Kind: Carrier, Interface: "near"})
	must(h.LinkSetUp(far))
	wait(Event{Kind: Carrier, Interface: "near", Up: true})

	ip, err := netlink.ParseAddr("192.0.2.7/24")
	must(err)
	must(h.AddrAdd(near, ip))
	wait(Event{Kind: Address, Interface: "near", What: "192.0.2.7/24", Up: true})
	must(h.RouteAdd(&netlink.Route{LinkIndex: near.Attrs().Index, Gw: cidr(t, "192.0.2.1/24").IP}))
	wait(Event{Kind: Route, Interface: "near", What: "default", Up: true})
	must(h.AddrDel(near, ip))
	wait(Event{Kind: Address, Interface: "near", What: "192.0.2.7/24"})

	must(h.LinkSetDown(far))
	if d := wait(Event{Kind: Carrier, Interface: "near"}); d > time.Second {
		t.Errorf("the lost carrier was reported after %v", d)
	}
	must(h.LinkSetUp(far))
	wait(Event{Kind: Carrier, Interface: "near", Up: true})

	// Joining and leaving a bridge is no loss.
	must(h.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br"}}))
	br, err := h.LinkByName("br")
	must(err)
	must(h.LinkSetMaster(near, br))
	must(h.LinkSetNoMaster(near))
	must(h.LinkDel(br))
	must(h.LinkSetAlias(near, "still there"))
	must(h.AddrAdd(near, ip)) // a mark in the stream
	for {
		e := <-events
		if e.Kind == Carrier && e.Interface == "near" {
			t.Errorf("a bridge's port was reported as %+v", e)
		}
		if e.Kind == Address {
			break
		}
	}
	must(h.LinkDel(near))
	wait(Event{Kind: Carrier, Interface: "near"})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	_, _, done := watchOwnNamespace(ctx, t)
	cancel()
	done.Wait()
}
