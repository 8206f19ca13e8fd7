package plugin

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// life has the node's agent write its NodeGuard again.
func (s *standin) life(node string) {
	s.objects["/apis/picket.dev/v1alpha1/nodeguards/"+node]["status"].(map[string]any)["writes"] = 99
}

// whole removes what the fence's name has at random.
func whole(out string) string {
	return regexp.MustCompile(`node-([0-9]+)-[a-z0-9]{5}\b`).ReplaceAllString(out, "node-$1-xxxxx")
}

// boot returns the boot ID that the Node names.
func (s *standin) boot(node string) string {
	n := s.objects["/api/v1/nodes/"+node]
	return n["status"].(map[string]any)["nodeInfo"].(map[string]any)["bootID"].(string)
}

// fenceName returns the name of the one NodeFence.
func (s *standin) fenceName() string {
	for at := range s.objects {
		if strings.Contains(at, "/nodefences/") {
			return filepath.Base(at)
		}
	}
	return ""
}

func TestWrites(t *testing.T) {
	proof := func(s *standin, node string) string {
		return `"proof":{"bootID":"` + s.boot(node) + `","by":"ada","kind":"Confirmed"}`
	}
	for _, tt := range []struct {
		name, fixture, line, typed string
		change                     func(*standin)
		code                       int
		wrote                      func(*standin) []string // nil: nothing
	}{
		{
			name: "fence", fixture: "armed", line: "fence node-2", typed: "yes\n",
			wrote: func(*standin) []string {
				return []string{`POST nodefences {"node":"node-2","reason":"Requested","requester":"ada"}`}
			},
		},
		{
			name: "fence with a reason, unasked", fixture: "armed", line: "fence node-2 --yes --reason DiskFailing",
			wrote: func(*standin) []string {
				return []string{`POST nodefences {"node":"node-2","reason":"DiskFailing","requester":"ada"}`}
			},
		},
		{name: "fence, and the person thinks again", fixture: "armed", line: "fence node-2", typed: "no\n", code: 3},
		{name: "fence, and there is nobody to ask", fixture: "armed", line: "fence node-2", code: 3},
		{name: "fence of a node that has one", fixture: "withheld", line: "fence node-1 --yes", code: 3},
		{name: "fence of no node", fixture: "armed", line: "fence node-9 --yes", code: 3},
		{name: "fence in the controller's name", fixture: "armed", line: "fence node-2 --yes --reason PeersLost", code: 3},
		{
			name: "confirm into the open fence", fixture: "withheld", line: "confirm node-1", typed: "node-1\n",
			wrote: func(s *standin) []string {
				return []string{"PATCH nodefences/" + s.fenceName() + " {" + proof(s, "node-1") + "}"}
			},
		},
		{
			name: "confirm without a fence", fixture: "armed", line: "confirm node-2", typed: "node-2\n",
			wrote: func(s *standin) []string {
				return []string{`POST nodefences {"node":"node-2","proof":{"bootID":"` + s.boot("node-2") + `","by":"ada","kind":"Confirmed"},"reason":"Requested","requester":"ada"}`}
			},
		},
		{name: "confirm with a mere yes", fixture: "withheld", line: "confirm node-1", typed: "yes\n", code: 3},
		{
			name: "confirm of a machine that lives", fixture: "withheld", line: "confirm node-1 --yes", code: 3,
			change: func(s *standin) {
				looks := 0
				s.before = func(r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/leases/node-1") {
						if looks++; looks == 1 {
							s.life("node-1")
						}
					}
				}
			},
		},
		{
			name: "confirm, and the controller writes meanwhile", fixture: "withheld", line: "confirm node-1 --yes",
			change: func(s *standin) {
				s.before = func(r *http.Request) {
					if r.Method == http.MethodPatch {
						s.before = nil
						s.objects[r.URL.Path]["metadata"].(map[string]any)["resourceVersion"] = "77777"
					}
				}
			},
			wrote: func(s *standin) []string {
				return []string{"PATCH nodefences/" + s.fenceName() + " {" + proof(s, "node-1") + "}"}
			},
		},
		{name: "confirm of one that is proven dead", fixture: "fenced", line: "confirm node-1 --yes", code: 3},
		{
			name: "confirm of one that has booted anew", fixture: "withheld", line: "confirm node-1 --yes", code: 3,
			change: func(s *standin) {
				s.objects["/api/v1/nodes/node-1"]["status"].(map[string]any)["nodeInfo"].(map[string]any)["bootID"] = "fresh-boot"
			},
		},
		{
			name: "pause for a while", fixture: "armed", line: "pause --for 30m --reason switch",
			wrote: func(s *standin) []string {
				return []string{`PATCH fencingpolicies/default {"pause":{"reason":"switch","until":"` + s.now.Add(30*60e9).UTC().Format("2006-01-02T15:04:05Z") + `"}}`}
			},
		},
		{
			name: "pause until somebody resumes", fixture: "withheld", line: "pause --until-resumed --reason switch",
			wrote: func(*standin) []string {
				return []string{`PATCH fencingpolicies/default {"pause":{"reason":"switch","until":null}}`}
			},
		},
		{
			name: "pause without a policy", fixture: "armed", line: "pause --until 2126-01-01T00:00:00Z --reason switch",
			change: func(s *standin) { delete(s.objects, "/apis/picket.dev/v1alpha1/fencingpolicies/default") },
			wrote: func(*standin) []string {
				return []string{`POST fencingpolicies {"overrides":{},"pause":{"reason":"switch","until":"2126-01-01T00:00:00Z"},"pods":{},"storm":{},"triggers":{},"watchdog":{}}`}
			},
		},
		{name: "pause that has ended already", fixture: "armed", line: "pause --until 2020-01-01T00:00:00Z --reason switch", code: 3},
		{name: "pause until a word", fixture: "armed", line: "pause --until tomorrow --reason switch", code: 3},
		{name: "pause for no time", fixture: "armed", line: "pause --for 0s --reason switch", code: 3},
		{name: "pause without an end", fixture: "armed", line: "pause --reason switch", code: 3},
		{name: "pause without a reason", fixture: "armed", line: "pause --for 1h", code: 3},
		{name: "resume nothing", fixture: "armed", line: "resume"},
		{
			name: "resume", fixture: "armed", line: "resume", change: func(s *standin) {
				s.policy()["pause"] = map[string]any{"reason": "switch"}
			},
			wrote: func(*standin) []string { return []string{`PATCH fencingpolicies/default {"pause":null}`} },
		},
		{
			name: "resume a broken history", fixture: "armed", line: "resume", typed: "yes\n",
			change: func(s *standin) { s.roll()["broken"] = "the Roll was deleted" },
			wrote: func(s *standin) []string {
				return []string{`PATCH fencingpolicies/default {"resumeHistory":"` + s.roll()["history"].(string) + `"}`}
			},
		},
		{
			name: "resume a broken history, and the person thinks again", fixture: "armed", line: "resume", typed: "\n", code: 3,
			change: func(s *standin) { s.roll()["broken"] = "the Roll was deleted" },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, tt.fixture)
			if tt.change != nil {
				tt.change(s)
			}
			got := run(t, s.URL, 80, tt.typed, tt.line)
			if got.code != tt.code {
				t.Errorf("exit code %d, want %d", got.code, tt.code)
			}
			var want []string
			if tt.wrote != nil {
				want = tt.wrote(s)
			}
			if diff := cmp.Diff(want, s.calls); diff != "" {
				t.Error(diff)
			}
			golden(t, "write-"+strings.ReplaceAll(strings.ReplaceAll(tt.name, ",", ""), " ", "-"), whole(got.out))
		})
	}
}

