package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"sigs.k8s.io/yaml"

	"github.com/picket-dev/picket/agent/internal/daemon"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// Exit codes: 0 is fine; anything that could not be done at all is 3.
const (
	exitDegraded = 1 // the node is up, and something is wrong
	exitCounting = 2 // the node is about to reset
	exitFailed   = 3
)

// A state is an answer that is itself the error: it carries the exit code.
type state struct {
	code int
	what string
}

func (s *state) Error() string { return s.what }

// ExitCode returns the exit code for what Execute returned.
func ExitCode(err error) int {
	if s, ok := errors.AsType[*state](err); ok {
		return s.code
	}
	return exitFailed
}

// flags are the same for all commands.
type flags struct {
	run    string
	output string
}

// Commands returns the commands that look at this node, most of them by asking
// the running agent.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		command("status", "Show how this node stands, and what happens next",
			"  picket-agent status\n  picket-agent status -o json   # exit code: 0 fine, 1 degraded, 2 counting down",
			status),
		command("peers", "Show the neighbours and witnesses, both directions of each link",
			"  picket-agent peers\n  picket-agent peers -o yaml", peers),
		command("why", "Show the newest decisions, each with its rule",
			"  picket-agent why\n  picket-agent why -o json", why),
		watchdogCommand(),
	}
}

// command makes a command that asks the agent over its socket.
func command(name, short, example string, ask func(context.Context, peerv1.AdminClient, string, io.Writer) error) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use: name, Short: short, Example: example, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := dial(f.run)
			if err != nil {
				return err
			}
			defer conn.Close()
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			err = ask(ctx, peerv1.NewAdminClient(conn), f.output, cmd.OutOrStdout())
			if _, judged := errors.AsType[*state](err); err != nil && !judged {
				return unreachable(err)
			}
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func (f *flags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.run, "run", filepath.Join(hostRoot(), daemon.Default().Run), "the agent's run directory")
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, json or yaml")
}

// hostRoot is where this process finds the host's root: in a pod where the
// DaemonSet mounts it, else its own.
func hostRoot() string {
	if _, err := os.Stat(filepath.Join(daemon.Default().Root, "proc")); err == nil {
		return daemon.Default().Root
	}
	return "/"
}

// dial reaches the agent. It does not connect yet.
func dial(run string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("unix://"+daemon.AdminSocket(run), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("reach the agent: %w", err)
	}
	return conn, nil
}

// unreachable says what may be wrong when the agent does not answer.
func unreachable(err error) error {
	return fmt.Errorf("ask the agent: %s; is it running on this node (kubectl -n picket get pods -o wide), and is --run its run directory?",
		grpcstatus.Convert(err).Message())
}

// show renders an answer; table draws it for people.
func show(out io.Writer, format string, m proto.Message, table func(io.Writer)) error {
	return render(out, format, protojson.MarshalOptions{Multiline: true, EmitUnpopulated: true}.Marshal, m, table)
}

// render renders what encode can make JSON of.
func render[T any](out io.Writer, format string, encode func(T) ([]byte, error), value T, table func(io.Writer)) error {
	switch format {
	case "table":
		w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
		table(w)
		return w.Flush()
	case "json", "yaml":
		data, err := encode(value)
		if err != nil {
			return err
		}
		if format == "yaml" {
			if data, err = yaml.JSONToYAML(data); err != nil {
				return err
			}
		}
		_, err = fmt.Fprintf(out, "%s\n", data)
		return err
	}
	return fmt.Errorf("--output %s: use table, json or yaml", format)
}

func status(ctx context.Context, c peerv1.AdminClient, format string, out io.Writer) error {
	r, err := c.Status(ctx, &peerv1.StatusRequest{})
	if err != nil {
		return err
	}
	err = show(out, format, r, func(w io.Writer) {
		fmt.Fprintf(w, "%s\t%s %s\n", r.Node, r.Phase, r.Reason)
		if r.Message != "" {
			fmt.Fprintf(w, "\t%s\n", r.Message)
		}
		fmt.Fprintf(w, "next\t%s\n", r.Next)
		fmt.Fprintf(w, "roll\tserial %d by %s, %s old\n", r.RollSerial, r.RollVia, span(r.RollAge))
		if d := r.Watchdog; d != nil {
			fmt.Fprintf(w, "watchdog\t%s (%s), %s, T %s, worst pet delay %s\n", d.Driver, d.Kind, d.State, span(d.Timeout), span(d.WorstPetDelay))
			if d.LastError != "" && d.LastError != r.Message {
				fmt.Fprintf(w, "\t%s\n", d.LastError)
			}
		}
		lost := 0
		for _, p := range r.Peers {
			if p.Lost {
				lost++
			}
		}
		fmt.Fprintf(w, "peers\t%d, %d lost\n", len(r.Peers), lost)
	})
	if err != nil {
		return err
	}
	return judge(r)
}

// judge turns the agent's phase into an exit code.
func judge(r *peerv1.StatusReply) error {
	switch {
	case r.Phase == "Latched":
		return &state{exitCounting, "the node is resetting"}
	case r.PetLeft != nil && r.RollAge != nil && r.PetLeft.AsDuration() < r.RollAge.AsDuration():
		return &state{exitCounting, "no fresh roll: the node resets in " + span(r.PetLeft)}
	case r.Phase != "Armed" || r.Reason != "":
		return &state{exitDegraded, "the node is " + r.Phase + " " + r.Reason}
	}
	for _, p := range r.Peers {
		if p.Lost {
			return &state{exitDegraded, "neighbour " + p.Node + " is lost"}
		}
	}
	return nil
}

func peers(ctx context.Context, c peerv1.AdminClient, format string, out io.Writer) error {
	r, err := c.Status(ctx, &peerv1.StatusRequest{})
	if err != nil {
		return err
	}
	list := &peerv1.StatusReply{Node: r.Node, Peers: r.Peers}
	return show(out, format, list, func(w io.Writer) {
		fmt.Fprintln(w, "NODE\tROLE\tSTATE\tOUT\tIN\tADDRESSES")
		for _, p := range r.Peers {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%v\n", p.Node, role(p), health(p), span(p.OutAge), span(p.InAge), p.Addresses)
		}
	})
}

func role(p *peerv1.PeerStatus) string {
	switch {
	case p.Neighbour && p.Witness:
		return "neighbour, witness"
	case p.Witness:
		return "witness"
	}
	return "neighbour"
}

func health(p *peerv1.PeerStatus) string {
	if p.Lost {
		return "lost"
	}
	return "ok"
}

func why(ctx context.Context, c peerv1.AdminClient, format string, out io.Writer) error {
	r, err := c.Status(ctx, &peerv1.StatusRequest{Decisions: 256})
	if err != nil {
		return err
	}
	return show(out, format, r, func(w io.Writer) {
		for _, d := range r.Decisions {
			fmt.Fprintf(w, "-%s\t%s\t%s\n", span(d.Age), d.Rule, d.What)
		}
	})
}

// span shows a duration to a tenth of a second; "-" if there is none.
func span(d *durationpb.Duration) string {
	if d == nil {
		return "-"
	}
	return d.AsDuration().Round(100 * time.Millisecond).String()
}
