package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/picket-dev/picket/controller/internal/kube"
	"github.com/picket-dev/picket/controller/internal/uninstall"
)

// errTooLong ends an uninstall that does not get on.
var errTooLong = errors.New("the time is over: what is said above is in the way; mend it and run this again, " +
	"or set the FencingPolicy's mode back to have the nodes guarded again")

// requestLimit bounds each request of an uninstall.
const requestLimit = 30 * time.Second

// uninstallCommand takes Picket off the cluster; `helm uninstall` runs it.
func uninstallCommand() *cobra.Command {
	o := uninstall.Default()
	var kubeconfig string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "Take Picket off all nodes, and then off the cluster",
		Long: `uninstall lets every node become unarmed and every agent clean its host; then it
stops the agents and the controller, lifts Picket's taints and deletes its
objects. Nobody resets on the way. What is then left of Picket in the cluster,
roles and the like, can be deleted in any order.

It stops where a node cannot become unarmed, or was fenced and is not rid of the
volumes that have moved, and says why; and where somebody sets the policy's mode
back. To run it again goes on from there.`,
		Example: `  helm uninstall picket                # runs it, in a Job of its own
  kubectl apply -f uninstall.yaml      # the same without Helm
  picket-controller uninstall --kubeconfig ~/.kube/config`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			klog.SetSlogLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
			cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return fmt.Errorf("find the API server (give --kubeconfig outside of a cluster): %w", err)
			}
			cfg.UserAgent = "picket-uninstall/" + version
			if o.Kube, o.Picket, err = kube.Connect(cfg, requestLimit); err != nil {
				return err
			}
			o.Out = c.OutOrStdout()
			ctx, cancel := context.WithTimeoutCause(c.Context(), timeout, errTooLong)
			defer cancel()
			return uninstall.Run(ctx, o)
		},
	}
	f := c.Flags()
	f.StringVar(&kubeconfig, "kubeconfig", "", "file that names the API server and credentials; empty: those of the pod")
	f.StringVar(&o.Namespace, "namespace", o.Namespace, "namespace of Picket's pods and of the leader lease")
	f.StringVar(&o.Lease, "lease-name", o.Lease, "name of the leader lease")
	f.DurationVar(&o.Patience, "patience", o.Patience, "how long an unarmed node may take to clean its host")
	f.DurationVar(&timeout, "timeout", 270*time.Second, "how long all of it may take")
	return c
}
