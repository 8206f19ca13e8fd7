package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "model:", err)
		os.Exit(1)
	}
}

// options are what a person chooses.
type options struct {
	full, list, trail bool
	name              string
	jobs              int
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("model", flag.ContinueOnError)
	flags.BoolVar(&o.full, "full", false, "run the large cases, too (up to an hour)")
	flags.BoolVar(&o.list, "list", false, "list the cases: what each checks, and which claims of PROTOCOL.md")
	flags.StringVar(&o.name, "case", "", "run this case only")
	flags.BoolVar(&o.trail, "trail", false, "with -case: print the shortest counterexample as a table")
	flags.IntVar(&o.jobs, "j", 2, "run so many cases at once")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q; -case NAME chooses a case", flags.Arg(0))
	}
	if o.trail && o.name == "" {
		return o, errors.New("-trail prints the counterexample of one case: name it with -case")
	}
	if o.jobs < 1 {
		return o, fmt.Errorf("-j %d: at least one case must run", o.jobs)
	}
	return o, nil
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	if o.list {
		return list(out, chosen)
	}
	if err := findTools(); err != nil {
		return err
	}
	if o.trail {
		return trail(ctx, chosen[0], out)
	}
	return check(ctx, chosen, o.jobs, out)
}

// choose returns the cases to run: the one named, or all that are not too large.
func choose(o options) ([]Case, error) {
	all := Cases()
	if o.name != "" {
		i := slices.IndexFunc(all, func(c Case) bool { return c.Name == o.name })
		if i < 0 {
			return nil, fmt.Errorf("there is no case %q; -list names them", o.name)
		}
		return all[i : i+1], nil
	}
	if o.full || o.list {
		return all, nil
	}
	return slices.DeleteFunc(all, func(c Case) bool { return c.Full }), nil
}

// check runs the cases and prints a RESULT line for each. It fails if a verdict is
// not the expected one, or a search ended before it had seen everything.
func check(ctx context.Context, cases []Case, jobs int, out io.Writer) error {
	var (
		mu     sync.Mutex
		failed []string
		group  errgroup.Group
	)
	group.SetLimit(jobs)
	for _, c := range cases {
		group.Go(func() error {
			result, err := search(ctx, c, false)
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				err = fmt.Errorf("case %s: %w", c.Name, err)
				fmt.Fprintln(out, err)
				failed = append(failed, c.Name)
				return nil
			}
			fmt.Fprintln(out, result.Line(c))
			if result.Verdict != c.Want {
				failed = append(failed, c.Name)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d cases failed: %s (-case NAME -trail shows a counterexample)",
			len(failed), len(cases), strings.Join(failed, ", "))
	}
	fmt.Fprintf(out, "RESULT models=%d failed=0\n", len(cases))
	return nil
}

// list prints the table of cases. The first five columns hold no blanks, for scripts.
func list(out io.Writer, cases []Case) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CASE\tMODEL\tTARGET\tEXPECTED\tCLAIMS\tPROPERTY\tWHAT\tSWITCHES")
	for _, c := range cases {
		target := "model"
		if c.Full {
			target = "model-full"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Name, c.Model, target, c.Want,
			claims(c.Claims), c.Property, c.What, strings.Join(c.Defines, " "))
	}
	return w.Flush()
}

// claims prints claim numbers as a list without blanks, for scripts.
func claims(numbers []int) string {
	if len(numbers) == 0 {
		return "-"
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(numbers), "[]"), " ", ",")
}
