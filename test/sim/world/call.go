package world

import "time"

// A process may be gone, or paused, when something for it arrives.
type process interface{ attend(do func()) }

// A call is a question of a process to the API server, and then its answer. They
// are used again, like messages.
type call struct {
	*World
	by    process
	node  int           // where it runs; nowhere: it is a controller
	late  time.Duration // no answer counts after that
	tardy bool          // the answer comes as late as it may
	serve func()
	done  func(ok bool)
	ok    bool

	there, back func() // it arrives, and its answer does
}

const nowhere = -1

// call asks the API server on behalf of the agent: serve runs there, and then
// done in the agent, with false where no answer came in time. A question whose
// answer is lost, or late, was served all the same.
func (a *agent) call(serve func(), done func(ok bool)) { a.m.request(a, a.m.i, serve, done) }

// command is a call of a controller.
func (c *controller) command(serve func(), done func(ok bool)) { c.request(c, nowhere, serve, done) }

func (w *World) request(by process, node int, serve func(), done func(ok bool)) {
	x := w.newCall()
	x.by, x.node, x.serve, x.done = by, node, serve, done
	x.late, x.tardy = w.now+w.deadline(), node != nowhere && w.net.tardy[node] > 0
	if !x.passes(true) {
		if w.net.refusing > 0 {
			x.late = w.now + w.hop()
		}
		x.answer(x.late, false)
		return
	}
	w.after(w.apiHop(), x.there)
}

func (w *World) newCall() *call {
	if n := len(w.calls); n > 0 {
		x := w.calls[n-1]
		w.calls = w.calls[:n-1]
		return x
	}
	x := &call{World: w}
	take := x.take
	x.there, x.back = x.arrive, func() { x.by.attend(take) }
	return x
}

// passes reports whether it gets through, there or back.
func (x *call) passes(there bool) bool {
	switch {
	case x.node == nowhere:
		return x.controls()
	case there:
		return x.reaches(x.node, x.api())
	}
	return x.reaches(x.api(), x.node)
}

// arrive is the question at the API server.
func (x *call) arrive() {
	x.serve()
	at := x.now + x.apiHop()
	if x.tardy {
		at = max(at, x.late-x.upTo(x.Patience/4))
	}
	if at > x.late || !x.passes(false) {
		x.answer(max(x.late, x.now), false)
		return
	}
	x.answer(at, true)
}

// answer plans the end of it.
func (x *call) answer(at time.Duration, ok bool) {
	x.ok = ok
	x.at(at, x.back)
}

// take brings the answer to who asked. An answer that nobody takes is not used
// again.
func (x *call) take() {
	done, ok := x.done, x.ok
	x.by, x.serve, x.done = nil, nil, nil
	x.calls = append(x.calls, x)
	done(ok)
}
