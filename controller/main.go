// Command picket-controller fences nodes: it decides by the rules C1 to C12 of
// PROTOCOL.md which boot loses its right to run, waits until that is proven, and
// only then lets Kubernetes move the node's volumes and pods.
//
// Run two replicas: one leads, the other follows within seconds.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/picket-dev/picket/controller/internal/clock"
	"github.com/picket-dev/picket/controller/internal/kube"
	"github.com/picket-dev/picket/controller/internal/lead"
	"github.com/picket-dev/picket/controller/internal/metrics"
	"github.com/picket-dev/picket/controller/plan"
)

var version = "unknown" // set by the linker

// electionLimit bounds each request about the leader lease, so that one which
// hangs does not cost the lease.
const electionLimit = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "picket-controller:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	kubeconfig, namespace, lease, identity string
	address, domainLabel, rackLabel        string
	logLevel                               slog.Level
}

func command() *cobra.Command {
	o := options{}
	c := &cobra.Command{
		Use:   "picket-controller",
		Short: "Fence Kubernetes nodes, by proof and without a BMC",
		Long: `picket-controller decides which node loses its right to run, waits until it
provably cannot write any more, and only then lets Kubernetes move its volumes
and pods. Of several replicas one leads; a replica that loses the lease ends.`,
		Example: `  # In a cluster, with the pod's own ServiceAccount:
  picket-controller --namespace picket --health-address :8080

  # On an admin's machine, against the cluster of a kubeconfig:
  picket-controller --kubeconfig ~/.kube/config --log-level debug

  # Racks rather than zones fail as a whole:
  picket-controller --failure-domain-label example.org/rack`,
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return run(c.Context(), o) },
	}
	f := c.Flags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "file that names the API server and credentials; empty: those of the pod")
	f.StringVar(&o.namespace, "namespace", "picket", "namespace of the leader lease")
	f.StringVar(&o.lease, "lease-name", "picket-controller", "name of the leader lease")
	f.StringVar(&o.identity, "identity", "", "name of this replica in the lease; empty: host name and a random word")
	f.StringVar(&o.address, "health-address", "", "where to serve /metrics, /healthz and /readyz; empty: nowhere")
	f.StringVar(&o.domainLabel, "failure-domain-label", kube.DefaultDomainLabel, "node label whose value is the failure domain")
	f.StringVar(&o.rackLabel, "rack-label", kube.DefaultRackLabel, "node label whose value names the rack, for people")
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	c.AddCommand(uninstallCommand())
	return c
}

func run(ctx context.Context, o options) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel}))
	slog.SetDefault(log)
	klog.SetSlogLogger(log)
	if o.identity == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("name this replica (or give --identity): %w", err)
		}
		o.identity = host + "-" + rand.Text()[:8]
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("find the API server (give --kubeconfig outside of a cluster): %w", err)
	}
	cfg.UserAgent = "picket-controller/" + version
	counts := metrics.New()
	cfg.Wrap(counts.Transport)
	clients, picket, err := kube.Connect(cfg, 0)
	if err != nil {
		return err
	}
	leases, _, err := kube.Connect(cfg, electionLimit)
	if err != nil {
		return err
	}
	events := record.NewBroadcaster()
	defer events.Shutdown()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: clients.CoreV1().Events("")})

	api := kube.New(kube.Config{
		Kube:        clients,
		Picket:      picket,
		Recorder:    events.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: "picket-controller"}),
		Log:         log,
		DomainLabel: o.domainLabel,
		RackLabel:   o.rackLabel,
		Now:         clock.Now,
		Wall:        time.Now,
	})
	loop := &lead.Loop{
		Planner: plan.New(plan.Config{NewID: rand.Text}),
		API:     api,
		Urgent:  api.Urgent(),
		Now:     clock.Now,
		Metrics: counts,
		Log:     log,
	}
	election := lead.Election{
		Leases: leases.CoordinationV1(), Namespace: o.namespace, Name: o.lease, Identity: o.identity, Log: log,
	}
	log.Info("picket-controller started", "version", version, "self", o.identity)
	return serve(ctx, o.address, api, counts, election, loop)
}

// serve runs all parts until ctx ends or the lease is lost. A standby has its
// caches warm before it stands for election.
func serve(ctx context.Context, address string, api *kube.API, counts *metrics.Metrics, election lead.Election, loop *lead.Loop) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all errgroup.Group
	all.Go(func() error {
		api.Watch(ctx)
		return nil
	})
	if address != "" {
		all.Go(func() error {
			defer stop()
			return counts.Serve(ctx, address, loop.Stuck, func() error {
				if !api.Synced() {
					return errors.New("the caches are not filled yet")
				}
				return nil
			})
		})
	}
	all.Go(func() error {
		defer stop()
		if api.WaitForSync(ctx) != nil {
			return nil // asked to end before it began
		}
		return election.Run(ctx, func(ctx context.Context, leading func() error) {
			counts.Leading(true)
			loop.Leading = leading
			var parts errgroup.Group
			parts.Go(func() error { loop.Run(ctx); return nil })
			parts.Go(func() error { api.Attend(ctx); return nil })
			_ = parts.Wait() // neither returns an error
			counts.Leading(false)
		})
	})
	return all.Wait()
}
