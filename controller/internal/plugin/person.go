package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// errUnconfirmed says that the person did not confirm.
var errUnconfirmed = errors.New("not confirmed: nothing was done (--yes answers for you)")

// confirm asks the person, unless yes has answered already. Only the wanted word
// is a yes.
func confirm(c *cobra.Command, yes bool, question, want string) error {
	if yes {
		return nil
	}
	fmt.Fprintf(c.OutOrStdout(), "%s ", question)
	answer, err := bufio.NewReader(c.InOrStdin()).ReadString('\n')
	if strings.TrimSpace(answer) == want {
		return nil
	}
	if err != nil {
		fmt.Fprintln(c.OutOrStdout())
	}
	return errUnconfirmed
}

// maxRequester is the longest requester that a NodeFence holds.
const maxRequester = 256

// self returns who the API server takes this person for.
func (c *connection) self(ctx context.Context) string {
	r, err := c.kube.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || r.Status.UserInfo.Username == "" {
		return "kubectl picket" // who it was, the API server's audit log knows
	}
	name := r.Status.UserInfo.Username
	return name[:min(len(name), maxRequester)]
}
