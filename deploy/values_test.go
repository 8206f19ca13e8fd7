package deploy

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the policy's part of values.schema.json")

const schemaFile = "chart/values.schema.json"

// TestPolicyValues holds the schema of the value "policy" to the CRD, whose
// fields it is. make chart runs it with -update.
func TestPolicyValues(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	schema["properties"].(map[string]any)["policy"] = policySchema(t)
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(schema); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want.String(), string(text)); diff != "" {
		t.Error("run make chart", diff)
	}
}

// policySchema is the spec of the FencingPolicy's CRD as a JSON schema that
// refuses unknown keys, as the API server would drop them.
func policySchema(t *testing.T) any {
	t.Helper()
	text, err := os.ReadFile("crds/picket.dev_fencingpolicies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema struct {
						Properties map[string]any
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	return strict(crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"])
}

// strict makes a JSON schema of a CRD's: without what is Kubernetes' own, and
// closed.
func strict(node any) any {
	schema, ok := node.(map[string]any)
	if !ok {
		return node
	}
	for _, key := range slices.Collect(maps.Keys(schema)) {
		if strings.HasPrefix(key, "x-kubernetes-") || key == "format" || key == "default" {
			delete(schema, key)
		}
	}
	if d, ok := schema["description"].(string); ok {
		schema["description"] = strings.Join(strings.Fields(d), " ")
	}
	if properties, ok := schema["properties"].(map[string]any); ok {
		for name := range properties {
			properties[name] = strict(properties[name])
		}
		schema["additionalProperties"] = false
	}
	return schema
}

// Every value has a default, and every default is described by the schema: what
// values.yaml does not show, nobody finds.
func TestValuesAndSchemaAgree(t *testing.T) {
	var values, schema map[string]any
	for file, into := range map[string]*map[string]any{"chart/values.yaml": &values, schemaFile: &schema} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	var keys func(prefix string, of map[string]any, deeper func(any) map[string]any) []string
	keys = func(prefix string, of map[string]any, deeper func(any) map[string]any) (all []string) {
		for name, value := range of {
			at := prefix + name
			all = append(all, at)
			// These hold what is not the chart's to know.
			if slices.Contains([]string{"policy", "agent.requests", "controller.requests"}, at) {
				continue
			}
			all = append(all, keys(at+".", deeper(value), deeper)...)
		}
		slices.Sort(all)
		return all
	}
	described := keys("", schema["properties"].(map[string]any), func(v any) map[string]any {
		p, _ := v.(map[string]any)["properties"].(map[string]any)
		return p
	})
	set := keys("", values, func(v any) map[string]any {
		m, _ := v.(map[string]any)
		return m
	})
	described = slices.DeleteFunc(described, func(s string) bool { return s == "global" })
	if diff := cmp.Diff(described, set); diff != "" {
		t.Error("schema and values.yaml differ", diff)
	}
}
