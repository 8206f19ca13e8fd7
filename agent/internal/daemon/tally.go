package daemon

import (
	"context"
	"log/slog"
	"sync"
)

// A tally keeps on disk whether this boot is armed, for the reboot budget (A12).
// The disk may hang, so the writes have a goroutine: what has a deadline asks, and
// goes on. One write follows another, and only the newest word is written.
type tally struct {
	write func(armed bool) error // on disk once it returns without an error
	log   *slog.Logger

	mu    sync.Mutex    // never held while something is written
	armed bool          // the newest word
	known bool          // the disk says so
	busy  chan struct{} // closed when the goroutine ends; nil while there is none
	ill   bool          // the log knows that the disk refuses
}

// says reports whether the disk says for sure that this boot is armed, or that it
// is not. Else it is written, and then wrote is called on another goroutine; a disk
// that refuses is asked again by the next call.
func (t *tally) says(armed bool, wrote func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.armed != armed {
		t.armed, t.known = armed, false
	}
	if !t.known && t.busy == nil {
		t.busy = make(chan struct{})
		go t.run(wrote)
	}
	return t.known
}

// run writes until the disk has the newest word, or has refused it.
func (t *tally) run(wrote func()) {
	for {
		t.mu.Lock()
		armed := t.armed
		t.mu.Unlock()
		err := t.write(armed)
		if newest := t.took(armed, err); !newest {
			continue
		}
		if err == nil {
			wrote()
		}
		return
	}
}

// took enters what became of a write, and reports whether it was of the newest
// word: then it was the last one.
func (t *tally) took(armed bool, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.blame(err)
	if t.armed != armed {
		return false
	}
	t.known = err == nil
	close(t.busy)
	t.busy = nil
	return true
}

// blame logs what is wrong with the disk, once until it works again: each try may
// word it differently.
func (t *tally) blame(err error) {
	if err != nil && !t.ill {
		t.log.Error("the reboot budget cannot be kept", "rule", "A12", "err", err)
	}
	t.ill = err != nil
}

// settle waits until nothing is being written, or ctx ends.
func (t *tally) settle(ctx context.Context) {
	t.mu.Lock()
	busy := t.busy
	t.mu.Unlock()
	if busy == nil {
		return
	}
	select {
	case <-busy:
	case <-ctx.Done():
	}
}
