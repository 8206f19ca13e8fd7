package plugin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/controller/internal/view"
)

// A volume is found by its own name, its claim's, or its node's, and is said to be
// wherever an agent has it mapped, across the cluster: nobody logs in to a node.
func TestWhereFindsAVolumeByEachOfItsNames(t *testing.T) {
	mapped := func(s *standin, node, standing string) {
		guard := s.objects["/apis/picket.dev/v1alpha1/nodeguards/"+node]
		guard["status"].(map[string]any)["storage"] = map[string]any{
			"state": "InUse", "devices": []any{map[string]any{"path": "/dev/sdb", "volume": "vol-1", "standing": standing}},
		}
	}
	armed := view.Place{Volume: "vol-1", Node: "node-1", Path: "/dev/sdb", Attached: true, Standing: "Armed"}
	left := view.Place{Volume: "vol-1", Node: "node-2", Path: "/dev/sdb", Standing: "Armed", Left: "Stale"}
	for _, tt := range []struct {
		line   string
		stale  bool // node-2 still has it, too
		code   int
		places []view.Place
		warns  string
	}{
		{line: "where vol-1", places: []view.Place{armed}},
		{line: "where pv/vol-1", places: []view.Place{armed}},
		{line: "where data-db-0", places: []view.Place{armed}},
		{line: "where pvc/data-db-0 -n default", places: []view.Place{armed}},
		{line: "where node-1", places: []view.Place{armed}},
		{line: "where node/node-1", places: []view.Place{armed}},
		{line: "where node-3", places: []view.Place{}},
		{line: "where vol-1", stale: true, code: exitDegraded, places: []view.Place{armed, left}, warns: "node-2 has /dev/sdb left of vol-1, which has moved (Stale)"},
		{line: "where node-2", stale: true, code: exitDegraded, places: []view.Place{left}, warns: "picket-agent devices --plan says more there"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			s := serve(t, "armed")
			mapped(s, "node-1", "")
			if tt.stale {
				mapped(s, "node-2", "Stale")
			}
			got := run(t, s.URL, 120, "", tt.line+" -o json")
			var answer view.Where
			if err := json.Unmarshal([]byte(got.out), &answer); err != nil {
				t.Fatalf("%v\n%s", err, got.out)
			}
			if d := cmp.Diff(tt.places, answer.Places); d != "" || got.code != tt.code {
				t.Errorf("exit code %d, want %d; places (-want +got):\n%s", got.code, tt.code, d)
			}
			warns := strings.Join(answer.Warnings, "\n")
			if (tt.warns == "") != (warns == "") || !strings.Contains(warns, tt.warns) {
				t.Errorf("warnings %q, want %q", warns, tt.warns)
			}
		})
	}
}

// What is named does not exist, is not bound, or may not be read.
func TestWhereCannotSay(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		change     func(s *standin)
		code       int
		says       string
	}{
		{"a claim of another namespace", "where data-db-0 -n prod", nil, exitFailed, `claim in namespace prod called "data-db-0"`},
		{"a volume called as a claim", "where pvc/vol-1", nil, exitFailed, "give the claim's namespace with -n"},
		{"a claim that waits", "where data-db-0", func(s *standin) {
			delete(s.objects["/api/v1/namespaces/default/persistentvolumeclaims/data-db-0"]["spec"].(map[string]any), "volumeName")
		}, exitFailed, "claim default/data-db-0 is not bound to a volume"},
		{"attachments forbidden", "where vol-1", func(s *standin) { s.refuse["volumeattachments"] = http.StatusForbidden }, exitDegraded, "VolumeAttachments were not read: you may not"},
		{"volumes forbidden: by its claim it is found", "where data-db-0", func(s *standin) { s.refuse["persistentvolumes"] = http.StatusForbidden }, 0, "vol-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, "armed")
			if tt.change != nil {
				tt.change(s)
			}
			got := run(t, s.URL, 120, "", tt.line)
			if got.code != tt.code || !strings.Contains(got.out, tt.says) {
				t.Errorf("exit code %d, %q; want %d, %q", got.code, got.out, tt.code, tt.says)
			}
			if slices.ContainsFunc(s.calls, func(call string) bool { return call != "" }) {
				t.Errorf("it has written: %v", s.calls)
			}
		})
	}
}
