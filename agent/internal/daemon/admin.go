package daemon

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"

	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
)

// AdminSocket is where the agent whose run directory this is serves the CLI.
func AdminSocket(run string) string { return filepath.Join(run, "agent.sock") }

// admin serves the CLI of the same node. Only root, or whoever runs the agent,
// can open its socket.
type admin struct {
	peerv1.UnimplementedAdminServer
	d *Daemon
}

// serveAdmin serves until ctx ends. The agent works without it.
func (d *Daemon) serveAdmin(ctx context.Context) {
	path := AdminSocket(d.config.run())
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Warn("no CLI on this node: remove the old admin socket", "err", err)
		return
	}
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		d.log.Warn("no CLI on this node: open the admin socket", "err", err)
		return
	}
	server := grpc.NewServer()
	peerv1.RegisterAdminServer(server, &admin{d: d})
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		d.log.Warn("the admin socket broke", "err", err)
	}
}
