package workload

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// A Tenure is what the collector heard of one Writer. Times are raw
// monotonic time of the lab's host.
type Tenure struct {
	Writer
	Started time.Duration
	Found   uint64 // records in the file when it started
	Torn    int    // bytes that it cut off
	Damage  string // why it does not write, empty if it does

	// The records From to To were acknowledged, the first time at First and
	// the last time at Last. To is 0 before that.
	From, To    uint64
	First, Last time.Duration
}

// A Collector takes the writers' reports, over HTTP. Its zero value is ready.
type Collector struct {
	mu      sync.Mutex
	tenures []Tenure
}

// Tenures returns all of them so far, in the order in which they were heard of.
func (c *Collector) Tenures() []Tenure {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.tenures)
}

// ServeHTTP takes one report, with 204.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const enough = 4096
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, enough))
	var err error
	switch r.URL.Path {
	case startPath:
		var s start
		if err = decoder.Decode(&s); err == nil {
			c.start(s)
		}
	case ackPath:
		var a ack
		if err = decoder.Decode(&a); err == nil {
			c.ack(a)
		}
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *Collector) start(s start) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tenure(s.Writer)
	t.Found, t.Torn, t.Damage = s.Found, s.Torn, s.Damage
}

func (c *Collector) ack(a ack) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tenure(a.Writer)
	now := rawclock.Now()
	if t.To == 0 {
		t.From, t.First = a.From, now
	}
	if a.To > t.To { // a call that timed out may arrive after its successor
		t.To, t.Last = a.To, now
	}
}

// tenure finds a writer's tenure, or begins it.
func (c *Collector) tenure(w Writer) *Tenure {
	at := slices.IndexFunc(c.tenures, func(t Tenure) bool { return t.Writer == w })
	if at < 0 {
		at = len(c.tenures)
		c.tenures = append(c.tenures, Tenure{Writer: w, Started: rawclock.Now()})
	}
	return &c.tenures[at]
}
