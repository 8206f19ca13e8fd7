// Command picket-agent runs on every node: it keeps the node's watchdog petted
// while nobody has withdrawn its right to run, and is the node's CLI.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/grpclog"
	"k8s.io/klog/v2"

	"github.com/picket-dev/picket/agent/internal/backlog"
	"github.com/picket-dev/picket/agent/internal/block"
	"github.com/picket-dev/picket/agent/internal/block/child"
	"github.com/picket-dev/picket/agent/internal/cli"
	"github.com/picket-dev/picket/agent/internal/daemon"
	"github.com/picket-dev/picket/agent/internal/gate"
	"github.com/picket-dev/picket/agent/internal/rejoin"
)

// version is set by the linker.
var version = "unknown"

// lastLinesWithin bounds how long the end of the process waits for the reader of
// its log: the supervisor waits for a worker that crashed.
const lastLinesWithin = 200 * time.Millisecond

func main() {
	os.Exit(run(backlog.New(os.Stderr)))
}

// run does what the command line says, and returns the exit code. Nothing of this
// process waits for who reads its log, not even its end.
func run(log *backlog.Backlog) int {
	defer log.Close(lastLinesWithin)
	root := &cobra.Command{
		Use:   "picket-agent",
		Short: "Keeps this node's watchdog petted while it may run, and shows how it stands",
		Example: "  picket-agent status    # how it stands, and what happens next\n" +
			"  picket-agent top       # the same, live\n" +
			"  picket-agent why       # the newest decisions, each with its rule",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(runCommand(log), gate.Command(), child.Command(block.Probes(), rejoin.Steps()))
	root.AddCommand(cli.Commands(version)...)
	if err := root.Execute(); err != nil {
		fmt.Fprintln(log, "picket-agent:", err)
		return cli.ExitCode(err)
	}
	return 0
}

// runCommand runs the agent: a supervisor, and below it the worker.
func runCommand(lines io.Writer) *cobra.Command {
	var file, level string
	var worker bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent of this node",
		Example: "  picket-agent run --config /etc/picket/agent.yaml\n" +
			"  NODE_NAME=worker-1 picket-agent run --config agent.yaml --log-level debug",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			signal.Ignore(syscall.SIGPIPE) // nobody may be left to read the log
			log, err := logger(lines, level)
			if err != nil {
				return err
			}
			c, err := daemon.Load(file)
			if err != nil {
				return err
			}
			if worker {
				ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
				defer cancel()
				return daemon.Run(ctx, c, version, log.With("node", c.Node))
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the own binary: %w", err)
			}
			return daemon.Supervise(cmd.Context(), log, append([]string{self}, append(os.Args[1:], "--worker")...))
		},
	}
	cmd.Flags().StringVar(&file, "config", "/etc/picket/agent.yaml", "configuration file (YAML)")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().BoolVar(&worker, "worker", false, "run without a supervisor")
	_ = cmd.Flags().MarkHidden("worker") // fails only for a flag that does not exist
	cmd.SetContext(context.Background())
	return cmd
}

// logger returns the structured log, which client-go's klog joins, and whatever
// else a library logs.
func logger(lines io.Writer, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level: %w", err)
	}
	log := slog.New(slog.NewTextHandler(lines, &slog.HandlerOptions{Level: l}))
	klog.SetSlogLogger(log)
	slog.SetDefault(log)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, lines)) // errors alone, as by default
	return log, nil
}
