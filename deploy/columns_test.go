package deploy

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A column is what kubectl get shows.
type column struct {
	Name, Type, JSONPath string
	Priority             int
}

// The usual question (is every node guarded, and if not, why; what is being fenced,
// until when, and what does it wait for) is answered without -o yaml.
func TestColumnsAnswerTheUsualQuestion(t *testing.T) {
	raws, err := CRDs()
	if err != nil {
		t.Fatal(err)
	}
	first := make(map[string][]string)
	for _, raw := range raws {
		var crd struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct{ AdditionalPrinterColumns []column }
			}
		}
		if err := json.Unmarshal(raw, &crd); err != nil {
			t.Fatal(err)
		}
		for _, c := range crd.Spec.Versions[0].AdditionalPrinterColumns {
			// kubectl shows a date as an age, and one that lies ahead as <invalid>.
			if c.Type == "date" && c.JSONPath != ".metadata.creationTimestamp" {
				t.Errorf("%s: the column %s is no age", crd.Spec.Names.Kind, c.Name)
			}
			if c.Priority == 0 {
				first[crd.Spec.Names.Kind] = append(first[crd.Spec.Names.Kind], c.Name)
			}
		}
		if columns := first[crd.Spec.Names.Kind]; !slices.Contains(columns, "Age") {
			t.Errorf("%s: columns %v without an age", crd.Spec.Names.Kind, columns)
		}
	}
	want := map[string][]string{
		"NodeGuard": {"Phase", "Reason", "Watchdog", "Timeout", "Lost", "Age"},
		"NodeFence": {"Node", "Phase", "Reason", "Deadline", "Waits for", "Age"},
	}
	for kind, columns := range want {
		if d := cmp.Diff(columns, first[kind]); d != "" {
			t.Errorf("%s (-want +got):\n%s", kind, d)
		}
	}
}
