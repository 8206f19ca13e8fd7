// Command guest runs inside the lab's virtual machines and carries out what the
// lab asks for over a virtio-serial port. It greets with the boot ID each time
// it starts, and serves any number of requests at once. Beside that it ships the
// logs of Picket's pods to a console.
//
// It is the lab's hand, not a part of Picket.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/picket-dev/picket/test/lab/wire"
)

func main() {
	go func() {
		fmt.Fprintln(os.Stderr, "guest:", ship("/var/log/pods/picket_*/*/*.log", "/dev/hvc1"))
	}()
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}

// serve answers until the port breaks.
func serve() error {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Errorf("read the boot ID: %w", err)
	}
	port, err := openPort(2 * time.Minute)
	if err != nil {
		return err
	}
	defer port.Close()
	s := &server{boot: strings.TrimSpace(string(boot)), out: json.NewEncoder(port)}
	if err := s.send(wire.Reply{}); err != nil {
		return err
	}
	lines := bufio.NewReader(port)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) { // nobody listens at the other end
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if err != nil {
			return fmt.Errorf("read from the port: %w", err)
		}
		var request wire.Request
		if json.Unmarshal(line, &request) != nil {
			continue // the rest of a line that an earlier boot began to read
		}
		go s.run(request)
	}
}

// openPort waits for the port's device: udev makes it a while after the start.
func openPort(within time.Duration) (*os.File, error) {
	const path = "/dev/virtio-ports/" + wire.Port
	for end := time.Now().Add(within); ; {
		port, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil {
			return port, nil
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("open the port: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

type server struct {
	boot string
	mu   sync.Mutex
	out  *json.Encoder
}

func (s *server) send(reply wire.Reply) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply.Boot = s.boot
	if err := s.out.Encode(reply); err != nil {
		return fmt.Errorf("write to the port: %w", err)
	}
	return nil
}

// run carries out one request.
func (s *server) run(request wire.Request) {
	ctx, cancel := context.WithTimeout(context.Background(), request.Timeout)
	defer cancel()
	var out, problems tail
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", request.Command)
	cmd.Stdin = bytes.NewReader(request.Stdin)
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.Env = append(os.Environ(), "HOME=/root", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	// What a script leaves in the background may keep its output open.
	cmd.WaitDelay = time.Second
	exit := 0
	if err := cmd.Run(); err != nil {
		exit = -1
		if cmd.ProcessState != nil {
			exit = cmd.ProcessState.ExitCode()
		} else {
			fmt.Fprintln(&problems, err)
		}
	}
	if err := s.send(wire.Reply{ID: request.ID, Exit: exit, Out: out.bytes, Err: problems.bytes}); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
	}
}

// tail keeps the end of what is written to it.
type tail struct{ bytes []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	if excess := len(t.bytes) - wire.Limit; excess > 0 {
		t.bytes = t.bytes[excess:]
	}
	return len(p), nil
}
