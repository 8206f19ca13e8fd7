package plugin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/controller/internal/doctor"
	"github.com/picket-dev/picket/deploy"
)

// A ward is a stand-in that also tells its version, and what its kubelets are
// configured with.
type ward struct {
	*standin
	web     *httptest.Server
	version string
	configz string // every kubelet's answer; empty: they are away
}

// examine serves the objects of several fixtures.
func examine(t *testing.T, names ...string) *ward {
	t.Helper()
	now, objects := fixture(t, names[0])
	w := &ward{standin: serveObjects(t, now, objects), version: "v1.36.3"}
	for _, name := range names[1:] {
		_, objects := fixture(t, name)
		for _, o := range objects {
			w.put(o)
		}
	}
	w.web = httptest.NewServer(w)
	t.Cleanup(w.web.Close)
	return w
}

// install puts Picket's own objects there, as this version has them.
func (w *ward) install() *ward {
	crds, err := deploy.CRDs()
	if err != nil {
		w.t.Fatal(err)
	}
	base, err := deploy.Base()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, text := range slices.Concat(crds, base) {
		var o map[string]any
		if err := json.Unmarshal(text, &o); err != nil {
			w.t.Fatal(err)
		}
		if path, _ := judged(o["kind"].(string)); path != "" {
			w.put(o)
		}
	}
	return w
}

// ServeHTTP answers what a standin does not know.
func (w *ward) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/version":
		w.answer(to, http.StatusOK, map[string]any{"gitVersion": w.version, "major": "1", "minor": "36"})
	case strings.HasSuffix(r.URL.Path, "/proxy/configz"):
		if w.refuse["nodes/proxy"] != 0 {
			w.fail(to, w.refuse["nodes/proxy"], "nodes/proxy")
			return
		}
		to.Header().Set("Content-Type", "application/json")
		fmt.Fprint(to, w.configz)
	default:
		w.standin.ServeHTTP(to, r)
	}
}

// run runs the doctor, whose server has a name of its own in what is shown.
func (w *ward) run(t *testing.T, width int, line string) call {
	t.Helper()
	got := run(t, w.web.URL, width, "", line)
	got.out = strings.ReplaceAll(got.out, w.web.URL, "https://cluster:6443")
	return got
}

const usual = `{"kubeletconfig":{"nodeStatusUpdateFrequency":"10s","nodeLeaseDurationSeconds":40,"shutdownGracePeriod":"0s"}}`

