package gate

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/picket-dev/picket/agent/internal/host"
)

// What the gate finds beside what the Node says.
const (
	// NoAnswer holds, for a shorter time: the API does not answer.
	NoAnswer Reason = "NoAnswer"
	// Refused holds like NoAnswer: the API answers, but not the question.
	Refused Reason = "Refused"
	// NoNode opens: the API knows no such node, so none is fenced.
	NoNode Reason = "NoNode"
	// Silent opens: NoAnswer or Refused for too long.
	Silent Reason = "Silent"
	// BoundPassed opens: held for as long as the gate may.
	BoundPassed Reason = "BoundPassed"
	// Stopped opens: somebody stopped the gate.
	Stopped Reason = "Stopped"
	// CannotAsk opens: there is no kubeconfig, or a broken one. The kubelet
	// will not do better with it.
	CannotAsk Reason = "CannotAsk"
)

// A Gate holds the kubelet of one boot back. It is used once.
type Gate struct {
	config Config
	self   host.Identity
	log    *slog.Logger
	status func(string)
	dial   dial

	node    *node
	silence time.Duration // how long it may last here

	began time.Time
	heard time.Time // when the API last said something about the node
	last  Verdict
}

// New returns the gate of this boot of this machine. What it waits for goes to
// the log at each change, and to status at each question, for whoever looks at
// the unit. The Config must be valid.
func New(c Config, self host.Identity, log *slog.Logger, status func(string)) *Gate {
	return &Gate{config: c, self: self, log: log, status: status, dial: new(net.Dialer).DialContext}
}

// Run holds until the kubelet may start, and returns why it may. It lets go
// when ctx ends.
//
// A fence that this boot cannot answer is waited for up to Bound. An API that
// does not answer is waited for up to Silence only, whatever it said before and
// whatever keeps it from answering. A kubelet that cannot list its pods starts
// none of the old ones: it remembers none over a boot but its static ones, which
// no fence moves. And the API may be waiting for this very kubelet, whose static
// pods are an API server or a member of etcd: after a power cut of all nodes,
// every gate would hold what the others need. When the API comes back after
// that, the window is open that the controller's own last look covers.
func (g *Gate) Run(ctx context.Context) Verdict {
	g.began = time.Now()
	g.heard = g.began
	stop, err := g.prepare()
	if err != nil {
		return g.say(Verdict{Open, CannotAsk, err.Error()})
	}
	defer stop()
	for {
		v := g.say(g.bounded(ctx, g.look(ctx)))
		if v.Word == Open {
			return v
		}
		pause := time.NewTimer(min(g.config.Poll, g.left(v)))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
	}
}

// prepare finds out whom to ask, and for which node. The result ends all
// connections.
func (g *Gate) prepare() (func(), error) {
	file, err := find(g.config.Kubeconfigs)
	if err != nil {
		return nil, err
	}
	rc, err := load(file)
	if err != nil {
		return nil, err
	}
	who, err := name(g.config.Node, rc)
	if err != nil {
		return nil, err
	}
	n, err := newNode(who, g.config.Servers, rc, g.config.Deadline, g.dial)
	if err != nil {
		return nil, err
	}
	g.node, g.silence = n, g.config.Silence
	if n.local() {
		g.silence = min(g.silence, g.config.LocalSilence)
	}
	g.log = g.log.With("node", who, "boot", g.self.BootID)
	g.log.Info("asking whether the previous boot is fenced", "kubeconfig", file, "bound", g.config.Bound, "silence", g.silence)
	return n.close, nil
}

// look asks once, and once more if there was something to answer: what opens is
// always what a read has shown, never that a write went well.
func (g *Gate) look(ctx context.Context) Verdict {
	v, version := g.ask(ctx)
	if v.Word != Answer {
		return v
	}
	if err := g.answer(ctx, version); err != nil {
		return Verdict{Hold, v.Reason, fmt.Sprintf("%s, and the Node cannot be made to name this boot: %v", v.Text, err)}
	}
	v, _ = g.ask(ctx)
	if v.Word == Answer {
		v.Word = Hold // somebody took the answer back: the next look gives it again
	}
	return v
}

// ask reads the Node, and returns its version, too.
func (g *Gate) ask(ctx context.Context) (Verdict, string) {
	ctx, cancel := context.WithTimeout(ctx, g.config.Deadline)
	defer cancel()
	o, err := g.node.get(ctx)
	switch {
	case err == nil:
		g.heard = time.Now()
		return Judge(o, g.self), o.Version
	case apierrors.IsNotFound(err):
		return Verdict{Open, NoNode, err.Error()}, ""
	case apierrors.ReasonForError(err) != "":
		return Verdict{Hold, Refused, err.Error()}, ""
	}
	return Verdict{Hold, NoAnswer, err.Error()}, ""
}

// answer makes the Node name this boot, if it still has that version.
func (g *Gate) answer(ctx context.Context, version string) error {
	ctx, cancel := context.WithTimeout(ctx, g.config.Deadline)
	defer cancel()
	if err := g.node.write(ctx, version, g.self.BootID); err != nil {
		return err
	}
	g.log.Info("answered the fence of the previous boot: wrote this boot's ID into the Node's status")
	return nil
}

// bounded turns a hold that has lasted long enough into its end.
func (g *Gate) bounded(ctx context.Context, v Verdict) Verdict {
	switch {
	case v.Word != Hold:
	case ctx.Err() != nil:
		return Verdict{Open, Stopped, "somebody stopped the gate while it held: " + v.Text}
	case time.Since(g.began) >= g.config.Bound:
		return Verdict{Open, BoundPassed, fmt.Sprintf("held for %v, longer it may not: %s", g.config.Bound, v.Text)}
	case g.left(v) <= 0:
		return Verdict{Open, Silent, fmt.Sprintf("nothing known for %v: %s", g.silence, v.Text)}
	}
	return v
}

// left returns for how long the hold can last if nothing changes.
func (g *Gate) left(v Verdict) time.Duration {
	left := g.config.Bound - time.Since(g.began)
	if v.Reason == NoAnswer || v.Reason == Refused {
		left = min(left, g.silence-time.Since(g.heard))
	}
	return left
}

// say tells the log what has changed, and the service manager how it stands.
func (g *Gate) say(v Verdict) Verdict {
	if v.Word == Open {
		g.status("Lets the kubelet start: " + v.Text)
		g.log.Info("letting the kubelet start", "reason", string(v.Reason), "why", v.Text, "after", time.Since(g.began).Round(time.Millisecond))
		return v
	}
	left := g.left(v).Round(time.Second)
	g.status(fmt.Sprintf("Holds the kubelet for %v at most: %s", left, v.Text))
	if v.Reason != g.last.Reason {
		g.log.Warn("holding the kubelet", "reason", string(v.Reason), "why", v.Text, "left", left,
			"remedy", "to start it now: systemctl stop picket-gate.service")
	}
	g.last = v
	return v
}
