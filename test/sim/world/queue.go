package world

import "time"

// An event happens at an instant. Events of one instant happen in the order in
// which they were planned.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (e *event) before(f *event) bool { return e.at < f.at || e.at == f.at && e.seq < f.seq }

// A queue is a binary heap of events.
type queue []event

func (q *queue) push(e event) {
	*q = append(*q, e)
	q.rise(len(*q)-1, e)
}

// rise puts an event into the gap at i, or as far above as it belongs.
func (q queue) rise(i int, e event) {
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&q[parent]) {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = e
}

// pop takes the first event off a queue that is not empty. The gap sinks to a
// leaf, where the last event of the queue mostly belongs.
func (q *queue) pop() event {
	h := *q
	first, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{} // lets go of its closure
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return first
	}
	gap := 0
	for child := 1; child < len(h); child = 2*gap + 1 {
		if child+1 < len(h) && h[child+1].before(&h[child]) {
			child++
		}
		h[gap] = h[child]
		gap = child
	}
	h.rise(gap, last)
	return first
}
