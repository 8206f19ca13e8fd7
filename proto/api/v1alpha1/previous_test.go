package v1alpha1

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// What an earlier version wrote is read with every field that it has, and written
// again as it was: no field was taken away, renamed or given another form.
func TestObjectsOfEarlierVersionsAreKept(t *testing.T) {
	for file, into := range map[string]any{"nodeguard.yaml": &NodeGuard{}, "roll.yaml": &Roll{}} {
		text, err := os.ReadFile(filepath.Join("testdata", "previous", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		raw, err := json.Marshal(into)
		if err != nil {
			t.Fatal(err)
		}
		var was, is map[string]any
		if err := json.Unmarshal(raw, &is); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &was); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"spec", "status"} {
			if was[part] == nil {
				continue
			}
			if d := cmp.Diff(was[part], within(is[part], was[part])); d != "" {
				t.Errorf("%s of %s (-was +is):\n%s", part, file, d)
			}
		}
	}
}

// within returns of a new object what the old one has: fields may be added.
func within(is, was any) any {
	fields, ok := was.(map[string]any)
	if !ok {
		return is
	}
	now, _ := is.(map[string]any)
	kept := make(map[string]any)
	for name, v := range fields {
		if now[name] != nil {
			kept[name] = within(now[name], v)
		}
	}
	return kept
}
