package view

import "github.com/picket-dev/picket/proto/screen"

// Health is how the cluster, or what was asked for, stands.
type Health int

const (
	// Unjudged is the zero Health: nobody has looked.
	Unjudged Health = iota
	// Fine needs no look.
	Fine
	// Degraded is up, and something is not as it should be.
	Degraded
	// Counting says that a node is being fenced: somebody waits for a deadline.
	Counting
)

// String returns the word for the health.
func (h Health) String() string {
	switch h {
	case Fine:
		return "Fine"
	case Degraded:
		return "Degraded"
	case Counting:
		return "CountingDown"
	case Unjudged:
	}
	return "Unjudged"
}

// MarshalText writes the word.
func (h Health) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// An Answer is what a command shows.
type Answer interface {
	// Health is the exit code's reason.
	Health() Health
	// JSON returns what is written for machines.
	JSON() any
	// Draw draws it for people; wide adds what fits no narrow screen.
	Draw(s *screen.Screen, wide bool)
}
