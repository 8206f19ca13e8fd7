package child

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// Name is the hidden subcommand by which a binary becomes a child.
const Name = "child"

// Work is something that a child can do: it gets the request's input as JSON,
// and returns what becomes the answer's.
type Work func(in json.RawMessage) (any, error)

// A request is what a child reads.
type request struct {
	Bound time.Duration   `json:"bound"`
	In    json.RawMessage `json:"in"`
}

// An answer is what a child writes.
type answer struct {
	Error string          `json:"error,omitempty"`
	Out   json.RawMessage `json:"out,omitempty"`
}

// Command returns the hidden subcommand that does the work of these tables.
func Command(tables ...map[string]Work) *cobra.Command {
	return &cobra.Command{
		Use:    Name + " WORK",
		Short:  "Does one piece of work for a running agent, which may abandon it",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return Main(args[0], os.Stdin, os.Stdout, tables...)
		},
	}
}

// Main does the named work for the request that in holds, and writes the answer
// to out. An error of the work is part of the answer; what it returns is an
// error of the conversation. The process ends at the bound, whoever has started
// it: a parent that was restarted must not be outlived by its orders.
func Main(name string, in io.Reader, out io.Writer, tables ...map[string]Work) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	var r request
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("decode request: %w", err)
	}
	work, err := find(name, tables)
	if err != nil {
		return err
	}
	end := time.AfterFunc(r.Bound, func() { os.Exit(1) })
	defer end.Stop()
	result, err := work(r.In)
	var a answer
	if err != nil {
		a.Error = err.Error()
	} else if a.Out, err = json.Marshal(result); err != nil {
		return fmt.Errorf("encode result of %s: %w", name, err)
	}
	text, err = json.Marshal(a)
	if err != nil {
		return fmt.Errorf("encode answer of %s: %w", name, err)
	}
	if _, err := out.Write(text); err != nil {
		return fmt.Errorf("write answer of %s: %w", name, err)
	}
	return nil
}

func find(name string, tables []map[string]Work) (Work, error) {
	var known []string
	for _, t := range tables {
		if work, ok := t[name]; ok {
			return work, nil
		}
		known = slices.AppendSeq(known, maps.Keys(t))
	}
	slices.Sort(known)
	return nil, fmt.Errorf("no work %q: there are %v", name, known)
}
