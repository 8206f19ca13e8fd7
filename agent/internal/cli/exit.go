package cli

import (
	"errors"

	"github.com/picket-dev/picket/agent/internal/view"
)

// Exit codes: 0 is fine; anything that could not be done at all is 3.
const (
	exitDegraded = 1 // the node is up, and something is wrong
	exitCounting = 2 // the node is about to reset
	exitFailed   = 3
)

// A state is an answer that is itself the error: it carries the exit code.
type state struct {
	code int
	what string
}

func (s *state) Error() string { return s.what }

// ExitCode returns the exit code for what Execute returned.
func ExitCode(err error) int {
	if s, ok := errors.AsType[*state](err); ok {
		return s.code
	}
	return exitFailed
}

// exit turns a health into the error that carries its exit code.
func exit(h view.Health, wrong []string) error {
	switch h {
	case view.Degraded:
		return &state{exitDegraded, wrong[0]}
	case view.Counting:
		return &state{exitCounting, wrong[0]}
	case view.Fine, view.Unknown:
	}
	return nil
}
