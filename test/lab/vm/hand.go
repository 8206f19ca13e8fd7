package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/picket-dev/picket/test/lab/wire"
)

// errGone ends requests whose machine is without power.
var errGone = errors.New("the machine's port is closed")

// hand is the way to the program inside the machine.
type hand struct {
	conn net.Conn

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan wire.Reply // nil once the connection has ended
}

// newHand takes over a connection and calls greet with the boot ID of each
// greeting.
func newHand(conn net.Conn, greet func(boot string)) *hand {
	h := &hand{conn: conn, waiting: make(map[uint64]chan wire.Reply)}
	go h.read(greet)
	return h
}

func (h *hand) read(greet func(string)) {
	lines := bufio.NewReader(h.conn)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var reply wire.Reply
		if json.Unmarshal(line, &reply) != nil {
			continue // cut off by a reset
		}
		if reply.ID == 0 {
			greet(reply.Boot)
			continue
		}
		h.mu.Lock()
		if to := h.waiting[reply.ID]; to != nil {
			to <- reply
			delete(h.waiting, reply.ID)
		}
		h.mu.Unlock()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, to := range h.waiting {
		close(to)
	}
	h.waiting = nil
}

// ask sends a request and waits for its reply.
func (h *hand) ask(ctx context.Context, request wire.Request) (wire.Reply, error) {
	to := make(chan wire.Reply, 1)
	h.mu.Lock()
	if h.waiting == nil {
		h.mu.Unlock()
		return wire.Reply{}, errGone
	}
	h.next++
	request.ID = h.next
	h.waiting[request.ID] = to
	line, err := json.Marshal(request)
	if err == nil {
		// A guest that hangs reads nothing; a full port must not hang us.
		_ = h.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, err = h.conn.Write(append(line, '\n'))
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.waiting, request.ID)
		h.mu.Unlock()
	}()
	if err != nil {
		return wire.Reply{}, fmt.Errorf("write to the machine's port: %w", err)
	}
	select {
	case reply, ok := <-to:
		if !ok {
			return reply, errGone
		}
		return reply, nil
	case <-ctx.Done():
		return wire.Reply{}, ctx.Err()
	}
}
