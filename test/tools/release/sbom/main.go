// Command sbom writes the bill of materials of Go binaries as CycloneDX 1.6
// JSON: what the binaries themselves say that they were built from, and
// nothing of what merely stands in go.mod. Its output depends on its input
// alone.
//
//	sbom VERSION BINARY... >sbom.json
package main

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("usage: sbom VERSION BINARY... >sbom.json")
	}
	bom, err := bill(args[0], args[1:])
	if err != nil {
		return err
	}
	return cdx.NewBOMEncoder(out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
}

// bill lists the binaries, the modules in them, and which is in which.
func bill(version string, binaries []string) (*cdx.BOM, error) {
	product := cdx.Component{
		BOMRef: "picket", Type: cdx.ComponentTypeApplication, Name: "picket", Version: version,
		Licenses: &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
	}
	all := make(map[string]cdx.Component)
	whole := cdx.Dependency{Ref: product.BOMRef, Dependencies: &[]string{}}
	depends := []cdx.Dependency{}
	for _, path := range binaries {
		binary, info, err := component(version, path)
		if err != nil {
			return nil, err
		}
		all[binary.BOMRef] = binary
		*whole.Dependencies = append(*whole.Dependencies, binary.BOMRef)
		parts := []cdx.Component{library("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
		for _, m := range info.Deps {
			m = cmp.Or(m.Replace, m)
			parts = append(parts, library(m.Path, m.Version, m.Sum))
		}
		refs := []string{}
		for _, c := range parts {
			all[c.BOMRef] = c
			refs = append(refs, c.BOMRef)
		}
		slices.Sort(refs)
		depends = append(depends, cdx.Dependency{Ref: binary.BOMRef, Dependencies: &refs})
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Component: &product}
	sorted := make([]cdx.Component, 0, len(all))
	for _, ref := range slices.Sorted(maps.Keys(all)) {
		sorted = append(sorted, all[ref])
	}
	bom.Components = &sorted
	bom.Dependencies = new(append([]cdx.Dependency{whole}, depends...))
	return bom, nil
}

// component describes a binary, with its hash.
func component(version, path string) (cdx.Component, *debug.BuildInfo, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return cdx.Component{}, nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return cdx.Component{}, nil, err
	}
	sum := sha256.Sum256(text)
	arch := ""
	for _, s := range info.Settings {
		if s.Key == "GOARCH" {
			arch = s.Value
		}
	}
	name := filepath.Base(path)
	return cdx.Component{
		BOMRef: name + "-" + arch, Type: cdx.ComponentTypeApplication, Name: name, Version: version,
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
		Properties: &[]cdx.Property{{Name: "go:arch", Value: arch}, {Name: "go:package", Value: info.Path}},
	}, info, nil
}

// library describes a module; its sum is the one of go.sum.
func library(path, version, sum string) cdx.Component {
	purl := "pkg:golang/" + path + "@" + version
	c := cdx.Component{
		BOMRef: purl, Type: cdx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl,
	}
	if sum != "" {
		c.Properties = &[]cdx.Property{{Name: "go:sum", Value: sum}}
	}
	return c
}
