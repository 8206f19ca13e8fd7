package kube

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// ownFor is how long what an own request returned is believed over what the
// watch says, if the watch never catches up. It ends what an etcd restored from
// a backup leaves behind, whose versions start again from a lower one.
const ownFor = 10 * time.Second

// A mirror holds the newest known state of each object of one kind: what the
// watch said, and over it what own requests returned, until the watch has
// caught up. It is the store of a client-go reflector. V is what the planner
// knows of a T.
//
// It is safe for concurrent use.
type mirror[T metav1.Object, V any] struct {
	view func(T) V
	// same reports whether a change of the view can wait for the next plan.
	same   func(a, b V) bool
	strip  func(T) T
	urge   func() // called when a plan is due
	now    func() time.Time
	synced chan struct{} // closed after the first list

	mu      sync.Mutex
	first   sync.Once
	objects map[string]*entry[T, V]
	owned   map[string]bool // have an own or gone that must end
	changed map[string]bool // since the last drain
}

// An entry is one object, as the watch and as own requests saw it.
type entry[T metav1.Object, V any] struct {
	seen  *T
	own   *T        // in place of seen, until the watch catches up
	gone  string    // UID that an own request found gone
	until time.Time // when own and gone end
	view  *V        // of the effective object; nil: there is none
}

func newMirror[T metav1.Object, V any](view func(T) V, same func(a, b V) bool, strip func(T) T, urge func()) *mirror[T, V] {
	return &mirror[T, V]{
		view: view, same: same, strip: strip, urge: urge, now: time.Now,
		synced:  make(chan struct{}),
		objects: make(map[string]*entry[T, V]),
		owned:   make(map[string]bool),
		changed: make(map[string]bool),
	}
}

// Transformer strips objects before the reflector collects them.
func (m *mirror[T, V]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		if o, ok := obj.(T); ok {
			return m.strip(o), nil
		}
		return obj, nil
	}
}

// Add takes an object from the watch.
func (m *mirror[T, V]) Add(obj any) error { return m.Update(obj) }

// Update takes an object from the watch.
func (m *mirror[T, V]) Update(obj any) error {
	o, ok := obj.(T)
	if !ok {
		return fmt.Errorf("the watch brought a %T", obj)
	}
	o = m.strip(o)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saw(o)
	return nil
}

func (m *mirror[T, V]) saw(o T) {
	e := m.entry(o.GetName())
	e.seen = &o
	if e.own != nil && !older(o, *e.own) {
		e.own = nil
	}
	if e.gone != string(o.GetUID()) {
		e.gone = ""
	}
	m.settle(o.GetName(), e)
}

// Delete takes a deletion from the watch.
func (m *mirror[T, V]) Delete(obj any) error {
	o, ok := obj.(T)
	if !ok {
		return fmt.Errorf("the watch brought the deletion of a %T", obj)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(o.GetName())
	e.seen, e.gone = nil, ""
	if e.own != nil && !older(o, *e.own) {
		e.own = nil
	}
	m.settle(o.GetName(), e)
	return nil
}

// Replace takes a whole list.
func (m *mirror[T, V]) Replace(list []any, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	listed := make(map[string]bool, len(list))
	for _, obj := range list {
		o, ok := obj.(T)
		if !ok {
			return fmt.Errorf("the list holds a %T", obj)
		}
		o = m.strip(o)
		listed[o.GetName()] = true
		m.saw(o)
	}
	for name, e := range m.objects {
		if !listed[name] {
			e.seen = nil
			m.settle(name, e)
		}
	}
	m.first.Do(func() { close(m.synced) })
	return nil
}

// Resync does nothing: nothing here is derived from an object but its view.
func (m *mirror[T, V]) Resync() error { return nil }

// learn takes what an own read or write returned, unless the watch has overtaken
// it: an answer may arrive after the news of what somebody else did next.
func (m *mirror[T, V]) learn(o T) {
	o = m.strip(o)
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(o.GetName())
	if now := e.effective(m.now()); now != nil && older(o, *now) {
		return
	}
	m.believe(o, e)
}

// relearn takes what an own read returned although it is older: etcd was
// restored to a time before what we knew.
func (m *mirror[T, V]) relearn(o T) {
	o = m.strip(o)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.believe(o, m.entry(o.GetName()))
}

func (m *mirror[T, V]) believe(o T, e *entry[T, V]) {
	e.own, e.gone = &o, ""
	m.hold(o.GetName(), e)
}

// lost takes the answer of an own request that there is no object of that name
// and UID any more.
func (m *mirror[T, V]) lost(name, uid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(name)
	if e.own != nil && string((*e.own).GetUID()) == uid {
		e.own = nil
	}
	e.gone = uid
	m.hold(name, e)
}

// get returns the effective object of that name.
func (m *mirror[T, V]) get(name string) (T, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.objects[name]; e != nil {
		if o := e.effective(m.now()); o != nil {
			return *o, true
		}
	}
	var none T
	return none, false
}

// each shows every effective object.
func (m *mirror[T, V]) each(show func(T)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.objects {
		if o := e.effective(m.now()); o != nil {
			show(*o)
		}
	}
}

// drain hands over the view of each object that changed since the last drain;
// nil stands for one that is gone.
func (m *mirror[T, V]) drain(take func(name string, view *V)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.owned {
		if e := m.objects[name]; e == nil || e.until.IsZero() {
			delete(m.owned, name)
		} else if !m.now().Before(e.until) {
			m.settle(name, e)
		}
	}
	for name := range m.changed {
		var v *V
		if e := m.objects[name]; e != nil {
			v = e.view
		}
		take(name, v)
	}
	clear(m.changed)
}

func (m *mirror[T, V]) entry(name string) *entry[T, V] {
	e := m.objects[name]
	if e == nil {
		e = &entry[T, V]{}
		m.objects[name] = e
	}
	return e
}

// hold begins the time for which an own answer is believed.
func (m *mirror[T, V]) hold(name string, e *entry[T, V]) {
	e.until = m.now().Add(ownFor)
	m.owned[name] = true
	m.settle(name, e)
}

// settle brings the view up to date and urges a plan if that matters.
func (m *mirror[T, V]) settle(name string, e *entry[T, V]) {
	o := e.effective(m.now())
	if e.own == nil && e.gone == "" {
		e.until = time.Time{}
	}
	was := e.view
	e.view = nil
	if o != nil {
		v := m.view(*o)
		e.view = &v
	} else if e.seen == nil && e.gone == "" {
		delete(m.objects, name)
	}
	m.changed[name] = true
	if (was == nil) != (e.view == nil) || was != nil && e.view != nil && !m.same(*was, *e.view) {
		m.urge()
	}
}

// effective returns the object as it is to be believed, or nil.
func (e *entry[T, V]) effective(now time.Time) *T {
	if !e.until.IsZero() && !now.Before(e.until) {
		e.own, e.gone, e.until = nil, "", time.Time{}
	}
	o := e.seen
	if e.own != nil {
		o = e.own
	}
	if o != nil && e.gone != "" && e.gone == string((*o).GetUID()) {
		return nil
	}
	return o
}

// older reports whether a is an older version than b. Versions that are no
// numbers have no order: then nothing is older.
func older[T metav1.Object](a, b T) bool {
	return before(a.GetResourceVersion(), b.GetResourceVersion())
}

func before(a, b string) bool {
	x, errA := strconv.ParseUint(a, 10, 64)
	y, errB := strconv.ParseUint(b, 10, 64)
	return errA == nil && errB == nil && x < y
}
