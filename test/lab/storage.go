package main

import (
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
}

// startStorage brings up target, proxy and collector. On an error the caller
// stops what there is.
func (l *lab) startStorage(ctx context.Context) (s *storage, err error) {
	s = &storage{volume: l.path("volume")}
	if err := iscsi.CreateVolume(ctx, s.volume, volumeSize); err != nil {
		return s, err
	}
	s.target, err = iscsi.StartTarget(ctx, iscsi.TargetConfig{
		Portal: portal(), IQN: targetIQN, Volumes: []string{s.volume}, Control: 7, Dir: l.opts.Dir,
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
	redirect.Stdin = strings.NewReader(iscsi.RedirectRules(portal(), proxyPort))
	if out, err := redirect.CombinedOutput(); err != nil {
		return s, fmt.Errorf("redirect the portal: %w: %s", err, out)
	}
	return s, s.collect(ctx)
}

// collect serves the collector on the cluster's network.
func (s *storage) collect(ctx context.Context) error {
	listener, err := listen(ctx, netip.AddrPortFrom(network.Cluster.Addr(network.Host), collectorPort))
	if err != nil {
		return err
	}
	s.server = &http.Server{Handler: &s.collector, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.server.Serve(listener) }() // until stop
	return nil
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
	o.Collector = fmt.Sprintf("http://%s", netip.AddrPortFrom(network.Cluster.Addr(network.Host), collectorPort))
	o.HostNetwork = true // pods' own addresses end at their node
	manifests, err := workload.Manifests(o)
	if err != nil {
		return err
	}
	return l.plane.Apply(ctx, manifests)
}

// inspect takes a snapshot of the volume, checks its file system, and returns
// the records in the workload's file; none if there is no file yet.
func (s *storage) inspect(ctx context.Context) ([]workload.Record, error) {
	dir, err := os.MkdirTemp("", "picket-lab-volume-")
	if err != nil {
		return nil, fmt.Errorf("inspect the volume: %w", err)
	}
	defer os.RemoveAll(dir)
	image, err := s.target.Snapshot(ctx, s.volume, dir)
	if err != nil {
		return nil, err
	}
	if err := image.Check(ctx); err != nil {
		return nil, err
	}
	file, err := image.File(ctx, "/records")
	if err != nil {
		return nil, err
	}
	contents, err := workload.Read(file)
	if err != nil {
		return nil, fmt.Errorf("the workload's records: %w", err)
	}
	return contents.Records, nil
}
