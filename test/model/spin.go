package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed *.pml
var models embed.FS

const (
	// maxDepth is how many steps a path may have: a search that meets a longer one
	// is incomplete.
	maxDepth = 1_000_000
	// memory and memoryFull bound a search in MiB.
	memory, memoryFull = 2500, 9000
	// patience and patienceFull bound the time of a search.
	patience, patienceFull = 10 * time.Minute, 50 * time.Minute
)

// findTools fails if a program is missing that a search needs.
func findTools() error {
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%w; on Debian: apt-get install --no-install-recommends spin gcc libc6-dev", err)
		}
	}
	return nil
}

// A Result is what a search found.
type Result struct {
	Verdict Verdict
	States  int // different ones that were stored
	Depth   int // steps of the longest path
	Failed  string
	Took    time.Duration
}

// Line is the result for scripts, and for those who read over their shoulder.
func (r Result) Line(c Case) string {
	line := fmt.Sprintf("RESULT model=%s states=%d depth=%d verdict=%s expected=%s seconds=%.1f",
		c.Name, r.States, r.Depth, r.Verdict, c.Want, r.Took.Seconds())
	if r.Verdict != c.Want && r.Failed != "" {
		line += fmt.Sprintf(" failed=%q", r.Failed)
	}
	return line
}

// search lets Spin look at every state that the case can reach, until one breaks the
// property. With shortest it goes breadth first, and leaves the trail for trail.
func search(ctx context.Context, c Case, shortest bool) (Result, error) {
	dir, err := os.MkdirTemp("", "picket-model-")
	if err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	return searchIn(ctx, dir, c, shortest)
}

func searchIn(ctx context.Context, dir string, c Case, shortest bool) (Result, error) {
	if err := os.CopyFS(dir, models); err != nil {
		return Result{}, err
	}
	limit, mib := patience, memory
	options := []string{"-O1"} // searches as fast as -O2, for half the time of gcc
	if c.Full {
		limit, mib = patienceFull, memoryFull
		options = []string{"-O2", "-DCOLLAPSE"} // each state in a third of the memory
	}
	start := time.Now()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := tool(bounded, dir, "spin", append(c.switches(), "-a", c.Model+".pml")...); err != nil {
		return Result{}, err
	}
	build := append(options, "-w", "-DSAFETY", "-DNOFAIR", fmt.Sprintf("-DMEMLIM=%d", mib), "-o", "pan", "pan.c")
	if shortest {
		build = append(build, "-DBFS")
	}
	if _, err := tool(bounded, dir, "gcc", build...); err != nil {
		return Result{}, err
	}
	said, err := tool(bounded, dir, filepath.Join(dir, "pan"), fmt.Sprintf("-m%d", maxDepth), "-w22", "-n")
	if bounded.Err() != nil {
		return Result{}, fmt.Errorf("the search took longer than %s", limit)
	}
	result, parseErr := parsePan(said)
	if parseErr != nil {
		return Result{}, errors.Join(parseErr, err)
	}
	result.Took = time.Since(start)
	return result, nil
}

// tool runs a program in dir and returns what it printed.
func tool(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("run %s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// parsePan reads the report of pan, the program that Spin makes of a model. It fails if
// the search found no error and did not see everything: a path was cut, or memory ran out.
func parsePan(said string) (Result, error) {
	errorCount, err := number(said, `errors: (\d+)`)
	if err != nil {
		return Result{}, fmt.Errorf("%w in what pan said:\n%s", err, said)
	}
	states, err := number(said, `(\d+) states, stored`)
	if err != nil {
		return Result{}, fmt.Errorf("%w in what pan said:\n%s", err, said)
	}
	depth, err := number(said, `depth reached (\d+)`)
	if err != nil {
		return Result{}, fmt.Errorf("%w in what pan said:\n%s", err, said)
	}
	result := Result{Verdict: Safe, States: states, Depth: depth}
	if errorCount > 0 {
		first := regexp.MustCompile(`(?m)^pan:1: (.*)$`).FindStringSubmatch(said)
		if first == nil || !strings.HasPrefix(first[1], "assertion violated") {
			return Result{}, fmt.Errorf("pan found an error that is no broken property:\n%s", said)
		}
		result.Verdict, result.Failed = Violated, first[1]
		return result, nil
	}
	for _, cut := range []string{"max search depth too small", "Search not completed", "out of memory"} {
		if strings.Contains(said, cut) {
			return Result{}, fmt.Errorf("the search is incomplete (%s):\n%s", cut, said)
		}
	}
	return result, nil
}

// number returns the number that the pattern's group matches.
func number(text, pattern string) (int, error) {
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("found no %q", pattern)
	}
	return strconv.Atoi(found[1])
}
