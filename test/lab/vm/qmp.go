package vm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"sync"
)

// qmp is a connection to QEMU's monitor.
type qmp struct {
	conn net.Conn

	mu      sync.Mutex // one command at a time
	replies chan qmpReply
}

// qmpReply is any line that QEMU writes.
type qmpReply struct {
	Event  string          `json:"event"`
	Data   qmpData         `json:"data"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

// qmpData is what the events that matter here carry.
type qmpData struct {
	Guest  bool   `json:"guest"`
	Reason string `json:"reason"`
}

// openQMP takes over a connection and calls event for each event, in order,
// until the connection ends.
func openQMP(conn net.Conn, event func(name string, data qmpData)) (*qmp, error) {
	q := &qmp{conn: conn, replies: make(chan qmpReply, 1)}
	go func() {
		defer close(q.replies)
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			var r qmpReply
			switch err := json.Unmarshal(lines.Bytes(), &r); {
			case err != nil:
			case r.Event != "":
				event(r.Event, r.Data)
			case r.Return != nil || r.Error != nil:
				q.replies <- r
			}
		}
	}()
	return q, q.do("qmp_capabilities", nil)
}

// do carries out a command.
func (q *qmp) do(command string, arguments map[string]any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	line, err := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	if arguments == nil {
		line, err = json.Marshal(map[string]any{"execute": command})
	}
	if err != nil {
		return fmt.Errorf("ask QEMU to %s: %w", command, err)
	}
	if _, err := q.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask QEMU to %s: %w", command, err)
	}
	r, ok := <-q.replies
	switch {
	case !ok:
		return fmt.Errorf("ask QEMU to %s: it has ended", command)
	case r.Error != nil:
		return fmt.Errorf("ask QEMU to %s: %s", command, r.Error.Desc)
	}
	return nil
}
