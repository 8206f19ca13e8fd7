package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// request is what `lab exec`, `lab run`, `lab profile` and `lab down` ask of the
// lab that is up.
type request struct {
	Verb string
	Args []string
}

// answer is a piece of what comes back; the last one says Done.
type answer struct {
	Out, Err []byte
	Exit     int
	Failure  string
	Done     bool
}

// controlConn is a connection to the lab that is up.
type controlConn struct{ net.Conn }

func dialControl() (*controlConn, error) {
	path, err := cacheFile("lab.sock")
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, errors.New("no lab is up: start one with `lab up`")
	}
	return &controlConn{conn}, nil
}

// ask sends a request and prints what comes back.
func (c *controlConn) ask(ctx context.Context, r request) error {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := json.NewEncoder(c).Encode(r); err != nil {
		return fmt.Errorf("ask the lab: %w", err)
	}
	for answers := json.NewDecoder(c); ; {
		var a answer
		if err := answers.Decode(&a); err != nil {
			if r.Verb == "down" {
				return nil // its last word
			}
			return fmt.Errorf("hear from the lab: %w", err)
		}
		_, _ = os.Stdout.Write(a.Out)
		_, _ = os.Stderr.Write(a.Err)
		switch {
		case a.Failure != "":
			return errors.New(a.Failure)
		case a.Done && a.Exit != 0:
			return exitCode(a.Exit)
		case a.Done:
			return nil
		}
	}
}

// listen serves requests until the listener is closed.
func (l *lab) listen(ctx context.Context, down func()) (net.Listener, error) {
	path, err := cacheFile("lab.sock")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(path) // of a lab that was killed: this one holds the lock
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for `lab exec`: %w", err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go l.serve(ctx, conn, down)
		}
	}()
	return listener, nil
}

// serve answers one request.
func (l *lab) serve(ctx context.Context, conn net.Conn, down func()) {
	defer conn.Close()
	var r request
	if json.NewDecoder(conn).Decode(&r) != nil {
		return
	}
	out := &answers{to: json.NewEncoder(conn)}
	last := answer{Done: true}
	switch r.Verb {
	case "exec":
		last = l.exec(ctx, r.Args)
	case "run":
		if err := l.playAll(ctx, r.Args, out); err != nil {
			last.Failure = err.Error()
		}
	case "profile":
		if err := l.setProfile(ctx, r.Args[0]); err != nil {
			last.Failure = err.Error()
		}
	case "down":
		down()
		select {} // until this process ends: then nothing of the lab is left
	default:
		last.Failure = fmt.Sprintf("the lab does not know %q", r.Verb)
	}
	out.send(last)
}

// exec runs a command on a node, or on the host inside the lab's namespaces.
func (l *lab) exec(ctx context.Context, args []string) answer {
	command := strings.Join(args[1:], " ")
	if args[0] == "host" {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+l.path("control-plane/admin.kubeconfig"))
		text, err := cmd.CombinedOutput()
		a := answer{Out: text, Done: true}
		if err != nil {
			a.Exit = max(1, cmd.ProcessState.ExitCode())
		}
		return a
	}
	n, err := l.node(args[0])
	if err != nil {
		return answer{Failure: err.Error(), Done: true}
	}
	reply, err := n.Do(ctx, 10*time.Minute, command, nil)
	if err != nil && reply.Exit == 0 {
		return answer{Failure: err.Error(), Done: true}
	}
	return answer{Out: reply.Out, Err: reply.Err, Exit: reply.Exit, Done: true}
}

// answers sends what is written to it.
type answers struct {
	mu sync.Mutex
	to *json.Encoder
}

var _ io.Writer = (*answers)(nil)

func (a *answers) Write(p []byte) (int, error) {
	a.send(answer{Out: p})
	return len(p), nil
}

// send ignores that nobody listens any more: the scenario goes on.
func (a *answers) send(one answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.to.Encode(one)
}
