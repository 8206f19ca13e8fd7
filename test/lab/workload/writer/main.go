// Command writer is the container of the lab's StatefulSet: see package
// workload.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/picket-dev/picket/test/lab/workload"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "writer:", err)
		os.Exit(1)
	}
}

func run() error {
	path := flag.String("file", "/data/records", "file of records, on the volume, or a raw device")
	stain := flag.Int64("stain", 0, "bytes beside the records that are kept dirty")
	every := flag.Duration("every", 200*time.Millisecond, "time between two records")
	collector := flag.String("collector", "", "URL that acknowledgements go to")
	listen := flag.String("listen", ":8080", "address that serves /healthz")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()

	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	return workload.Run(ctx, workload.Config{
		Path: *path, Stain: *stain, Every: *every, Collector: *collector, Listener: listener, Out: os.Stdout,
		Writer: workload.Writer{
			Node: os.Getenv("NODE_NAME"), Boot: strings.TrimSpace(string(boot)),
			Pod: os.Getenv("POD_UID"), Run: rand.Text(),
		},
	})
}
