// Package deploy holds the manifests, for the tests and tools that apply them
// without kubectl. It refuses to talk to a cluster itself.
package deploy

import (
	"embed"
	"fmt"
	"path"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed crds base
var files embed.FS

// CRDs returns the CustomResourceDefinitions, each as JSON.
func CRDs() ([][]byte, error) { return objects("crds") }

// Base returns what every installation needs beside the CRDs, each object as
// JSON, in an order in which they can be applied one by one.
func Base() ([][]byte, error) { return objects("base") }

// objects returns the objects of a directory in the order of its kustomization,
// without those of other directories.
func objects(dir string) ([][]byte, error) {
	raw, err := files.ReadFile(path.Join(dir, "kustomization.yaml"))
	if err != nil {
		return nil, err
	}
	var order struct{ Resources []string }
	if err := yaml.Unmarshal(raw, &order); err != nil {
		return nil, fmt.Errorf("kustomization of %s: %w", dir, err)
	}
	var all [][]byte
	for _, name := range order.Resources {
		if path.Ext(name) != ".yaml" {
			continue
		}
		raw, err := files.ReadFile(path.Join(dir, name))
		if err != nil {
			return nil, err
		}
		for doc := range strings.SplitSeq(string(raw), "\n---\n") {
			object, err := yaml.YAMLToJSON([]byte(doc))
			if err != nil {
				return nil, fmt.Errorf("%s/%s: %w", dir, name, err)
			}
			all = append(all, object)
		}
	}
	return all, nil
}
