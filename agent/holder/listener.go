package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/internal/hold"
)

// listener is the agent's way in: a SOCK_SEQPACKET socket with one connection
// at a time. The newest wins; the end of one changes nothing.
type listener struct {
	fd, conn int // conn is -1 without an agent
	in       [hold.RequestSize + 1]byte
	out      [hold.ReplySize]byte
}

// listen makes the socket. Whoever calls it holds the marker's lock, so a
// socket that is there belongs to nobody any more.
func listen(path string) (*listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	old := unix.Umask(0o177)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	unix.Umask(old)
	if err == nil {
		err = unix.Listen(fd, 4)
	}
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", path, err)
	}
	return &listener{fd: fd, conn: -1}, nil
}

// accept takes a new agent in place of the old one. It refuses one that is
// neither root nor the user of this process.
func (l *listener) accept() error {
	fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	if err != nil {
		return fmt.Errorf("accept agent: %w", err)
	}
	peer, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("ask for the agent's credentials: %w", err)
	}
	if peer.Uid != 0 && int(peer.Uid) != os.Geteuid() {
		_ = unix.Close(fd)
		return fmt.Errorf("refuse agent: user %d (pid %d) is neither root nor the holder's user", peer.Uid, peer.Pid)
	}
	l.drop()
	l.conn = fd
	return nil
}

// receive returns one message, or false when there is none or the agent has
// left.
func (l *listener) receive() ([]byte, bool) {
	n, err := unix.Read(l.conn, l.in[:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil, false
	}
	if n <= 0 || err != nil {
		l.drop()
		return nil, false
	}
	return l.in[:n], true
}

// send answers. An agent that does not read loses its connection.
func (l *listener) send(r hold.Reply) {
	r.Encode(l.out[:])
	if err := unix.Send(l.conn, l.out[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
		l.drop()
	}
}

func (l *listener) drop() {
	if l.conn >= 0 {
		_ = unix.Close(l.conn)
	}
	l.conn = -1
}
