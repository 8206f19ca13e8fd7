package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// A store holds the Node, and takes patches of its status.
type store struct {
	script
	mu      sync.Mutex
	node    Object
	patches []string // the bodies
}

// A script is what happens around patches.
type script struct {
	// before and after run before and after the store takes the n-th patch.
	before, after func(s *store, n int)
	// instead answers the n-th patch in the store's place, if it is not nil.
	instead func(n int) http.HandlerFunc
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet {
		replyNode(w, s.node)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	s.patches = append(s.patches, string(body))
	n := len(s.patches)
	if s.before != nil {
		s.before(s, n)
	}
	if s.instead != nil {
		if h := s.instead(n); h != nil {
			h(w, r)
			return
		}
	}
	var patch struct {
		Metadata struct{ ResourceVersion string }
		Status   struct{ NodeInfo struct{ BootID string } }
	}
	if err := json.Unmarshal(body, &patch); err != nil {
		refuse(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	if v := patch.Metadata.ResourceVersion; v != s.node.Version {
		refuse(w, apierrors.NewConflict(nodes, nodeName, fmt.Errorf("version %s is not %s", v, s.node.Version)))
		return
	}
	s.change(func(o *Object) { o.Boot = patch.Status.NodeInfo.BootID })
	now := s.node
	if s.after != nil {
		s.after(s, n)
	}
	replyNode(w, now)
}

// change writes the Node.
func (s *store) change(how func(*Object)) {
	v, err := strconv.Atoi(s.node.Version)
	if err != nil {
		panic(err)
	}
	s.node.Version = strconv.Itoa(v + 1)
	how(&s.node)
}

func taint(list ...Taint) func(*Object) { return func(o *Object) { o.Taints = list } }

func TestGateAnswers(t *testing.T) {
	undecided := quarantine(otherBoot, "NoSchedule")
	decided := quarantine(otherBoot, "NoExecute")
	s := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	until := func(last int, h http.HandlerFunc) func(int) http.HandlerFunc {
		return func(n int) http.HandlerFunc {
			if n > last {
				return nil
			}
			return h
		}
	}
	once := func(how func(*Object)) func(*store, int) {
		return func(s *store, n int) {
			if n == 1 {
				s.change(how)
			}
		}
	}
	forbidden := failing(apierrors.NewForbidden(nodes, nodeName, errors.New("not yours")))
	held := []string{"FenceUndecided"}
	for _, test := range []struct {
		name    string
		script  script
		want    outcome
		patches int
	}{
		{"at once", script{}, outcome{FenceAnswered, 0, nil}, 1},
		{"403 for ever", script{instead: until(1000, forbidden)}, outcome{BoundPassed, s(180), held}, 181},
		{"403 for a while", script{instead: until(3, forbidden)}, outcome{FenceAnswered, s(3), held}, 4},
		{"500", script{instead: until(1, failing(apierrors.NewInternalError(http.ErrServerClosed)))}, outcome{FenceAnswered, s(1), held}, 2},
		{"no answer to the patch", script{instead: until(1, stall)}, outcome{FenceAnswered, s(3), held}, 2},
		{"200 of something that stores nothing", script{instead: until(1, text(200, "hello"))}, outcome{FenceAnswered, s(1), held}, 2},
		{
			"somebody wrote the Node before it", script{before: once(taint(undecided, notReady))},
			outcome{FenceAnswered, s(1), held}, 2,
		},
		{
			"the out-of-service taint came before it", script{before: once(taint(undecided, decided, outOfService))},
			outcome{BoundPassed, s(180), []string{"FenceUndecided", "VolumesMoving"}}, 1,
		},
		{
			"an out-of-service taint comes after it", script{after: once(taint(undecided, decided, outOfService))},
			outcome{BoundPassed, s(180), []string{"VolumesMoving"}}, 1,
		},
		{"the fence is dropped after it", script{after: once(taint())}, outcome{NotFenced, 0, nil}, 1},
		{"it is decided after it", script{after: once(taint(undecided, decided))}, outcome{FenceDecided, 0, nil}, 1},
		{
			"stored, but the reply is lost", script{after: func(*store, int) { panic(http.ErrAbortHandler) }},
			outcome{FenceAnswered, s(1), held}, 1,
		},
		{
			"taken back once", script{after: once(func(o *Object) { o.Boot = otherBoot })},
			outcome{FenceAnswered, s(1), held}, 2,
		},
		{
			"taken back for ever", script{after: func(s *store, _ int) { s.change(func(o *Object) { o.Boot = otherBoot }) }},
			outcome{BoundPassed, s(180), held}, 181,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &store{script: test.script, node: left(undecided)}
				got, r := run(t, remote, []phase{{ever, st.ServeHTTP}}, nil, t.Context())
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("outcome (-want +got):\n%s\n%s", diff, &r.log)
				}
				if len(st.patches) != test.patches {
					t.Errorf("%d patches, want %d", len(st.patches), test.patches)
				}
			})
		})
	}
}

// The patch says nothing but the boot, of the very version that was judged.
func TestGateWritesItsBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{node: left(quarantine(otherBoot, "NoSchedule"))}
		run(t, remote, []phase{{ever, st.ServeHTTP}}, nil, t.Context())
		want := []string{`{"metadata":{"resourceVersion":"7"},"status":{"nodeInfo":{"bootID":"` + thisBoot + `"}}}`}
		if diff := cmp.Diff(want, st.patches); diff != "" {
			t.Errorf("patches (-want +got):\n%s", diff)
		}
		node := left(quarantine(otherBoot, "NoSchedule"))
		node.Version, node.Boot = "8", thisBoot
		if diff := cmp.Diff(node, st.node); diff != "" {
			t.Errorf("the Node (-want +got):\n%s", diff)
		}
	})
}

// What needs no answer, or has none, is not written.
func TestGateWritesNothingElse(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Object)
		want   Reason
	}{
		{"not fenced", taint(), NotFenced},
		{"own boot", taint(quarantine(thisBoot, "NoSchedule")), OwnBoot},
		{"decided", taint(quarantine(otherBoot, "NoExecute")), FenceDecided},
		{"volumes moving", taint(quarantine(otherBoot, "NoSchedule"), outOfService), BoundPassed},
		{"answered before", func(o *Object) { o.Boot = thisBoot }, FenceAnswered},
		{"another machine's Node", func(o *Object) { o.SystemUUID = thisBoot }, BoundPassed},
		{"no version", func(o *Object) { o.Version = "" }, BoundPassed},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &store{node: left(quarantine(otherBoot, "NoSchedule"))}
				test.change(&st.node)
				got, _ := run(t, remote, []phase{{ever, st.ServeHTTP}}, nil, t.Context())
				if got.Reason != test.want || len(st.patches) > 0 {
					t.Errorf("%+v, want %s; patches %v", got, test.want, st.patches)
				}
			})
		})
	}
}

// An API that goes away between the patch and the read after it has said
// nothing of the taints: the next read decides.
func TestGateHoldsUntilTheAnswerIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &store{node: left(quarantine(otherBoot, "NoSchedule"))}
		gone := false
		api := func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && gone {
				gone = false
				panic(http.ErrAbortHandler)
			}
			gone = r.Method == http.MethodPatch
			st.ServeHTTP(w, r)
		}
		got, _ := run(t, remote, []phase{{ever, api}}, nil, t.Context())
		want := outcome{FenceAnswered, time.Second, []string{"NoAnswer"}}
		if diff := cmp.Diff(want, got); diff != "" || len(st.patches) != 1 {
			t.Errorf("outcome (-want +got):\n%s\npatches %v", diff, st.patches)
		}
	})
}
