package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/picket-dev/picket/controller/internal/doctor"
	"github.com/picket-dev/picket/controller/internal/report"
)

func (o *options) reportCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "report",
		Short: "Write the cluster as one HTML file: map, peers, fences, watchdogs",
		Long: `Writes one HTML file that needs no network: what needs a look, with what kubectl picket
doctor finds, the map by failure domain, who hears whom, each fence's phases as bars
against the protocol's bound, and the watchdogs. It reads in light and dark, and prints.`,
		Example: `  kubectl picket report --html picket.html
  kubectl picket report --html - >picket.html`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := o.connect()
			if err != nil {
				return err
			}
			return conn.explain(conn.report(c, o, file))
		},
	}
	c.Flags().StringVar(&file, "html", "", "the file to write; - is the standard output")
	_ = c.MarkFlagRequired("html") // the flag exists
	return c
}

func (c *connection) report(cmd *cobra.Command, o *options, file string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	s, err := c.read(ctx, o, fences|policy|leader|events)
	if err != nil {
		return err
	}
	facts, err := c.facts(ctx, o)
	if err != nil {
		return err
	}
	r := report.New(s, c.host, o.env.Version)
	r.Doctor = doctor.Examine(facts)
	if file == "-" {
		return r.Write(cmd.OutOrStdout())
	}
	if err := writeFile(file, r.Write); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\n", file)
	return nil
}

// writeFile writes a file whole or not at all: beside the old one first.
func writeFile(file string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".picket-*.html")
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what is wrong is known already
	}
	return err
}
