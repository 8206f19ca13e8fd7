package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// A standin answers like an API server that holds the objects of a fixture.
type standin struct {
	*httptest.Server
	t   *testing.T
	now time.Time

	mu      sync.Mutex
	objects map[string]map[string]any // by path
	refuse  map[string]int            // by plural: the status of every answer
	calls   []string                  // writes, in order
	before  func(r *http.Request)     // happens before each request; may be nil
}

// kinds are the paths of the objects that fixtures hold.
var kinds = map[string]struct{ prefix, plural string }{
	"Node":                  {"/api/v1", "nodes"},
	"Event":                 {"/api/v1/namespaces/default", "events"},
	"PersistentVolume":      {"/api/v1", "persistentvolumes"},
	"PersistentVolumeClaim": {"/api/v1/namespaces/default", "persistentvolumeclaims"},
	"VolumeAttachment":      {"/apis/storage.k8s.io/v1", "volumeattachments"},
	"NodeGuard":             {"/apis/picket.dev/v1alpha1", "nodeguards"},
	"NodeFence":             {"/apis/picket.dev/v1alpha1", "nodefences"},
	"Roll":                  {"/apis/picket.dev/v1alpha1", "rolls"},
	"FencingPolicy":         {"/apis/picket.dev/v1alpha1", "fencingpolicies"},

	// What the doctor lists, in all namespaces at once where they have one.
	"Pod":                              {"/api/v1", "pods"},
	"Namespace":                        {"/api/v1", "namespaces"},
	"CSIDriver":                        {"/apis/storage.k8s.io/v1", "csidrivers"},
	"DaemonSet":                        {"/apis/apps/v1", "daemonsets"},
	"Deployment":                       {"/apis/apps/v1/namespaces/picket", "deployments"},
	"EndpointSlice":                    {"/apis/discovery.k8s.io/v1", "endpointslices"},
	"ValidatingWebhookConfiguration":   {"/apis/admissionregistration.k8s.io/v1", "validatingwebhookconfigurations"},
	"MutatingWebhookConfiguration":     {"/apis/admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations"},
	"ValidatingAdmissionPolicy":        {"/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"},
	"ValidatingAdmissionPolicyBinding": {"/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicybindings"},
	"CustomResourceDefinition":         {"/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"},
	"FlowSchema":                       {"/apis/flowcontrol.apiserver.k8s.io/v1", "flowschemas"},
	"PriorityLevelConfiguration":       {"/apis/flowcontrol.apiserver.k8s.io/v1", "prioritylevelconfigurations"},
}

// serve holds the objects of testdata/NAME.yaml, whose first line says what time
// it is.
func serve(t *testing.T, name string) *standin {
	t.Helper()
	now, objects := fixture(t, name)
	return serveObjects(t, now, objects)
}

// fixture reads testdata/NAME.yaml.
func fixture(t *testing.T, name string) (now time.Time, objects []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# now: "), "\n")
	now, err = time.Parse(time.RFC3339, first)
	if err != nil {
		t.Fatalf("%s.yaml: %v", name, err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var o map[string]any
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s.yaml: %v", name, err)
		}
		if o != nil {
			objects = append(objects, o)
		}
	}
	return now, objects
}

func serveObjects(t *testing.T, now time.Time, objects []map[string]any) *standin {
	s := &standin{t: t, now: now, objects: make(map[string]map[string]any), refuse: make(map[string]int)}
	for _, o := range objects {
		s.put(o)
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *standin) put(o map[string]any) {
	meta, _ := o["metadata"].(map[string]any)
	at := ""
	if kind, _ := o["kind"].(string); kind == "Lease" {
		at = fmt.Sprintf("/apis/coordination.k8s.io/v1/namespaces/%s/leases", meta["namespace"])
	} else if k, ok := kinds[kind]; ok {
		at = k.prefix + "/" + k.plural
	} else {
		s.t.Fatalf("a fixture holds a %q", kind)
	}
	if meta["resourceVersion"] == nil {
		meta["resourceVersion"] = "1"
	}
	s.objects[at+"/"+meta["name"].(string)] = o
}

// ServeHTTP answers.
func (s *standin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before != nil {
		s.before(r)
	}
	w.Header().Set("Date", s.now.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	plural := path.Base(r.URL.Path)
	if _, single := s.objects[r.URL.Path]; single || !s.collection(r.URL.Path) {
		plural = path.Base(path.Dir(r.URL.Path))
	}
	if status := s.refuse[plural]; status != 0 {
		s.fail(w, status, plural)
		return
	}
	switch r.Method {
	case http.MethodGet:
		s.get(w, r, plural)
	case http.MethodPost:
		s.post(w, r)
	case http.MethodPatch:
		s.patch(w, r, plural)
	default:
		s.fail(w, http.StatusMethodNotAllowed, plural)
	}
}

// collection reports whether the path is that of all objects of a kind.
func (s *standin) collection(at string) bool {
	for _, k := range kinds {
		if at == k.prefix+"/"+k.plural {
			return true
		}
	}
	return strings.HasSuffix(at, "/leases") || strings.HasSuffix(at, "selfsubjectreviews")
}

func (s *standin) get(w http.ResponseWriter, r *http.Request, plural string) {
	if o, ok := s.objects[r.URL.Path]; ok {
		s.answer(w, http.StatusOK, o)
		return
	}
	if !s.collection(r.URL.Path) {
		s.fail(w, http.StatusNotFound, plural)
		return
	}
	items := []any{}
	for _, at := range slices.Sorted(maps.Keys(s.objects)) {
		if path.Dir(at) == r.URL.Path {
			items = append(items, s.objects[at])
		}
	}
	s.answer(w, http.StatusOK, map[string]any{"metadata": map[string]any{"resourceVersion": "9"}, "items": items})
}

func (s *standin) post(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "selfsubjectreviews") { // what was sent is protobuf, and says nothing
		s.answer(w, http.StatusCreated, map[string]any{
			"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
			"status": map[string]any{"userInfo": map[string]any{"username": "ada"}},
		})
		return
	}
	var o map[string]any
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
		s.t.Error(err)
		return
	}
	spec, _ := json.Marshal(o["spec"])
	s.calls = append(s.calls, fmt.Sprintf("POST %s %s", path.Base(r.URL.Path), spec))
	s.put(o)
	s.answer(w, http.StatusCreated, o)
}

