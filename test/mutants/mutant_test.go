package main

import "testing"

// Each mutant still fits the source: its old texts are there exactly once.
func TestMutantsFitTheSource(t *testing.T) {
	t.Chdir("../..")
	names := make(map[string]bool)
	for _, m := range mutants {
		if names[m.name] {
			t.Errorf("two mutants are called %q", m.name)
		}
		names[m.name] = true
		if _, err := m.overlay(t.TempDir()); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
	if len(mutants) < 20 {
		t.Errorf("%d mutants", len(mutants))
	}
}
