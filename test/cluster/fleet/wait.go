package fleet

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// Eventually asks at that pace until the answer is nil, or returns the last
// answer after the time.
func Eventually(ctx context.Context, within, pace time.Duration, what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v: %w", what, within, err)
		}
	}
}

// NewestFence returns the newest NodeFence of a node.
func NewestFence(ctx context.Context, c *client.Client, node string) (*v1alpha1.NodeFence, error) {
	list, err := c.NodeFences.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var newest *v1alpha1.NodeFence
	for i := range list.Items {
		f := &list.Items[i]
		if f.Status.Node == node && (newest == nil || newest.CreationTimestamp.Before(&f.CreationTimestamp)) {
			newest = f
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("no fence of %s", node)
	}
	return newest, nil
}