func (s *standin) patch(w http.ResponseWriter, r *http.Request, plural string) {
	body, _ := io.ReadAll(r.Body)
	var p struct {
		Metadata metav1.ObjectMeta `json:"metadata"`
		Spec     map[string]any    `json:"spec"`
	}
	if err := json.Unmarshal(body, &p); err != nil || r.Header.Get("Content-Type") != "application/merge-patch+json" {
		s.t.Errorf("patch %s: %v", body, err)
	}
	o, ok := s.objects[r.URL.Path]
	if !ok {
		s.fail(w, http.StatusNotFound, plural)
		return
	}
	meta := o["metadata"].(map[string]any)
	if p.Metadata.ResourceVersion != meta["resourceVersion"] {
		s.fail(w, http.StatusConflict, plural)
		return
	}
	s.calls = append(s.calls, fmt.Sprintf("PATCH %s/%s %s", plural, path.Base(r.URL.Path), mustJSON(p.Spec)))
	version, _ := strconv.Atoi(p.Metadata.ResourceVersion)
	meta["resourceVersion"] = strconv.Itoa(version + 1)
	spec, _ := o["spec"].(map[string]any)
	if spec == nil {
		spec = make(map[string]any)
		o["spec"] = spec
	}
	for k, v := range p.Spec {
		if v == nil {
			delete(spec, k)
			continue
		}
		spec[k] = v
	}
	s.answer(w, http.StatusOK, o)
}

func mustJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (s *standin) answer(w http.ResponseWriter, status int, o map[string]any) {
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(o); err != nil {
		s.t.Error(err)
	}
}

// fail answers as API servers do. One that does not know a kind has a body that
// is no Status.
func (s *standin) fail(w http.ResponseWriter, status int, plural string) {
	if status == http.StatusNotFound && s.refuse[plural] != 0 {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(status)
		fmt.Fprintln(w, "404 page not found")
		return
	}
	reason := map[int]metav1.StatusReason{
		http.StatusNotFound: metav1.StatusReasonNotFound, http.StatusForbidden: metav1.StatusReasonForbidden,
		http.StatusConflict: metav1.StatusReasonConflict, http.StatusUnauthorized: metav1.StatusReasonUnauthorized,
	}[status]
	s.answer(w, status, map[string]any{
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": string(reason),
		"message": fmt.Sprintf(`%s is %s: User "ada" in test`, plural, strings.ToLower(string(reason))),
	})
}

// kubeconfig writes the kubeconfig of a server.
func kubeconfig(t *testing.T, url string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c",
"clusters": [{"name": "c", "cluster": {"server": %q}}], "users": [{"name": "u", "user": {}}],
"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}`, url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A call is how a command ended.
type call struct {
	out  string
	code int
}

// run runs a command against the server at a width, with what the person types.
func run(t *testing.T, url string, width int, typed, line string) call {
	t.Helper()
	var out bytes.Buffer
	c := Command(Env{
		Version: "test",
		Getenv:  func(k string) string { return map[string]string{"COLUMNS": strconv.Itoa(width)}[k] },
		Sleep: func(ctx context.Context, _ time.Duration) error {
			return ctx.Err()
		},
	})
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetIn(strings.NewReader(typed))
	c.SetArgs(append(strings.Fields(line), "--kubeconfig", kubeconfig(t, url)))
	err := c.ExecuteContext(t.Context())
	code, say := ExitCode(err)
	if say {
		fmt.Fprintln(&out, "kubectl picket:", err)
	}
	return call{out.String(), code}
}
