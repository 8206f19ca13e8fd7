package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// name is the driver's.
const name = "lab.picket.dev"

func main() {
	kubelet := flag.String("kubelet", "/var/lib/kubelet", "the kubelet's root directory")
	node := flag.String("node", "", "name of this node")
	flag.Parse()
	if err := serve(*kubelet, *node); err != nil {
		slog.Error("the driver ends", "err", err)
		os.Exit(1)
	}
}

// serve serves the kubelet until one of the two servers ends.
func serve(kubelet, node string) error {
	if node == "" {
		return errors.New("--node is required")
	}
	dir := filepath.Join(kubelet, "plugins", name)
	endpoint := filepath.Join(dir, "csi.sock")
	d := &driver{node: node, dir: dir}
	serving := grpc.NewServer()
	csi.RegisterIdentityServer(serving, d)
	csi.RegisterNodeServer(serving, d)
	registering := grpc.NewServer()
	registration.RegisterRegistrationServer(registering, registrar{endpoint: endpoint})

	ended := make(chan error, 2)
	// The kubelet calls the driver as soon as it sees the second socket.
	for _, one := range []struct {
		server *grpc.Server
		socket string
	}{{serving, endpoint}, {registering, filepath.Join(kubelet, "plugins_registry", name+"-reg.sock")}} {
		listener, err := listen(one.socket)
		if err != nil {
			return err
		}
		go func() { ended <- one.server.Serve(listener) }()
	}
	return <-ended
}

// listen takes over the socket of a driver that ran before.
func listen(socket string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return net.Listen("unix", socket)
}
