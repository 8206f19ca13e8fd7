package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/picket-dev/picket/test/lab/iscsi"
	"github.com/picket-dev/picket/test/lab/network"
	"github.com/picket-dev/picket/test/lab/workload"
)

const (
	targetIQN     = "iqn.2026-01.dev.picket.lab:volumes"
	initiatorIQN  = "iqn.2026-01.dev.picket.lab:" // and the node's name, as package seed writes it
	proxyPort     = 13260
	collectorPort = 8000
	volumeLUN     = 1
	volumeSize    = 256 << 20
)

// portal is the target's address, as the nodes use it.
func portal() netip.AddrPort { return netip.AddrPortFrom(network.Storage.Addr(network.Host), 3260) }

// secondPortal is the other path to the same targets.
func secondPortal() netip.AddrPort {
	return netip.AddrPortFrom(network.Storage.Addr(network.Second), portal().Port())
}

// storage is the volume, what writes down who wrote to it, and what hears of
// the workload on it.
type storage struct {
	volume    string // backing file
	target    *iscsi.Target
	log       *iscsi.Log
	logFile   *os.File // of the proxy's own words
	proxy     *iscsi.Proxy
	collector workload.Collector
	server    *http.Server
	volumes   int // made beside the first
}

// startStorage brings up target, proxy and collector. On an error the caller
// stops what there is.
func (l *lab) startStorage(ctx context.Context) (s *storage, err error) {
	s = &storage{volume: l.path("volume")}
	if err := iscsi.CreateVolume(ctx, s.volume, volumeSize); err != nil {
		return s, err
	}
	s.target, err = iscsi.StartTarget(ctx, iscsi.TargetConfig{
		Portal: portal(), Second: secondPortal(), IQN: targetIQN, Volumes: []string{s.volume}, Control: 7, Dir: l.opts.Dir,
	})
	if err != nil {
		return s, err
	}
	if s.log, err = iscsi.CreateLog(l.path("writes.log")); err != nil {
		return s, err
	}
	if s.logFile, err = os.Create(l.path("iscsi.log")); err != nil {
		return s, fmt.Errorf("log the storage: %w", err)
	}
	listener, err := listen(ctx, netip.AddrPortFrom(portal().Addr(), proxyPort))
	if err != nil {
		return s, err
	}
	s.proxy = iscsi.StartProxy(iscsi.ProxyConfig{
		Listener: listener, Log: s.log, Logger: slog.New(slog.NewTextHandler(s.logFile, nil)),
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", portal().String())
		},
	})
	redirect := exec.CommandContext(ctx, "nft", "-f", "-")
	redirect.Stdin = strings.NewReader(iscsi.RedirectRules(proxyPort, portal(), secondPortal()))
	if out, err := redirect.CombinedOutput(); err != nil {
		return s, fmt.Errorf("redirect the portal: %w: %s", err, out)
	}
	s.server, err = collect(ctx, &s.collector, collectorPort)
	return s, err
}

// collect serves a collector on the cluster's network.
func collect(ctx context.Context, c *workload.Collector, port uint16) (*http.Server, error) {
	listener, err := listen(ctx, netip.AddrPortFrom(network.Cluster.Addr(network.Host), port))
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: c, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // until it is closed
	return server, nil
}

// collectorURL is where pods reach a collector.
func collectorURL(port uint16) string {
	return fmt.Sprintf("http://%s", netip.AddrPortFrom(network.Cluster.Addr(network.Host), port))
}

func listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("listen for the nodes: %w", err)
	}
	return l, nil
}

// stop ends what was started.
func (s *storage) stop() error {
	var failed []error
	if s.server != nil {
		failed = append(failed, s.server.Close())
	}
	if s.proxy != nil {
		failed = append(failed, s.proxy.Close())
	}
	if s.target != nil {
		failed = append(failed, s.target.Stop(context.Background()))
	}
	if s.log != nil {
		failed = append(failed, s.log.Close(), s.logFile.Close())
	}
	return errors.Join(failed...)
}

// install starts the workload on the cluster.
func (s *storage) install(ctx context.Context, l *lab) error {
	o := workload.DefaultOptions()
	o.Image, o.Command = writerImage, "/writer"
	o.Portal, o.IQN, o.LUN = portal(), targetIQN, volumeLUN
	o.Collector = collectorURL(collectorPort)
	o.HostNetwork = true // pods' own addresses end at their node
	manifests, err := workload.Manifests(o)
	if err != nil {
		return err
	}
	return l.plane.Apply(ctx, manifests)
}

// inspect takes a snapshot of a volume, checks its file system, and returns the
// records in the workload's file, and how many pages of its stain, if it has one,
// carry the mark of which boot.
func (s *storage) inspect(ctx context.Context, volume string, stained bool) (records []workload.Record, stain map[string]int, err error) {
	dir, err := os.MkdirTemp("", "picket-lab-volume-")
	if err != nil {
		return nil, nil, fmt.Errorf("inspect the volume: %w", err)
	}
	defer os.RemoveAll(dir)
	image, err := s.target.Snapshot(ctx, volume, dir)
	if err != nil {
		return nil, nil, err
	}
	return read(ctx, image, stained)
}

// read checks a copy's file system, and reads what the workload wrote.
func read(ctx context.Context, image iscsi.Image, stained bool) (records []workload.Record, stain map[string]int, err error) {
	if err := image.Check(ctx); err != nil {
		return nil, nil, err
	}
	file, err := image.File(ctx, "/records")
	if err != nil {
		return nil, nil, err
	}
	contents, err := workload.Read(file)
	if err != nil {
		return nil, nil, fmt.Errorf("the workload's records: %w", err)
	}
	if !stained {
		return contents.Records, nil, nil
	}
	if file, err = image.File(ctx, workload.StainOf("/records")); err != nil {
		return contents.Records, nil, err
	}
	stain, err = workload.Stains(bytes.NewReader(file))
	return contents.Records, stain, err
}
