// Package deploy holds the manifests, for the tests and tools that apply them
// without kubectl. They are generated from the chart beside them, with its
// default values. It refuses to talk to a cluster itself, and to render charts:
// that takes Helm.
package deploy

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed crds base uninstall.yaml
var files embed.FS

// CRDs returns the CustomResourceDefinitions, each as JSON.
func CRDs() ([][]byte, error) { return objects("crds", func(string) bool { return true }) }

// Base returns what every installation needs beside the CRDs but for what runs:
// namespace, rights, admission policies. Each object is JSON, in an order in
// which they can be applied one by one.
func Base() ([][]byte, error) {
	return objects("base", func(file string) bool { return !slices.Contains(workloads(), file) })
}

// Workloads returns the agent with its configuration and the controller, as
// Base does, with their image. They need the Base.
func Workloads(image string) ([][]byte, error) {
	all, err := objects("base", func(file string) bool { return slices.Contains(workloads(), file) })
	setImage(all, image)
	return all, err
}

// setImage has the objects run another image than the manifests name.
func setImage(objects [][]byte, image string) {
	for i := range objects {
		objects[i] = bytes.ReplaceAll(objects[i], []byte(`"image":"`+Image+`"`), []byte(`"image":"`+image+`"`))
	}
}

// Uninstall returns the Job that takes Picket off, with its rights, as Base does,
// and with its image.
func Uninstall(image string) ([][]byte, error) {
	raw, err := files.ReadFile("uninstall.yaml")
	if err != nil {
		return nil, err
	}
	all, err := documents(string(raw))
	setImage(all, image)
	return all, err
}

// Image is what the manifests call the image.
const Image = "picket:latest"

// workloads are the files of base that run something.
func workloads() []string { return []string{"daemonset.yaml", "deployment.yaml"} }

// objects returns the objects of those files of a directory that are wanted, in
// the order of its kustomization, without those of other directories.
func objects(dir string, wanted func(file string) bool) ([][]byte, error) {
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
		if path.Ext(name) != ".yaml" || !wanted(name) {
			continue
		}
		raw, err := files.ReadFile(path.Join(dir, name))
		if err != nil {
			return nil, err
		}
		docs, err := documents(string(raw))
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", dir, name, err)
		}
		all = append(all, docs...)
	}
	return all, nil
}

// documents returns the objects of a stream of YAML as JSON.
func documents(text string) ([][]byte, error) {
	var all [][]byte
	for doc := range strings.SplitSeq("\n"+text, "\n---\n") {
		object, err := yaml.YAMLToJSON([]byte(doc + "\n")) // the last line is one, too
		if err != nil {
			return nil, err
		}
		if string(object) != "null" { // a comment
			all = append(all, object)
		}
	}
	return all, nil
}
