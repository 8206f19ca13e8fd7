package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// driver answers the kubelet.
type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	node string
	dir  string

	mu sync.Mutex // one volume at a time: the tools share what they work on
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: name, VendorVersion: "1"}, nil
}

func (d *driver) GetPluginCapabilities(context.Context, *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node}, nil
}

func (d *driver) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{Capabilities: []*csi.NodeServiceCapability{{
		Type: &csi.NodeServiceCapability_Rpc{Rpc: &csi.NodeServiceCapability_RPC{
			Type: csi.NodeServiceCapability_RPC_STAGE_UNSTAGE_VOLUME,
		}},
	}}}, nil
}

// told turns an error into one of gRPC's, and writes it down.
func told(call, volume string, err error) error {
	if err == nil {
		slog.Info("done", "call", call, "volume", volume)
		return nil
	}
	slog.Error("not done", "call", call, "volume", volume, "err", err)
	return status.Error(codes.Internal, err.Error())
}

func (d *driver) NodeStageVolume(ctx context.Context, r *csi.NodeStageVolumeRequest) (*csi.NodeStageVolumeResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, err := parseVolume(r.GetVolumeId(), r.GetVolumeContext())
	if err == nil {
		err = d.save(v)
	}
	if err == nil {
		err = v.stage(ctx, r.GetStagingTargetPath(), r.GetVolumeCapability().GetBlock() != nil)
	}
	return &csi.NodeStageVolumeResponse{}, told("stage", r.GetVolumeId(), err)
}

func (d *driver) NodeUnstageVolume(ctx context.Context, r *csi.NodeUnstageVolumeRequest) (*csi.NodeUnstageVolumeResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, err := d.load(r.GetVolumeId())
	if errors.Is(err, os.ErrNotExist) {
		return &csi.NodeUnstageVolumeResponse{}, nil // it was unstaged before
	}
	if err == nil {
		err = v.unstage(ctx, r.GetStagingTargetPath())
	}
	if err == nil {
		err = os.Remove(d.file(v.Handle))
	}
	return &csi.NodeUnstageVolumeResponse{}, told("unstage", r.GetVolumeId(), err)
}

func (d *driver) NodePublishVolume(ctx context.Context, r *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	v, err := d.load(r.GetVolumeId())
	target := r.GetTargetPath()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(target), 0o750)
	}
	switch {
	case err != nil:
	case r.GetVolumeCapability().GetBlock() != nil:
		err = v.publishNode(ctx, target)
	default:
		err = bindDirectory(ctx, v.mounted(r.GetStagingTargetPath()), target)
	}
	return &csi.NodePublishVolumeResponse{}, told("publish", r.GetVolumeId(), err)
}

func (d *driver) NodeUnpublishVolume(ctx context.Context, r *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	err := unmount(ctx, r.GetTargetPath())
	if err == nil {
		err = os.Remove(r.GetTargetPath())
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return &csi.NodeUnpublishVolumeResponse{}, told("unpublish", r.GetVolumeId(), err)
}
