package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// exitError is a tool that ended with another code than 0.
type exitError struct {
	code int
	what string
}

func (e exitError) Error() string { return e.what }

// run runs a tool of the host with an input, and returns what it wrote. A tool
// that hangs in the kernel is left behind when the call ends.
func run(ctx context.Context, input, tool string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.WaitDelay = time.Second
	var out, problems strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	said := strings.TrimSpace(out.String())
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return said, exitError{exit.ExitCode(), fmt.Sprintf("%s %s: %v: %s", tool, strings.Join(args, " "), err, strings.TrimSpace(problems.String()))}
	}
	if err != nil {
		return said, fmt.Errorf("%s: %w", tool, err)
	}
	return said, nil
}
