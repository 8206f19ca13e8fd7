package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := commands().ExecuteContext(ctx); err != nil {
		if exit, ok := errors.AsType[exitCode](err); ok {
			os.Exit(int(exit))
		}
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

// exitCode ends the program with a code and without a word more.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "lab",
		Short:         "Run Picket on real nodes, and break them",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(buildCommand(), upCommand(), runCommand(), listCommand(), execCommand(), profileCommand(), downCommand(), insideCommand())
	return root
}

func flags(c *cobra.Command, o *options) {
	c.Flags().IntVar(&o.Nodes, "nodes", o.Nodes, "number of virtual machines, 1.5 GiB of memory each")
	c.Flags().StringVar(&o.Profile, "profile", o.Profile, "the timing: busy, which bears with a slow machine, or standard, fast, patient")
	c.Flags().StringVar(&o.Logs, "logs", o.Logs, "directory for what a failed scenario leaves; empty: one in the temporary directory")
	c.Flags().BoolVar(&o.Bare, "bare", false, "bring up nodes without Picket")
}

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build what a lab boots and runs, and boot nothing: the first lab then starts at once",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := defaults().Validate(); err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "picket-lab-")
			if err != nil {
				return fmt.Errorf("make a directory for programs: %w", err)
			}
			defer os.RemoveAll(dir)
			_, err = buildAll(c.Context(), dir, false, c.OutOrStdout())
			return err
		},
	}
}

func upCommand() *cobra.Command {
	o := defaults()
	c := &cobra.Command{
		Use:   "up",
		Short: "Bring a lab up and keep it until `lab down` or an interrupt",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return session(c.Context(), o) },
	}
	flags(c, &o)
	return c
}

func runCommand() *cobra.Command {
	o := defaults()
	c := &cobra.Command{
		Use:   "run [SCENARIO...]",
		Short: "Play scenarios, all if none is named, in the lab that is up or in a new one",
		RunE: func(c *cobra.Command, names []string) error {
			chosen, err := choose(names)
			if err != nil {
				return err
			}
			o.Scenarios = nil
			for _, s := range chosen {
				o.Scenarios = append(o.Scenarios, s.name)
			}
			if conn, err := dialControl(); err == nil {
				return conn.ask(c.Context(), request{Verb: "run", Args: o.Scenarios})
			}
			return session(c.Context(), o)
		},
	}
	flags(c, &o)
	c.Flags().BoolVar(&o.Keep, "keep", false, "keep the new lab up afterwards, until `lab down` or an interrupt")
	return c
}

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the scenarios",
		Args:  cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			for _, s := range scenarios() {
				fmt.Fprintf(c.OutOrStdout(), "%-28s %s\n", s.name, s.about)
			}
		},
	}
}

func execCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "exec NODE COMMAND...",
		Short:              "Run a shell command on a node of the lab that is up (node host: in the lab's namespaces, with an administrator's $KUBECONFIG)",
		Args:               cobra.MinimumNArgs(2),
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			conn, err := dialControl()
			if err != nil {
				return err
			}
			return conn.ask(c.Context(), request{Verb: "exec", Args: args})
		},
	}
}

func profileCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "profile NAME",
		Short: "Change the timing of the lab that is up: standard, fast, patient, or busy",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			conn, err := dialControl()
			if err != nil {
				return err
			}
			return conn.ask(c.Context(), request{Verb: "profile", Args: args})
		},
	}
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "End the lab that is up",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := dialControl()
			if err != nil {
				return err
			}
			return conn.ask(c.Context(), request{Verb: "down"})
		},
	}
}
