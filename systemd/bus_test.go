package systemd

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// drowse serves one connection at a socket like a manager that has read the first
// message together with the end of the authentication: it answers nothing before
// there are more messages, as many as it takes. It returns how many came.
func drowse(listener net.Listener, wakes int) (came int, err error) {
	conn, err := listener.Accept()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	from := bufio.NewReader(conn)
	for began := false; !began; {
		line, err := from.ReadString('\n')
		if err != nil {
			return 0, err
		}
		answer := ""
		switch line = strings.TrimSpace(strings.TrimLeft(line, "\x00")); {
		case line == "AUTH":
			answer = "REJECTED EXTERNAL"
		case strings.HasPrefix(line, "AUTH"), strings.HasPrefix(line, "DATA"):
			answer = "OK 0123456789abcdef0123456789abcdef"
		case line == "NEGOTIATE_UNIX_FD":
			answer = "AGREE_UNIX_FD"
		case line == "BEGIN":
			began = true
			continue
		}
		if _, err := fmt.Fprintf(conn, "%s\r\n", answer); err != nil {
			return 0, err
		}
	}
	var waiting []*dbus.Message
	for {
		m, err := dbus.DecodeMessage(from)
		if err != nil {
			return came, nil // the client has gone
		}
		came++
		if waiting = append(waiting, m); came < wakes {
			continue
		}
		for _, m := range waiting {
			reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{
				dbus.FieldReplySerial: dbus.MakeVariant(m.Serial()),
			}}
			if err := reply.EncodeTo(conn, binary.LittleEndian); err != nil {
				return came, err
			}
		}
		waiting = nil
	}
}

// A manager that leaves first messages lying is roused; one that never answers is an
// error in time.
func TestASleepyManagerIsRoused(t *testing.T) {
	for wakes, answers := range map[int]bool{1: true, 2: true, 4: true, 1000: false} {
		t.Run(fmt.Sprint(wakes), func(t *testing.T) {
			dir, err := os.MkdirTemp("", "bus") //nolint:usetesting // t.TempDir is too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			socket := filepath.Join(dir, "private")
			listener, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			var served sync.WaitGroup
			came := 0
			served.Go(func() {
				n, err := drowse(listener, wakes)
				if came = n; err != nil {
					t.Error(err)
				}
			})
			within := 20 * time.Second
			if !answers {
				within = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			m, err := Dial(ctx, socket)
			if err == nil {
				err = m.Reload(ctx)
				m.Close()
			}
			served.Wait()
			if (err == nil) != answers || came < 2 {
				t.Errorf("after %d messages: %v", came, err)
			}
		})
	}
}
