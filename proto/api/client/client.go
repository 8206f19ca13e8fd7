package client

import (
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// A Client gives access to each kind of the group at one API server. It is
// safe for concurrent use.
type Client struct {
	Rolls              *Rolls
	NodeGuards         *NodeGuards
	NodeFences         *NodeFences
	NodeFenceTemplates *NodeFenceTemplates
	FencingPolicies    *FencingPolicies

	api rest.Interface
}

// The kinds of the group.
type (
	// Rolls reads and writes the objects of that kind.
	Rolls = Objects[v1alpha1.Roll, v1alpha1.RollList, *v1alpha1.Roll, *v1alpha1.RollList]
	// NodeGuards reads and writes the objects of that kind.
	NodeGuards = Objects[v1alpha1.NodeGuard, v1alpha1.NodeGuardList, *v1alpha1.NodeGuard, *v1alpha1.NodeGuardList]
	// NodeFences reads and writes the objects of that kind.
	NodeFences = Objects[v1alpha1.NodeFence, v1alpha1.NodeFenceList, *v1alpha1.NodeFence, *v1alpha1.NodeFenceList]
	// NodeFenceTemplates reads and writes the objects of that kind.
	NodeFenceTemplates = Objects[v1alpha1.NodeFenceTemplate, v1alpha1.NodeFenceTemplateList, *v1alpha1.NodeFenceTemplate, *v1alpha1.NodeFenceTemplateList]
	// FencingPolicies reads and writes the objects of that kind.
	FencingPolicies = Objects[v1alpha1.FencingPolicy, v1alpha1.FencingPolicyList, *v1alpha1.FencingPolicy, *v1alpha1.FencingPolicyList]
)

// New returns a client of the API server that cfg names. It takes host and user
// agent from cfg, and transport and credentials from httpClient; only if that
// is nil it makes one from cfg. It does not connect.
func New(cfg *rest.Config, httpClient *http.Client) (*Client, error) {
	if httpClient == nil {
		var err error
		if httpClient, err = rest.HTTPClientFor(cfg); err != nil {
			return nil, fmt.Errorf("transport to %s: %w", cfg.Host, err)
		}
	}
	scheme, err := Scheme()
	if err != nil {
		return nil, err
	}
	codecs := serializer.NewCodecFactory(scheme)
	cfg = rest.CopyConfig(cfg)
	cfg.GroupVersion = &v1alpha1.GroupVersion
	cfg.APIPath = "/apis"
	cfg.NegotiatedSerializer = codecs.WithoutConversion()
	cfg.ContentType = runtime.ContentTypeJSON
	cfg.AcceptContentTypes = runtime.ContentTypeJSON
	cfg.QPS = -1
	if cfg.UserAgent == "" {
		cfg.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	api, err := rest.RESTClientForConfigAndClient(cfg, httpClient)
	if err != nil {
		return nil, fmt.Errorf("client of %s: %w", cfg.Host, err)
	}
	params := runtime.NewParameterCodec(scheme)
	return &Client{
		Rolls:              &Rolls{api, params, "rolls"},
		NodeGuards:         &NodeGuards{api, params, "nodeguards"},
		NodeFences:         &NodeFences{api, params, "nodefences"},
		NodeFenceTemplates: &NodeFenceTemplates{api, params, "nodefencetemplates"},
		FencingPolicies:    &FencingPolicies{api, params, "fencingpolicies"},
		api:                api,
	}, nil
}

// Scheme returns a new scheme that knows the types of the group, and those in
// which an API server answers.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("scheme of %s: %w", v1alpha1.GroupVersion, err)
	}
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	return scheme, nil
}
