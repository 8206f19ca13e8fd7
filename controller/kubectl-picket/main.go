// Command kubectl-picket is the cluster-wide view of Picket from an admin's
// machine, as a plugin of kubectl: kubectl picket status.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/picket-dev/picket/controller/internal/plugin"
)

var version = "unknown" // set by the linker

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := plugin.Command(plugin.Env{Version: version, Getenv: os.Getenv, Sleep: sleep}).ExecuteContext(ctx)
	stop()
	code, say := plugin.ExitCode(err)
	if say {
		fmt.Fprintln(os.Stderr, "kubectl picket:", err)
	}
	os.Exit(code)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
