package proxy

import (
	"fmt"
	"time"
)

// Kind is what a fault does.
type Kind int

const (
	kindPass   Kind = iota // the zero Fault does nothing
	kindCut                // bytes wait; new connections hang
	kindRefuse             // connections are reset, new ones too
	kindStall              // requests are accepted and never answered
	kindDelay              // everything takes longer
	kindAnswer             // every request gets one status
)

// A Fault is the state of a link or of an API proxy. The zero Fault passes
// everything.
type Fault struct {
	kind   Kind
	delay  time.Duration
	status int
}

// Pass heals: what waited arrives now.
func Pass() Fault { return Fault{} }

// Cut lets no byte through and closes nothing, as an unplugged cable.
func Cut() Fault { return Fault{kind: kindCut} }

// Refuse resets connections, old and new, as a host without a server. Only an
// API proxy can refuse.
func Refuse() Fault { return Fault{kind: kindRefuse} }

// Stall accepts connections and requests and never answers them, nor goes on
// with a watch that runs. Only an API proxy can stall.
func Stall() Fault { return Fault{kind: kindStall} }

// Delay makes each request of an API proxy, or each chunk of bytes on a link,
// arrive d later.
func Delay(d time.Duration) Fault { return Fault{kind: kindDelay, delay: d} }

// Answer replies to every new request with an HTTP status (403, 429, 500 …)
// and a Kubernetes Status object. Only an API proxy can answer.
func Answer(status int) Fault { return Fault{kind: kindAnswer, status: status} }

// String is for logs and timelines.
func (f Fault) String() string {
	switch f.kind {
	case kindPass:
		return "pass"
	case kindCut:
		return "cut"
	case kindRefuse:
		return "refuse"
	case kindStall:
		return "stall"
	case kindDelay:
		return fmt.Sprintf("delay %s", f.delay)
	case kindAnswer:
		return fmt.Sprintf("answer %d", f.status)
	}
	return fmt.Sprintf("fault %d", f.kind)
}
