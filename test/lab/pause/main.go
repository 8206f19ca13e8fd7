// Command pause holds a pod's namespaces open and does nothing else: the
// sandbox image of the lab's nodes, which have no registry to pull one from.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
