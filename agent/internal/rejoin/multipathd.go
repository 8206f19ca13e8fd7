package rejoin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// errNoDaemon says that no multipathd answers.
var errNoDaemon = errors.New("no multipathd runs")

// multipathd gives multipathd a command. It listens on an abstract socket, which
// all processes of the host's network see, and in newer versions on a file.
func (o order) multipathd(command string) error {
	for _, name := range []string{"@/org/kernel/linux/storage/multipathd", "/run/multipathd.socket"} {
		conn, err := net.Dial("unix", name)
		if err != nil {
			continue
		}
		return errors.Join(converse(conn, command, o.Step.Bound), conn.Close())
	}
	return errNoDaemon
}

// converse sends a command, and reads the answer: each a length as the machine
// writes it, which counts a final zero, and the text.
func converse(conn net.Conn, command string, bound time.Duration) error {
	if strings.ContainsAny(command, "\x00\n\"'") {
		return fmt.Errorf("no command for multipathd: %q", command)
	}
	if err := conn.SetDeadline(time.Now().Add(bound)); err != nil {
		return fmt.Errorf("tell multipathd: %w", err)
	}
	text := binary.NativeEndian.AppendUint64(nil, uint64(len(command)+1))
	if _, err := conn.Write(append(append(text, command...), 0)); err != nil {
		return fmt.Errorf("tell multipathd to %s: %w", command, err)
	}
	var size [8]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return fmt.Errorf("read multipathd's answer to %s: %w", command, err)
	}
	const most = 64 << 10
	n := binary.NativeEndian.Uint64(size[:])
	if n > most {
		return fmt.Errorf("read multipathd's answer to %s: it has %d bytes", command, n)
	}
	answer := make([]byte, n)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return fmt.Errorf("read multipathd's answer to %s: %w", command, err)
	}
	if word := strings.TrimSpace(strings.Trim(string(answer), "\x00")); word != "ok" {
		return fmt.Errorf("multipathd does not %s: %.200q", command, word)
	}
	return nil
}
