package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/picket-dev/picket/agent/internal/view"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// devicesPatience bounds the call: a look at a host on which everything hangs takes
// some seconds, and so does an API that does not answer.
const devicesPatience = 25 * time.Second

func devicesCommand() *cobra.Command {
	var f flags
	plan := false
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "Show what this node has of volumes, whose each device is, and what would be done about it",
		Long: "Shows the block devices, iSCSI sessions and mounts of this host as a tree, from the bottom: whose\n" +
			"each is, which volume, claim and pods it belongs to, and whether it may stay. Stale is what\n" +
			"belongs to a volume that has moved; Stuck, what can be neither left nor torn down. Only what is\n" +
			"proven to be a volume of Kubernetes, and nothing else, is ever touched.\n" +
			"--plan shows, step by step and with the reason, what a teardown would do here and now. Nothing\n" +
			"is done. While the API is down it is not known what may stay, and the screen says so.\n" +
			"Exit code: 0 nothing is wrong, 1 something is, or is not known, 3 could not ask.",
		Example: "  picket-agent devices\n" +
			"  picket-agent devices --plan\n" +
			"  picket-agent devices -o wide          # the host's own devices, and whole paths\n" +
			"  picket-agent devices -o json | jq '.. | objects | select(.standing == \"Stale\")'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			r, err := askDevices(cmd.Context(), f.run)
			if err != nil {
				return err
			}
			err = f.render(cmd.OutOrStdout(), func() ([]byte, error) { return devicesData(r, plan) }, func(s *screen.Screen) {
				view.Devices(s, r, f.wide())
				if plan {
					view.Plan(s, r)
				}
			})
			if err != nil {
				return err
			}
			return exit(view.JudgeDevices(r))
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&plan, "plan", false, "show what a teardown would do, and why")
	return cmd
}

// devicesData is the answer; without the plan where nobody asked for it.
func devicesData(r *peerv1.DevicesReply, plan bool) ([]byte, error) {
	fields := []string{
		"node", "bootId", "fencedBoot", "rejoin", "storage", "storageMessage", "attachedKnown", "attachedError", "items", "unread", "stuck",
		"last", "lookTook", "askTook", "worstLoopDelay",
	}
	if plan {
		fields = nil
	}
	return message(r, fields...)
}

// askDevices has the agent look.
func askDevices(ctx context.Context, run string) (*peerv1.DevicesReply, error) {
	conn, err := dial(run)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, devicesPatience)
	defer cancel()
	r, err := peerv1.NewAdminClient(conn).Devices(ctx, &peerv1.DevicesRequest{})
	if grpcstatus.Code(err) == codes.DeadlineExceeded {
		return nil, fmt.Errorf("the agent has not looked at everything within %v: %s; try again, and see its log (%s, then kubectl -n picket logs POD)",
			devicesPatience, grpcstatus.Convert(err).Message(), where)
	}
	if err != nil {
		return nil, unanswered(err, devicesPatience)
	}
	return r, nil
}
