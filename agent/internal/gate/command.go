package gate

import (
	"log/slog"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/systemd/notify"
)

// Command returns `picket-agent gate`. It fails for settings that cannot work,
// and for nothing else: the kubelet starts whatever the gate found.
func Command() *cobra.Command {
	c := Default()
	cmd := &cobra.Command{
		Use:   "gate",
		Short: "Hold the kubelet back while the fence of the previous boot is undecided",
		Long: `Hold the kubelet back while the fence of the node's previous boot is undecided.

picket-gate.service runs this before the kubelet. It asks the API server for the
node's own taints, with the kubelet's credentials, and returns as soon as the
kubelet may start: at once on a node that is not fenced. A fence that is undecided
it answers: it writes the new boot's ID into the node's status, as the kubelet
would, which ends the fence. Every wait is bounded, and nothing that it finds keeps
the kubelet from starting in the end.

  systemctl status picket-gate         what it waits for, and for how long yet
  systemctl stop picket-gate           start the kubelet now
  systemctl mask picket-gate           never hold it again`,
		Example: "  picket-agent gate\n" +
			"  picket-agent gate --node worker-1 --server https://10.0.0.1:6443 --bound 90s\n" +
			"  picket-agent gate --kubeconfig /opt/kubelet/kubeconfig --silence 5s",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.Validate(); err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			klog.SetSlogLogger(log)
			machine, err := host.ReadIdentity(host.Config{Root: "/"})
			if err != nil {
				log.Error("letting the kubelet start: this boot has no ID to compare with", "err", err)
				return nil
			}
			ctx, cancel := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer cancel()
			New(c, machine, log, func(line string) {
				_ = notify.Status(line) // a person runs it: there is no manager to tell
			}).Run(ctx)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&c.Node, "node", c.Node, "the node's name (default: the one in the kubelet's certificate, else the host's)")
	f.StringSliceVar(&c.Kubeconfigs, "kubeconfig", c.Kubeconfigs, "the kubelet's kubeconfig: the first of these that exists")
	f.StringSliceVar(&c.Servers, "server", c.Servers, "URL of an API server to ask before the kubeconfig's own; may be repeated")
	f.DurationVar(&c.Bound, "bound", c.Bound, "the longest hold")
	f.DurationVar(&c.Silence, "silence", c.Silence, "the longest hold without an answer about the node")
	f.DurationVar(&c.LocalSilence, "local-silence", c.LocalSilence, "the same where the API has a loopback address")
	return cmd
}
