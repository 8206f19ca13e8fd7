package notify

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestNotifyWithoutAManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	for name, call := range map[string]func() error{
		"ready":  Ready,
		"store":  func() error { return StoreFD("watchdog", 0) },
		"remove": func() error { return RemoveFD("watchdog") },
	} {
		if err := call(); !errors.Is(err, ErrNotManaged) {
			t.Errorf("%s: %v, want ErrNotManaged", name, err)
		}
	}
	t.Setenv("NOTIFY_SOCKET", "vsock:2:1")
	if err := StoreFD("watchdog", 0); err == nil || errors.Is(err, ErrNotManaged) {
		t.Errorf("no unix socket: %v", err)
	}
}

func TestStoreFDHandsTheFileOver(t *testing.T) {
	dir, err := os.MkdirTemp("", "sd") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, address := range map[string]string{"path": filepath.Join(dir, "notify"), "abstract": "@picket-test-" + filepath.Base(dir)} {
		t.Run(name, func(t *testing.T) {
			manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer manager.Close()
			_ = manager.SetReadDeadline(time.Now().Add(10 * time.Second))
			t.Setenv("NOTIFY_SOCKET", address)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			if err := StoreFD("watchdog", int(w.Fd())); err != nil {
				t.Fatal(err)
			}
			b, oob := make([]byte, 256), make([]byte, 256)
			n, oobn, _, _, err := manager.ReadMsgUnix(b, oob)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(b[:n]), "FDSTORE=1\nFDNAME=watchdog\nFDPOLL=0"; got != want {
				t.Errorf("manager got %q, want %q", got, want)
			}
			messages, err := syscall.ParseSocketControlMessage(oob[:oobn])
			if err != nil || len(messages) != 1 {
				t.Fatalf("control messages %v, %v", messages, err)
			}
			fds, err := syscall.ParseUnixRights(&messages[0])
			if err != nil || len(fds) != 1 {
				t.Fatalf("descriptors %v, %v", fds, err)
			}
			copied := os.NewFile(uintptr(fds[0]), "copy")
			defer copied.Close()
			if _, err := copied.WriteString("x"); err != nil {
				t.Fatal(err)
			}
			if n, err := r.Read(b); n != 1 || err != nil || b[0] != 'x' {
				t.Errorf("the stored descriptor is another file: %d bytes, %v", n, err)
			}
		})
	}
}
