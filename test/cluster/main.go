package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/picket-dev/picket/test/cluster/fleet"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := demo(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

const usage = `Runs Picket on a real control plane with simulated machines, breaks something, and
shows what happens. No root, no Docker.

  make demo                                          cut the power of a node, standard profile
  make demo ARGS="--profile fast"                    the same, with the fast profile
  make demo ARGS="--scenario isolated-node"          something else
  make demo ARGS="--list"                            what else there is

`

// demo plays one scenario and prints its timeline.
func demo(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	name := flags.String("scenario", "power-cut", "the scenario to play")
	profile := flags.String("profile", "standard", "the timing: standard, fast, patient, or test (scaled down)")
	list := flags.Bool("list", false, "list the scenarios")
	keep := flags.Bool("keep", false, "keep logs and hosts' files, and say where")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *list {
		for _, s := range scenarios() {
			fmt.Fprintf(out, "%-32s %s\n", s.name, s.about)
		}
		return nil
	}
	s, err := named(*name)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "picket-demo-")
	if err != nil {
		return err
	}
	if *keep {
		fmt.Fprintln(out, "logs and hosts' files are in", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	bin, err := fleet.Build(ctx, dir, out)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "scenario %s, profile %s: %s\n", s.name, *profile, s.about)
	o := options{profile: *profile, dir: dir, bin: bin, progress: out}
	if err := o.buildPrevious(ctx, s); err != nil {
		return err
	}
	res := play(ctx, s, o)
	fmt.Fprintln(out, res)
	return res.err
}

// named finds a scenario.
func named(name string) (scenario, error) {
	for _, s := range scenarios() {
		if s.name == name {
			return s, nil
		}
	}
	return scenario{}, fmt.Errorf("there is no scenario %q: see --list", name)
}
