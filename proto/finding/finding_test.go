package finding

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/proto/screen"
)

func TestCode(t *testing.T) {
	for _, tt := range []struct {
		name  string
		found []Finding
		code  int
		says  string
	}{
		{"nothing", nil, CodeFine, "nothing found"},
		{"notes and warnings are no failure", []Finding{{Severity: Note}, {Severity: Warning}, {Severity: Note}}, CodeFine, "1 warning, 2 notes"},
		{"not all was seen", []Finding{{Severity: Warning, Unseen: true}}, CodeUnseen, "1 warning"},
		{"an error counts more", []Finding{{Severity: Warning, Unseen: true}, {Severity: Error}}, CodeErrors, "1 error, 1 warning"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := New("x")
			r.Add("check", "", tt.found...)
			if got := r.Code(); got != tt.code {
				t.Errorf("code %d, want %d", got, tt.code)
			}
			if got := r.Summary(); got != tt.says {
				t.Errorf("%q, want %q", got, tt.says)
			}
		})
	}
}

func aReport() *Report {
	r := New("node-1")
	r.Add("clock", "tsc")
	r.Add("peers", "8 neighbours", Finding{ID: "Slow", Severity: Note, What: "it is slow", Why: "some wait"})
	r.Add("watchdog", "none", Finding{
		ID: "NoDog", Severity: Error, What: "there is no watchdog that anybody could use", Why: "nothing resets it",
		Fix: "# on the node:\nmodprobe softdog && echo softdog >/etc/modules-load.d/softdog.conf",
	})
	return r
}

// The worst comes first, text is wrapped, and a command is left in one line.
func TestDraw(t *testing.T) {
	var out strings.Builder
	aReport().Draw(&screen.Screen{Out: &out, Width: 40})
	want := `node-1:  1 error, 1 note

error    NoDog: there is no watchdog
         that anybody could use
why      nothing resets it
fix      # on the node:
         modprobe softdog && echo softdog >/etc/modules-load.d/softdog.conf

note     Slow: it is slow
why      some wait

fine     clock     tsc
note     peers     8 neighbours
error    watchdog  none
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestJSON(t *testing.T) {
	text, err := json.Marshal(aReport())
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Subject  string
		Findings []struct{ ID, Severity, Check string }
		Checks   []struct{ Name, Saw string }
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]struct{ ID, Severity, Check string }{{"NoDog", "error", "watchdog"}, {"Slow", "note", "peers"}}, got.Findings); d != "" {
		t.Error(d)
	}
	if got.Subject != "node-1" || len(got.Checks) != 3 {
		t.Errorf("%+v", got)
	}
	if empty, _ := json.Marshal(New("x")); string(empty) != `{"subject":"x","findings":[],"checks":[]}` {
		t.Errorf("%s", empty)
	}
}
