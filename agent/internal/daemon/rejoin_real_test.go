package daemon

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/agent/internal/launch"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// An apiServer has one NodeGuard, its Node, and no pods.
type apiServer struct {
	*httptest.Server
	mu      sync.Mutex
	guard   v1alpha1.NodeGuard
	taints  string
	asked   []string
	said    []v1alpha1.Storage
	changed chan struct{}
}

func serveAPI(t *testing.T, spec v1alpha1.NodeGuardSpec) *apiServer {
	s := &apiServer{changed: make(chan struct{})}
	s.guard = v1alpha1.NodeGuard{TypeMeta: metav1.TypeMeta{APIVersion: "picket.dev/v1alpha1", Kind: "NodeGuard"}, Spec: spec}
	s.guard.Name, s.guard.UID, s.guard.ResourceVersion = "n1", "u", "100"
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *apiServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	reply := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	const guards = "/apis/picket.dev/v1alpha1/nodeguards"
	switch path := r.URL.Path; {
	case path == guards && r.URL.Query().Get("watch") != "":
		_ = http.NewResponseController(w).Flush()
		for old := s.guard.Generation; ; {
			changed := s.changed
			s.mu.Unlock()
			select {
			case <-changed:
			case <-r.Context().Done():
				s.mu.Lock()
				return
			}
			s.mu.Lock()
			if s.guard.Generation != old {
				old = s.guard.Generation
				reply(map[string]any{"type": "MODIFIED", "object": s.guard})
				_ = http.NewResponseController(w).Flush()
			}
		}
	case path == guards:
		reply(map[string]any{"apiVersion": "picket.dev/v1alpha1", "kind": "NodeGuardList", "metadata": map[string]any{"resourceVersion": s.guard.ResourceVersion}, "items": []any{s.guard}})
	case path == guards+"/n1/status":
		var sent v1alpha1.NodeGuard
		_ = json.NewDecoder(r.Body).Decode(&sent)
		s.guard.Status = sent.Status
		s.said = append(s.said, sent.Status.Storage)
		s.touch()
		reply(s.guard)
	case path == guards+"/n1":
		reply(s.guard)
	case path == "/api/v1/nodes/n1":
		s.asked = append(s.asked, path)
		reply(json.RawMessage(`{"kind":"Node","metadata":{"name":"n1"},"spec":{"taints":[` + s.taints + `]}}`))
	case path == "/api/v1/pods":
		s.asked = append(s.asked, path+"?"+r.URL.Query().Get("fieldSelector"))
		reply(json.RawMessage(`{"kind":"PodList","items":[]}`))
	default:
		s.asked = append(s.asked, path)
		w.WriteHeader(http.StatusNotFound)
		reply(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound})
	}
}

// touch gives the guard its next version.
func (s *apiServer) touch() {
	version, _ := strconv.Atoi(s.guard.ResourceVersion)
	s.guard.ResourceVersion = strconv.Itoa(version + 1)
	close(s.changed)
	s.changed = make(chan struct{})
}

// last returns what the node said of its storage last.
func (s *apiServer) last() v1alpha1.Storage {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.said) == 0 {
		return v1alpha1.Storage{}
	}
	return s.said[len(s.said)-1]
}

// plainHost makes the files of a host without volumes, as its first process shows
// them.
func plainHost(t *testing.T, root string) {
	const mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	for name, text := range map[string]string{
		"proc/sys/kernel/random/boot_id": thisBoot, "proc/swaps": "Filename\n", "proc/cmdline": "ro\n", "proc/1/mountinfo": mounts,
		"proc/1/task/1/mountinfo": mounts, "proc/1/task/1/stat": "1 (init) S 0", "proc/1/task/1/status": "State:\tS\n", "sys/fs/cgroup/cgroup.procs": "",
	} {
		put(t, root, name, text)
	}
	if err := os.MkdirAll(filepath.Join(root, "var/lib/kubelet/pods"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"proc/1/root": "../..", "proc/1/task/1/root": "/", "proc/1/ns/mnt": "mnt:[4026531841]", "proc/1/task/1/ns/mnt": "mnt:[4026531841]",
	} {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, at); err != nil {
			t.Fatal(err)
		}
	}
}

// C8: a real agent in a new boot looks, asks the API, and says Clean of the fenced
// boot that its NodeGuard names; not before the volumes have ceased to move.
func TestC8_ARealAgentComesBackClean(t *testing.T) {
	s := serveAPI(t, v1alpha1.NodeGuardSpec{FencedBoot: otherBoot, ProbeEvery: metav1.Duration{Duration: time.Second}})
	s.taints = `{"key":"node.kubernetes.io/out-of-service","effect":"NoExecute"}`
	root, files := t.TempDir(), t.TempDir()
	plainHost(t, root)
	put(t, files, "ca", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	put(t, files, "token", "t")
	c := Default()
	c.Node, c.Root, c.Listen, c.Advertise = "n1", root, "127.0.0.1:0", []string{"127.0.0.1:1"}
	c.API = APIConfig{Endpoints: []string{s.URL}, CA: filepath.Join(files, "ca"), Token: filepath.Join(files, "token"), Deadline: metav1.Duration{Duration: 5 * time.Second}}
	c.Holder.Launch, c.StopWithin.Duration = launch.External, 50*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, c, "v", slog.New(slog.DiscardHandler)) }()
	until(t, "the volumes move", func() bool { return strings.Contains(s.last().Message, "C6") })
	if got := s.last(); got.State != v1alpha1.StorageUnknown || got.FencedBoot != otherBoot {
		t.Errorf("while volumes move it says %+v", got)
	}
	s.mu.Lock()
	s.taints = ""
	s.mu.Unlock()
	until(t, "clean", func() bool { return s.last().State == v1alpha1.StorageClean && s.last().FencedBoot != "" })
	s.mu.Lock()
	said, asked := slices.Clone(s.said), slices.Clone(s.asked)
	s.guard.Spec.FencedBoot = ""
	s.guard.Generation++
	s.touch()
	s.mu.Unlock()
	for _, st := range said[:len(said)-1] {
		if st.State == v1alpha1.StorageClean && st.FencedBoot != "" {
			t.Errorf("it said %+v too early", st)
		}
	}
	for _, path := range []string{"/api/v1/nodes/n1", "/api/v1/pods?spec.nodeName=n1"} {
		if !slices.Contains(asked, path) {
			t.Errorf("it did not ask for %s, only for %v", path, asked)
		}
	}
	until(t, "peace", func() bool { return s.last().State == v1alpha1.StorageClean && s.last().FencedBoot == "" })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
