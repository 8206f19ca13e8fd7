package client

import (
	"context"
	"encoding/json"
	"fmt"
)

// Cordoned reports whether the Node of that name takes no new pods. The read is
// linearizable. It knows no more of a Node than that: an agent needs none of the
// types of the core group.
func (c *Client) Cordoned(ctx context.Context, node string) (bool, error) {
	if node == "" {
		return false, fmt.Errorf("get node: no name")
	}
	data, err := c.api.Get().AbsPath("/api/v1/nodes", node).Do(ctx).Raw()
	if err != nil {
		return false, err
	}
	var n struct {
		Kind     string
		Metadata struct{ Name string }
		Spec     struct{ Unschedulable bool }
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return false, fmt.Errorf("parse node %s: %w", node, err)
	}
	if n.Kind != "Node" || n.Metadata.Name != node {
		return false, fmt.Errorf("get node %s: the API server answered with %s %q", node, n.Kind, n.Metadata.Name)
	}
	return n.Spec.Unschedulable, nil
}
