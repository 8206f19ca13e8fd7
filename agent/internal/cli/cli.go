package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/picket-dev/picket/agent/internal/daemon"
	"github.com/picket-dev/picket/agent/internal/view"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// flags are the same for all commands.
type flags struct {
	run    string
	output string
}

// Commands returns the commands that look at this node, most of them by asking
// the running agent. version is that of this binary.
func Commands(version string) []*cobra.Command {
	return []*cobra.Command{
		statusCommand(), peersCommand(), matrixCommand(), whyCommand(), topCommand(),
		devicesCommand(), watchdogCommand(), doctorCommand(), bundleCommand(version), rotateKeyCommand(),
	}
}

const codes012 = "Exit code: 0 fine, 1 degraded, 2 counting down to a reset, 3 could not ask."

// a screenful is how a command shows the agent's answer.
type screenful struct {
	decisions func() int // how many to ask for; nil: none
	data      func(*peerv1.StatusReply) ([]byte, error)
	table     func(*screen.Screen, *peerv1.StatusReply)
	judge     func(*peerv1.StatusReply) (view.Health, []string) // nil: an answer is fine
}

// look completes a command that asks the agent once and shows the answer.
func look(cmd *cobra.Command, f *flags, s screenful) *cobra.Command {
	f.add(cmd)
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.check(); err != nil {
			return err
		}
		n := 0
		if s.decisions != nil {
			n = s.decisions()
		}
		r, err := askStatus(cmd.Context(), f.run, n)
		if err != nil {
			return err
		}
		err = f.render(cmd.OutOrStdout(), func() ([]byte, error) { return s.data(r) }, func(to *screen.Screen) { s.table(to, r) })
		if err != nil || s.judge == nil {
			return err
		}
		return exit(s.judge(r))
	}
	return cmd
}

func (f *flags) add(cmd *cobra.Command) {
	f.addRun(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, wide, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

func (f *flags) addRun(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.run, "run", filepath.Join(hostRoot(), daemon.Default().Run), "the agent's run directory")
}

// hostRoot is where this process finds the host's root: in a pod where the
// DaemonSet mounts it, else its own.
func hostRoot() string {
	if _, err := os.Stat(filepath.Join(daemon.Default().Root, "proc")); err == nil {
		return daemon.Default().Root
	}
	return "/"
}

func statusCommand() *cobra.Command {
	var f flags
	return look(&cobra.Command{
		Use:   "status",
		Short: "Show how this node stands, and what happens next if nothing changes",
		Long: "Shows at one glance how this node stands to its watchdog: until when it may pet and on what\n" +
			"evidence, its witnesses, API servers and neighbours, and what happens next if nothing changes.\n" + codes012,
		Example: "  picket-agent status\n" +
			"  picket-agent status -o wide          # with the boot and the history of the Roll\n" +
			"  picket-agent status -o json | jq .petLeft\n" +
			"  picket-agent status >/dev/null || echo \"look at this node\"",
	}, &f, screenful{
		data:  func(r *peerv1.StatusReply) ([]byte, error) { return message(r) },
		table: func(s *screen.Screen, r *peerv1.StatusReply) { view.Status(s, r, f.wide()) },
		judge: view.Judge,
	})
}

func peersCommand() *cobra.Command {
	var f flags
	return look(&cobra.Command{
		Use:   "peers",
		Short: "Show neighbours, witnesses and watchers, both directions of each link",
		Long: "Shows every peer of this node. OUT is the age of its last answer to our pings, IN that of its\n" +
			"last ping, HEARS US that of the last answer which it got from us, by its own word. P50, P95, P99\n" +
			"and LOSS are of the last 120 pings; the first one on a new connection pays for its handshake.\n" +
			"ROLL is the age of the roll that the peer holds: what the API is to it. SINCE is since when it\n" +
			"is in its state. PATH is the address that answered last.\n" +
			"Exit code: 0 all links are well, 1 some are not, 3 could not ask.",
		Example: "  picket-agent peers\n  picket-agent peers -o wide\n  picket-agent peers -o json | jq '.peers[] | select(.lost)'",
	}, &f, screenful{
		data:  func(r *peerv1.StatusReply) ([]byte, error) { return message(r, "node", "lostAfter", "peers") },
		table: view.Peers,
		judge: view.JudgeNetwork,
	})
}

func matrixCommand() *cobra.Command {
	var f flags
	by := "node"
	var grouping view.Grouping
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Show who hears whom, and whether that is a host, a rack's uplink or a path",
		Long: "Shows observers as rows and subjects as columns, and says what they add up to. It is what this\n" +
			"node knows: whom it hears, what those who watch it say of it, and whom its neighbours hear.\n" +
			"`kubectl picket matrix` shows what all agents say of each other, from the API.\n" +
			"--by says what fails together: rack or zone, by the nodes' labels; subnet (/24, /64); or\n" +
			"NAME=REGEXP, which takes the name of a node's rack or zone out of its own, by the parentheses\n" +
			"where there are some.\n" +
			"Exit code: 0 all links are well, 1 some are not, 3 could not ask.",
		Example: "  picket-agent matrix\n" +
			"  picket-agent matrix --by rack\n" +
			"  picket-agent matrix --by rack='^(r[0-9]+)-'   # r4-node-7 is in rack r4\n" +
			"  picket-agent matrix -o json | jq .findings",
		PreRunE: func(*cobra.Command, []string) (err error) {
			grouping, err = view.ParseGrouping(by)
			return err
		},
	}
	cmd.Flags().StringVar(&by, "by", by, "node, rack, zone, subnet or NAME=REGEXP")
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(view.Groupings(), cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return look(cmd, &f, screenful{
		data:  func(r *peerv1.StatusReply) ([]byte, error) { return value(view.MatrixOf(r, grouping)) },
		table: func(s *screen.Screen, r *peerv1.StatusReply) { view.Matrix(s, view.MatrixOf(r, grouping)) },
		judge: view.JudgeNetwork,
	})
}

// allDecisions is more than an agent keeps.
const allDecisions = 1 << 20

func whyCommand() *cobra.Command {
	var f flags
	newest := 20
	cmd := &cobra.Command{
		Use:   "why",
		Short: "Show the newest decisions: rule, what was found, verdict, and the roll they rest on",
		Long: "Shows the log of the agent's core, oldest first: the number of the rule (PROTOCOL.md, A1 … A14),\n" +
			"what it found, the phase that came of it with the time that was left to pet, and the best roll\n" +
			"at that time.",
		Example: "  picket-agent why\n  picket-agent why -n 0 -o wide   # all that is kept, with the time of day\n  picket-agent why -o json | jq '.decisions[] | select(.rule == \"A8\")'",
		PreRunE: func(*cobra.Command, []string) error {
			if newest < 0 {
				return fmt.Errorf("--newest %d: use a number of decisions, or 0 for all", newest)
			}
			return nil
		},
	}
	cmd.Flags().IntVarP(&newest, "newest", "n", newest, "how many of the newest decisions; 0: all that are kept")
	return look(cmd, &f, screenful{
		decisions: func() int {
			if newest == 0 {
				return allDecisions
			}
			return newest
		},
		data:  func(r *peerv1.StatusReply) ([]byte, error) { return message(r, "node", "decisions") },
		table: func(s *screen.Screen, r *peerv1.StatusReply) { view.Why(s, r, f.wide(), time.Now()) },
	})
}
