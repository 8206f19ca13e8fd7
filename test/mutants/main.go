package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	seeds := flag.Uint64("seeds", 60000, "run at most so many `schedules` for each mutant")
	which := flag.String("run", "", "only mutants whose name matches this `expression`")
	flag.Parse()
	wanted, err := regexp.Compile(*which)
	if err == nil {
		err = all(wanted, *seeds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// all hunts each mutant, and returns an error if one lives.
func all(wanted *regexp.Regexp, seeds uint64) error {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	hunted, killed := 0, 0
	var failed []error
	for _, m := range mutants {
		if !wanted.MatchString(m.name) {
			continue
		}
		hunted++
		end, err := m.hunt(dir, seeds)
		if err != nil {
			fmt.Printf("mutant=%q ERROR: %v\n", m.name, err)
			failed = append(failed, fmt.Errorf("%s: %w", m.name, err))
			continue
		}
		fmt.Printf("mutant=%q %s (%s)\n", m.name, end, m.breaks)
		if end != alive {
			killed++
		}
	}
	fmt.Printf("RESULT mutants=%d killed=%d\n", hunted, killed)
	if killed < hunted && len(failed) == 0 {
		failed = append(failed, errors.New("some mutants live: see above"))
	}
	return errors.Join(failed...)
}

const alive = "ALIVE"

// hunt builds the simulator with the mutant in it, and runs it to its first
// violation. It returns how the mutant was found, or alive.
func (m mutant) hunt(dir string, seeds uint64) (string, error) {
	overlay, err := m.overlay(dir)
	if err != nil {
		return "", err
	}
	sim := filepath.Join(dir, "sim")
	build := exec.Command("go", "build", "-overlay", overlay, "-o", sim, "./test/sim")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	out, err := exec.Command(sim, "-stop", "-seeds", strconv.FormatUint(seeds, 10)).Output()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		if found, _, ok := strings.Cut(line, ": "); ok && strings.HasPrefix(found, "seed=") {
			return found, nil
		}
	}
	if !bytes.Contains(out, []byte("violations=0")) {
		return "", fmt.Errorf("the simulator broke down: %s", out)
	}
	return alive, nil
}

// overlay writes the mutated files and the list of them that the go command
// reads.
func (m mutant) overlay(dir string) (string, error) {
	root, err := filepath.Abs(".")
	if err != nil {
		return "", err
	}
	text := make(map[string]string)
	for _, e := range m.edits {
		if _, read := text[e.file]; !read {
			source, err := os.ReadFile(e.file)
			if err != nil {
				return "", fmt.Errorf("read the source (run this in the module's root): %w", err)
			}
			text[e.file] = string(source)
		}
		if n := strings.Count(text[e.file], e.old); n != 1 {
			return "", fmt.Errorf("%s has %d times %q: bring the mutant up to date", e.file, n, e.old)
		}
		text[e.file] = strings.Replace(text[e.file], e.old, e.instead, 1)
	}
	replace := make(map[string]string)
	for file, source := range text {
		mutated := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(mutated, []byte(source), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, file)] = mutated
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}
