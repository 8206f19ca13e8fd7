package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The test's own binary is one that has modules in it.
func TestTheBillNamesWhatIsInABinary(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, again bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &again} {
		if err := run([]string{"v1", self}, out); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		`"bomFormat": "CycloneDX"`, `"specVersion": "1.6"`,
		`"purl": "pkg:golang/github.com/CycloneDX/cyclonedx-go@v0.`, `"name": "std"`, `"go:sum"`, `"SHA-256"`,
	} {
		if !strings.Contains(first.String(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if first.String() != again.String() {
		t.Error("the same binary has two bills")
	}
}

func TestWhatIsNoGoBinaryIsRefused(t *testing.T) {
	for _, args := range [][]string{{"v1"}, {"v1", "main.go"}, {"v1", "missing"}} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v is no error", args)
		}
	}
}
