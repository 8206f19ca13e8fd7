package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
)

// A step is one line of a counterexample.
type step struct {
	tick              int
	actor, what, rule string
}

// trail prints the shortest way to break the property of a case.
func trail(ctx context.Context, c Case, out io.Writer) error {
	dir, err := os.MkdirTemp("", "picket-model-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	result, err := searchIn(ctx, dir, c, true)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, result.Line(c))
	if result.Verdict == Safe {
		fmt.Fprintln(out, "There is no counterexample.")
		return nil
	}
	// Spin ends non-zero, since the replay ends in the assertion: its text counts.
	said, replayErr := tool(ctx, dir, "spin", append(c.switches(), "-T", "-t", c.Model+".pml")...)
	steps, end := parseTrail(said)
	if len(steps) == 0 {
		return fmt.Errorf("spin replayed nothing: %w\n%s", replayErr, said)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TICK\tWHO\tDOES\tRULE")
	for _, s := range steps {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", s.tick, s.actor, s.what, s.rule)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nAt tick %d this breaks %s.\nThe case: %s.\n", end, c.Property, c.What)
	return err
}

// parseTrail reads the steps that a replay printed: @tick, or @actor|step|rule. It
// returns them, and the tick at which the replay ended.
func parseTrail(said string) (steps []step, tick int) {
	_, said, _ = strings.Cut(said, "@") // what Spin warns of comes before
	said, _, _ = strings.Cut(said, "spin: ")
	for text := range strings.SplitSeq(said, "@") {
		fields := strings.Split(strings.TrimSpace(text), "|")
		switch {
		case fields[0] == "tick":
			tick++
		case len(fields) == 3:
			steps = append(steps, step{tick, fields[0], fields[1], fields[2]})
		}
	}
	return steps, tick
}