func TestDoctorGolden(t *testing.T) {
	sound := examine(t, "armed", "doctor-sound").install()
	sound.configz = usual
	troubled := examine(t, "withheld", "doctor-troubled").install()
	troubled.configz, troubled.version = strings.Replace(usual, `"0s"`, `"10m"`, 1), "v1.29.4"
	delete(troubled.objects, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/picket-roll")
	bare := examine(t, "armed", "doctor-sound")
	bare.refuse["nodeguards"] = http.StatusNotFound
	forbidden := examine(t, "armed", "doctor-sound").install()
	for _, plural := range []string{"pods", "validatingwebhookconfigurations", "customresourcedefinitions", "leases", "nodes/proxy"} {
		forbidden.refuse[plural] = http.StatusForbidden
	}
	for _, tt := range []struct {
		name string
		ward *ward
		code int
	}{{"sound", sound, 0}, {"troubled", troubled, 1}, {"not-installed", bare, 1}, {"forbidden", forbidden, 2}} {
		for _, width := range []int{80, 120} {
			name := fmt.Sprintf("doctor-%s-%d", tt.name, width)
			t.Run(name, func(t *testing.T) {
				got := tt.ward.run(t, width, "doctor")
				if got.code != tt.code {
					t.Errorf("exit code %d, want %d", got.code, tt.code)
				}
				golden(t, name, got.out)
			})
		}
	}
}

// The report holds the doctor's findings, as text.
func TestReportHoldsTheDoctor(t *testing.T) {
	w := examine(t, "withheld", "doctor-troubled").install()
	got := w.run(t, 80, "report --html -")
	for _, says := range []string{"Doctor: 4 errors", "<b>error WebhookBlocks</b>: closed.policy-gate.example.com", "--type json -p &#39;[{"} {
		if !strings.Contains(got.out, says) {
			t.Errorf("it does not say %q", says)
		}
	}
	if got.code != 0 {
		t.Errorf("exit code %d", got.code)
	}
}

// Whoever may read nothing gets an answer nevertheless.
func TestDoctorOfAStranger(t *testing.T) {
	w := examine(t, "armed", "doctor-sound").install()
	for _, k := range kinds {
		w.refuse[k.plural] = http.StatusForbidden
	}
	w.refuse["leases"] = http.StatusForbidden
	w.refuse["nodes/proxy"] = http.StatusForbidden
	got := w.run(t, 120, "doctor")
	for _, says := range []string{"needs list nodeguards.picket.dev", "needs list nodes", "needs list pods in all namespaces", "kubectl create clusterrole picket-doctor"} {
		if !strings.Contains(got.out, says) {
			t.Errorf("it does not say %q:\n%s", says, got.out)
		}
	}
	if got.code != 2 {
		t.Errorf("exit code %d", got.code)
	}
}

// Where nobody answers nothing could be looked at.
func TestDoctorWithoutAnAPI(t *testing.T) {
	w := examine(t, "armed")
	w.web.Close()
	if got := w.run(t, 80, "doctor"); got.code != 2 || !strings.Contains(got.out, "does not answer") {
		t.Errorf("exit code %d\n%s", got.code, got.out)
	}
	if got := w.run(t, 80, "doctor -o xml"); got.code != 2 || !strings.Contains(got.out, "use table, wide, json or yaml") {
		t.Errorf("exit code %d\n%s", got.code, got.out)
	}
}

func TestDoctorForMachines(t *testing.T) {
	w := examine(t, "withheld", "doctor-troubled").install()
	asJSON, asYAML := w.run(t, 80, "doctor -o json"), w.run(t, 80, "doctor -o yaml")
	var a, b any
	if err := json.Unmarshal([]byte(asJSON.out), &a); err != nil {
		t.Fatalf("%v\n%s", err, asJSON.out)
	}
	if err := yaml.Unmarshal([]byte(asYAML.out), &b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	if wide := w.run(t, 80, "doctor -o wide"); !strings.Contains(wide.out, "closed.policy-gate.example.com of policy-gate fails closed on update nodes, delete pods, update pods, and answers from node-1") {
		t.Error(wide.out)
	}
}

// The parts of an installation that is not in the namespace picket name its own.
func TestDoctorKnowsTheNamespace(t *testing.T) {
	w := examine(t, "armed", "doctor-sound").install()
	if got := w.run(t, 120, "doctor --picket-namespace other"); !strings.Contains(got.out, "ManifestDiffers: not as this version of kubectl-picket has them: ValidatingAdmissionPolicy picket-") {
		t.Error(got.out)
	}
}

// Of both kinds of webhooks the same is judged.
func TestWebhooksOfBothKinds(t *testing.T) {
	const all = `{"kind": %q, "metadata": {"name": "both"}, "webhooks": [{
		"name": "w.example.com", "failurePolicy": "Fail", "timeoutSeconds": 7,
		"clientConfig": {"service": {"namespace": "default", "name": "gate"}},
		"rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["nodes"], "operations": ["UPDATE"]}],
		"namespaceSelector": {"matchLabels": {"of": "namespaces"}}, "objectSelector": {"matchLabels": {"of": "objects"}},
		"matchConditions": [{"name": "c", "expression": "true"}]}]}`
	w := examine(t, "armed")
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		var o map[string]any
		if err := json.Unmarshal(fmt.Appendf(nil, all, kind), &o); err != nil {
			t.Fatal(err)
		}
		w.put(o)
	}
	conn, err := (&options{kubeconfig: kubeconfig(t, w.web.URL)}).connect()
	if err != nil {
		t.Fatal(err)
	}
	x := &examiner{connection: conn, facts: &doctor.Facts{}}
	if err := x.readWebhooks(t.Context()); err != nil {
		t.Fatal(err)
	}
	fail, of := admissionv1.Fail, func(what string) *doctor.Selector {
		return &doctor.Selector{Selector: labels.SelectorFromSet(labels.Set{"of": what})}
	}
	want := doctor.Webhook{
		Config: "both", Name: "w.example.com", FailurePolicy: &fail, Timeout: 7 * time.Second, Conditions: 1,
		Service: &admissionv1.ServiceReference{Namespace: "default", Name: "gate"},
		Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Update}, Rule: admissionv1.Rule{
			APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"nodes"},
		}}},
		Namespaces: of("namespaces"), Objects: of("objects"),
	}
	validating, mutating := want, want
	validating.Resource, mutating.Resource = "validatingwebhookconfiguration", "mutatingwebhookconfiguration"
	text := cmp.Transformer("text", func(s doctor.Selector) string { return s.String() })
	if d := cmp.Diff([]doctor.Webhook{validating, mutating}, x.facts.Webhooks, text); d != "" {
		t.Error(d)
	}
}

func TestParseKubelet(t *testing.T) {
	for _, text := range []string{"", "{}", "no", `{"kubeletconfig":{"nodeStatusUpdateFrequency":4}}`} {
		if k, err := parseKubelet([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, k)
		}
	}
}
