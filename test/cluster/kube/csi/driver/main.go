// Command driver is the CSI controller of the cluster tests.
//
// It publishes and unpublishes whatever it is asked to, after a fixed delay,
// and prints each call as one line of JSON with its raw monotonic time. It
// refuses nothing, on purpose: like Ceph RBD or iSCSI it would let two nodes
// have one volume, so that only the fence keeps them apart.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

func main() {
	socket := flag.String("socket", "", "path of the unix socket to serve on")
	name := flag.String("name", "", "name of the CSI driver")
	delay := flag.Duration("delay", 100*time.Millisecond, "time that a publish or unpublish takes")
	flag.Parse()
	if *socket == "" || *name == "" {
		log.Fatal("driver: --socket and --name are required")
	}
	if err := serve(*socket, &driver{name: *name, delay: *delay, log: json.NewEncoder(os.Stdout)}); err != nil {
		log.Fatalf("driver: %v", err)
	}
}

func serve(socket string, d *driver) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, d)
	csi.RegisterControllerServer(server, d)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, server.Stop)
	return server.Serve(listener)
}

// driver answers the calls that the external-attacher makes.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer
	name  string
	delay time.Duration

	mu  sync.Mutex
	log *json.Encoder
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: "1"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{Capabilities: []*csi.PluginCapability{{
		Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{
			Type: csi.PluginCapability_Service_CONTROLLER_SERVICE,
		}},
	}}}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (d *driver) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: []*csi.ControllerServiceCapability{{
		Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{
			Type: csi.ControllerServiceCapability_RPC_PUBLISH_UNPUBLISH_VOLUME,
		}},
	}}}, nil
}

func (d *driver) ControllerPublishVolume(ctx context.Context, r *csi.ControllerPublishVolumeRequest) (*csi.ControllerPublishVolumeResponse, error) {
	if err := d.work(ctx, "publish", r.GetVolumeId(), r.GetNodeId()); err != nil {
		return nil, err
	}
	return &csi.ControllerPublishVolumeResponse{}, nil
}

func (d *driver) ControllerUnpublishVolume(ctx context.Context, r *csi.ControllerUnpublishVolumeRequest) (*csi.ControllerUnpublishVolumeResponse, error) {
	if err := d.work(ctx, "unpublish", r.GetVolumeId(), r.GetNodeId()); err != nil {
		return nil, err
	}
	return &csi.ControllerUnpublishVolumeResponse{}, nil
}

// call is one line of the driver's log.
type call struct {
	Raw    int64  `json:"raw_ns"` // CLOCK_MONOTONIC_RAW at the end of the call
	Call   string `json:"call"`
	Volume string `json:"volume"`
	Node   string `json:"node"`
}

// work takes the time that a backend takes, then writes the call down.
func (d *driver) work(ctx context.Context, verb, volume, node string) error {
	select {
	case <-time.After(d.delay):
	case <-ctx.Done():
		return ctx.Err()
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC_RAW, &now); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Encode(call{Raw: now.Nano(), Call: verb, Volume: volume, Node: node})
}
