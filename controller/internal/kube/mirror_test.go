package kube

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// at returns version v of the object "a", whose content is its version.
func at(uid, v string) *v1alpha1.NodeFence {
	return &v1alpha1.NodeFence{ObjectMeta: metav1.ObjectMeta{Name: "a", UID: types.UID(uid), ResourceVersion: v}}
}

// A bench is a mirror with a clock in hand.
type bench struct {
	*mirror[*v1alpha1.NodeFence, string]
	time time.Time
	seen string // the last drained view of "a"; "" if there is none
	urge int
}

func newBench() *bench {
	b := &bench{time: wall}
	b.mirror = newMirror(
		func(f *v1alpha1.NodeFence) string { return string(f.UID) + "@" + f.ResourceVersion },
		func(a, b string) bool { return a == b }, stripFence, func() { b.urge++ })
	b.now = func() time.Time { return b.time }
	return b
}

func (b *bench) expect(t *testing.T, what, want string) {
	t.Helper()
	b.drain(func(_ string, v *string) {
		b.seen = ""
		if v != nil {
			b.seen = *v
		}
	})
	if b.seen != want {
		t.Errorf("%s: the world has %q, want %q", what, b.seen, want)
	}
	got := ""
	if o, ok := b.get("a"); ok {
		got = b.view(o)
	}
	if got != want {
		t.Errorf("%s: get returns %q, want %q", what, got, want)
	}
}

func (b *bench) watch(t *testing.T, o *v1alpha1.NodeFence) {
	t.Helper()
	if err := b.Update(o); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) relist(t *testing.T, objects ...*v1alpha1.NodeFence) {
	t.Helper()
	var all []any
	for _, o := range objects {
		all = append(all, o)
	}
	if err := b.Replace(all, ""); err != nil {
		t.Fatal(err)
	}
}

func TestOwnWritesAreSeenAtOnce(t *testing.T) {
	b := newBench()
	b.watch(t, at("u", "10"))
	b.expect(t, "watched", "u@10")
	b.learn(at("u", "12"))
	b.expect(t, "written", "u@12")
	b.watch(t, at("u", "11"))
	b.expect(t, "the watch is behind the write", "u@12")
	b.relist(t, at("u", "11"))
	b.expect(t, "a list is behind the write", "u@12")
	b.watch(t, at("u", "12"))
	b.expect(t, "the watch caught up", "u@12")
	b.watch(t, at("u", "9"))
	b.expect(t, "from then on the watch decides, whatever the version", "u@9")
}

func TestOwnWriteOfAnObjectThatTheWatchNeverShows(t *testing.T) {
	b := newBench()
	b.learn(at("u", "500"))
	b.expect(t, "made", "u@500")
	b.time = b.time.Add(ownFor - 1)
	b.expect(t, "still believed", "u@500")
	b.time = b.time.Add(1)
	b.expect(t, "no more: etcd was restored to a time before it", "")
}

func TestRestoredVersionsAreTakenInTheEnd(t *testing.T) {
	b := newBench()
	b.learn(at("u", "500"))
	b.relist(t, at("u", "20"))
	b.expect(t, "the list may be behind", "u@500")
	b.time = b.time.Add(ownFor)
	b.expect(t, "it was not", "u@20")
	b.relearn(at("u", "19"))
	b.expect(t, "a read that proves the restore counts at once", "u@19")
	b.learn(at("u", "20"))
	b.expect(t, "and what is written after it", "u@20")
}

func TestAnswersDoNotGoBack(t *testing.T) {
	b := newBench()
	b.watch(t, at("u", "10"))
	b.learn(at("u", "9"))
	b.expect(t, "the watch has overtaken the read", "u@10")
	b.learn(at("u", "11"))
	b.expect(t, "the read is newer", "u@11")
	b.learn(at("u", "13"))
	b.learn(at("u", "12"))
	b.expect(t, "a write has overtaken the read", "u@13")
	b.watch(t, at("u", "15"))
	b.learn(at("u", "14"))
	b.expect(t, "the news of the next change came before the answer to ours", "u@15")
}

func TestDeletions(t *testing.T) {
	b := newBench()
	b.watch(t, at("u", "10"))
	b.lost("a", "u")
	b.expect(t, "an own request found it gone", "")
	b.watch(t, at("u", "11"))
	b.expect(t, "the watch is behind", "")
	b.watch(t, at("w", "12"))
	b.expect(t, "another one of that name", "w@12")
	if err := b.Delete(at("w", "13")); err != nil {
		t.Fatal(err)
	}
	b.expect(t, "deleted", "")
	b.learn(at("x", "15"))
	if err := b.Delete(at("w", "14")); err != nil {
		t.Fatal(err)
	}
	b.expect(t, "the deletion is older than what we made since", "x@15")
	b.watch(t, at("x", "15"))
	b.relist(t)
	b.expect(t, "missing from a list", "")
	if len(b.objects) != 0 || len(b.changed) != 0 {
		t.Errorf("the mirror remembers %d objects and %d changes of nothing", len(b.objects), len(b.changed))
	}
}

func TestMirrorUrgesOnlyOnChange(t *testing.T) {
	b := newBench()
	b.watch(t, at("u", "10"))
	if b.urge != 1 {
		t.Errorf("a new object urges %d times", b.urge)
	}
	b.watch(t, at("u", "10"))
	if b.urge != 1 {
		t.Error("the same view urges")
	}
	b.learn(at("u", "11"))
	if b.urge != 2 {
		t.Error("an own write does not urge")
	}
	if err := b.Delete(at("u", "12")); err != nil {
		t.Fatal(err)
	}
	if b.urge != 3 {
		t.Error("a deletion does not urge")
	}
}