func (s *standin) policy() map[string]any {
	return s.objects["/apis/picket.dev/v1alpha1/fencingpolicies/default"]["spec"].(map[string]any)
}

func (s *standin) roll() map[string]any {
	return s.objects["/apis/picket.dev/v1alpha1/rolls/cluster"]["spec"].(map[string]any)
}

// Errors say what to do next.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		plural     string
		status     int
		code       int
		says       string
	}{
		{"CRDs missing", "status", "nodeguards", http.StatusNotFound, 3, "install them"},
		{"not allowed to look", "status", "nodeguards", http.StatusForbidden, 3, "picket-viewer"},
		{"not logged in", "matrix", "nodeguards", http.StatusUnauthorized, 3, "log in again"},
		{"nodes forbidden", "status", "nodes", http.StatusForbidden, 0, "Not read  nodes"},
		{"leases forbidden", "status", "leases", http.StatusForbidden, 0, "the Lease could not be read"},
		{"events forbidden", "timeline node-1", "events", http.StatusForbidden, 0, "Not read  events"},
		{"not allowed to ask for a fence", "fence node-2 --yes", "nodefences", http.StatusForbidden, 3, "picket-requester"},
		{"unknown node", "timeline node-9", "", 0, 3, "kubectl picket status lists"},
		{"unknown node's wait", "explain-wait node-9", "", 0, 3, "kubectl picket status lists"},
		{"unknown fence", "timeline node-1 --fence x", "", 0, 3, "kubectl get nodefences"},
		{"unknown place", "where nothing", "", 0, 3, "give the claim's namespace"},
		{"unknown format", "status -o xml", "", 0, 3, "use table, wide, json or yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, "armed")
			if tt.plural != "" {
				s.refuse[tt.plural] = tt.status
			}
			got := run(t, s.URL, 0, "", tt.line)
			if got.code != tt.code || !strings.Contains(got.out, tt.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", got.code, tt.code, tt.says, got.out)
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		got := run(t, "http://127.0.0.1:1", 0, "", "status")
		if got.code != 3 || !strings.Contains(got.out, "picket-agent status") {
			t.Errorf("exit code %d\n%s", got.code, got.out)
		}
	})
}

