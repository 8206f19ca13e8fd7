package fleet

import (
	"context"
	"fmt"

	"github.com/picket-dev/picket/deploy"
	"github.com/picket-dev/picket/proto/api/client"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/test/cluster/controlplane"
)

// Namespace is where deploy/base puts Picket.
const Namespace = "picket"

// Install applies Picket's manifests, each in the order in which it must come.
func Install(ctx context.Context, plane *controlplane.Plane) error {
	definitions, err := deploy.CRDs()
	if err != nil {
		return err
	}
	base, err := deploy.Base()
	if err != nil {
		return err
	}
	for _, object := range append(definitions, base...) {
		if err := plane.Apply(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// SetPolicy creates the policy that puts a profile in force.
func SetPolicy(ctx context.Context, c *client.Client, spec v1alpha1.FencingPolicySpec) error {
	policy := &v1alpha1.FencingPolicy{Spec: spec}
	policy.Name = v1alpha1.PolicyName
	if _, err := c.FencingPolicies.Create(ctx, policy); err != nil {
		return fmt.Errorf("create the policy: %w", err)
	}
	return nil
}

// Token returns an agent's token, bound to its Node object.
func Token(ctx context.Context, plane *controlplane.Plane, node string) (string, error) {
	if err := plane.WaitServiceAccount(ctx, Namespace, "picket-agent"); err != nil {
		return "", err
	}
	return plane.TokenFor(ctx, Namespace, "picket-agent", node)
}
