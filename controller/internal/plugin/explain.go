package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// errNotInstalled says that the API server does not know Picket's objects.
var errNotInstalled = errors.New("Picket is not installed in this cluster: its CRDs are missing; install them with the release's manifests (kubectl apply -k deploy/base), or look whether --context is the right cluster") //nolint:staticcheck // a name begins it

// explain says what a person can do about an error of the API server.
func (c *connection) explain(err error) error {
	var status apierrors.APIStatus
	var network net.Error
	var address *url.Error
	switch {
	case errors.Is(err, errNotInstalled):
		return err
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%s does not accept your credentials: %w; log in again, or choose another --context", c.host, err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w\nWhoever administers the cluster can bind you to a ClusterRole of Picket's: picket-viewer to look, picket-requester to ask for fences, picket-prover to confirm that a machine is off, picket-operator to pause", err)
	case apierrors.IsConflict(err):
		return fmt.Errorf("somebody else changed it at the same moment: %w; look at it, and try again", err)
	case errors.As(err, &status):
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network), errors.As(err, &address):
		return fmt.Errorf("the API server %s does not answer: %w; a node tells how it stands without it: picket-agent status", c.host, err)
	}
	return err
}

// installed turns the answer to a list of Picket's objects into errNotInstalled
// where the API server does not know the kind.
func installed(err error) error {
	if apierrors.IsNotFound(err) {
		return errNotInstalled
	}
	return err
}