// A report is written whole, and holds no reference to anything outside of it.
func TestReport(t *testing.T) {
	for _, fixture := range []string{"armed", "withheld", "fenced", "recovered"} {
		t.Run(fixture, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "picket.html")
			if got := run(t, serve(t, fixture).URL, 80, "", "report --html "+file); got.code != 0 {
				t.Fatalf("exit code %d\n%s", got.code, got.out)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			page := string(text)
			if !strings.HasSuffix(page, "</html>\n") || strings.Contains(page, "ZgotmplZ") {
				t.Error("the page is not whole")
			}
			if m := regexp.MustCompile(`(?i)(src|href|url\(|@import)[^>]{0,40}`).FindString(page); m != "" {
				t.Errorf("the page refers to %q", m)
			}
			for _, want := range []string{`id="map"`, `id="peers"`, `id="fences"`, `id="watchdogs"`, "node-1"} {
				if !strings.Contains(page, want) {
					t.Errorf("the page lacks %q", want)
				}
			}
		})
	}
	if got := run(t, serve(t, "armed").URL, 80, "", "report --html /nowhere/at/all"); got.code != 3 {
		t.Errorf("exit code %d\n%s", got.code, got.out)
	}
}

func TestCompletion(t *testing.T) {
	s := serve(t, "armed")
	got := run(t, s.URL, 80, "", "completion kubectl")
	if got.code != 0 || !strings.Contains(got.out, "kubectl-picket __complete") {
		t.Errorf("%+v", got)
	}
	t.Setenv("KUBECONFIG", kubeconfig(t, s.URL))
	c := Command(Env{Getenv: os.Getenv})
	var out strings.Builder
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs([]string{"__complete", "timeline", ""})
	if err := c.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "node-1\nnode-2\n") {
		t.Errorf("%v: %s", err, out.String())
	}
}

// Every command says what it does, and shows how.
func TestEveryCommandHasExamples(t *testing.T) {
	for _, c := range Command(Env{}).Commands() {
		if c.Name() == "completion" || c.Name() == "help" {
			continue
		}
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s lacks a text", c.Name())
		}
	}
}
