package controlplane

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeTokens makes the administrator's and the kubelets' static tokens.
func (p *Plane) writeTokens() error {
	p.adminToken = rand.Text()
	p.nodeTokens = make(map[string]string, len(p.opts.Nodes))
	var csv strings.Builder
	fmt.Fprintf(&csv, "%s,admin,admin,system:masters\n", p.adminToken)
	for _, node := range p.opts.Nodes {
		p.nodeTokens[node] = rand.Text()
		fmt.Fprintf(&csv, "%s,system:node:%s,%s,system:nodes\n", p.nodeTokens[node], node, node)
	}
	return os.WriteFile(p.path("tokens.csv"), []byte(csv.String()), 0o600)
}

// NodeToken is the kubelet's token of a node named in Options.Nodes, empty for
// others.
func (p *Plane) NodeToken(node string) string { return p.nodeTokens[node] }

// TokenFor asks for a token of a ServiceAccount that is bound to a Node, as a
// pod on that node gets it: the user's extra field
// authentication.kubernetes.io/node-name names the node, and the token dies
// with the Node object. With an empty node it is bound to nothing. It is valid
// for a day.
func (p *Plane) TokenFor(ctx context.Context, namespace, account, node string) (string, error) {
	seconds := int64((24 * time.Hour).Seconds())
	request := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if node != "" {
		object, err := p.client.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("bind a token of %s/%s: %w", namespace, account, err)
		}
		request.Spec.BoundObjectRef = &authv1.BoundObjectReference{
			Kind: "Node", APIVersion: "v1", Name: object.Name, UID: object.UID,
		}
	}
	reply, err := p.client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request a token of %s/%s on node %q: %w", namespace, account, node, err)
	}
	return reply.Status.Token, nil
}

// WaitServiceAccount waits until the controller manager has made an account;
// pods of a namespace are refused before its default account exists.
func (p *Plane) WaitServiceAccount(ctx context.Context, namespace, name string) error {
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := p.client.CoreV1().ServiceAccounts(namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("wait for service account %s/%s: %w", namespace, name, err)
	}
	return nil
}

// writeKubeconfig writes the administrator's kubeconfig.
func (p *Plane) writeKubeconfig() error {
	return p.WriteKubeconfig(p.Kubeconfig(), p.URL(), p.adminToken)
}

// WriteKubeconfig writes a kubeconfig for a bearer token, at the API server's
// URL or at that of a proxy in front of it.
func (p *Plane) WriteKubeconfig(path, url, token string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["lab"] = &clientcmdapi.Cluster{Server: url, CertificateAuthorityData: p.ca.PEM()}
	config.AuthInfos["lab"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["lab"] = &clientcmdapi.Context{Cluster: "lab", AuthInfo: "lab"}
	config.CurrentContext = "lab"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
