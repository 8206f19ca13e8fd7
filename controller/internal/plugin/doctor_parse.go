package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/doctor"
	"github.com/picket-dev/picket/deploy"
)

// podOf keeps what is judged of a pod.
func podOf(p *corev1.Pod) doctor.Pod {
	d := doctor.Pod{
		Namespace: p.Namespace, Name: p.Name, Node: p.Spec.NodeName, Tolerations: p.Spec.Tolerations,
		Retained: p.Annotations["picket.dev/on-fence"] == "retain",
	}
	_, d.Static = p.Annotations[corev1.MirrorPodAnnotationKey]
	for _, o := range p.OwnerReferences {
		d.DaemonSet = d.DaemonSet || o.Kind == "DaemonSet"
	}
	for _, v := range p.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			d.Claims = append(d.Claims, v.PersistentVolumeClaim.ClaimName)
		case v.Ephemeral != nil:
			d.Claims = append(d.Claims, p.Name+"-"+v.Name)
		case v.ISCSI != nil:
			d.Direct = append(d.Direct, "iscsi")
		case v.FC != nil:
			d.Direct = append(d.Direct, "fc")
		}
	}
	if !d.Static {
		return d
	}
	for _, c := range p.Spec.Containers {
		d.Images = append(d.Images, c.Image)
		for _, word := range append(append([]string{}, c.Command...), c.Args...) {
			d.Words = append(d.Words, strings.Fields(word)...) // a shell's script is one word
		}
	}
	return d
}

// readWebhooks puts both kinds of webhooks into one list.
func (x *examiner) readWebhooks(ctx context.Context) error {
	api := x.kube.AdmissionregistrationV1()
	validating, err := api.ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	mutating, err := api.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, c := range validating.Items {
		for i, h := range c.Webhooks {
			if err := x.addWebhook("validatingwebhookconfiguration", c.Name, i, h); err != nil {
				return err
			}
		}
	}
	for _, c := range mutating.Items {
		for i, h := range c.Webhooks {
			if err := x.addWebhook("mutatingwebhookconfiguration", c.Name, i, asked(h)); err != nil {
				return err
			}
		}
	}
	return nil
}

// asked is of a mutating webhook what says when it is asked, and who answers: as in
// one that validates.
func asked(h admissionv1.MutatingWebhook) admissionv1.ValidatingWebhook {
	return admissionv1.ValidatingWebhook{
		Name: h.Name, ClientConfig: h.ClientConfig, Rules: h.Rules, FailurePolicy: h.FailurePolicy,
		NamespaceSelector: h.NamespaceSelector, ObjectSelector: h.ObjectSelector, MatchConditions: h.MatchConditions,
		TimeoutSeconds: h.TimeoutSeconds,
	}
}

// defaultTimeout is that of a webhook which names none.
const defaultTimeout = 10 * time.Second

// addWebhook keeps what is judged of the webhook that stands in its configuration
// under that index.
func (x *examiner) addWebhook(resource, config string, index int, h admissionv1.ValidatingWebhook) error {
	w := doctor.Webhook{
		Resource: resource, Config: config, Index: index, Name: h.Name, Service: h.ClientConfig.Service,
		FailurePolicy: h.FailurePolicy, Rules: h.Rules, Conditions: len(h.MatchConditions), Timeout: defaultTimeout,
	}
	if h.TimeoutSeconds != nil {
		w.Timeout = time.Duration(*h.TimeoutSeconds) * time.Second
	}
	var err error
	if w.Namespaces, err = doctor.NewSelector(h.NamespaceSelector); err != nil {
		return fmt.Errorf("namespaceSelector of %s: %w", h.Name, err)
	}
	if w.Objects, err = doctor.NewSelector(h.ObjectSelector); err != nil {
		return fmt.Errorf("objectSelector of %s: %w", h.Name, err)
	}
	x.facts.Webhooks = append(x.facts.Webhooks, w)
	return nil
}

// judged says of a kind of Picket's own objects where it is served, and which parts
// of its spec count; none: that it is there.
func judged(kind string) (path string, parts []string) {
	switch kind {
	case "CustomResourceDefinition":
		return "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/", []string{"scope", "versions"}
	case "ValidatingAdmissionPolicy":
		return "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/", []string{"failurePolicy", "matchConstraints", "matchConditions", "validations"}
	case "ValidatingAdmissionPolicyBinding":
		return "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/", []string{"policyName", "validationActions"}
	case "FlowSchema":
		return "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/", nil
	case "PriorityLevelConfiguration":
		return "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/", nil
	}
	return "", nil
}

// readObjects reads Picket's own objects, those that this version comes with.
func (x *examiner) readObjects(ctx context.Context) error {
	if !x.facts.Installed {
		return nil
	}
	crds, err := deploy.CRDs()
	if err != nil {
		return err
	}
	base, err := deploy.Base()
	if err != nil {
		return err
	}
	for _, text := range append(crds, base...) {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     map[string]any
		}
		// The manifests are those of an installation in the namespace picket.
		text := strings.ReplaceAll(string(text), "system:serviceaccount:picket:", "system:serviceaccount:"+x.options.namespace+":")
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			return fmt.Errorf("own manifests: %w", err)
		}
		path, parts := judged(o.Kind)
		if path == "" {
			continue
		}
		want := make(map[string]any)
		for _, p := range parts {
			want[p] = o.Spec[p]
		}
		own := doctor.Object{Kind: o.Kind, Name: o.Metadata.Name, Want: want}
		raw, err := x.kube.Discovery().RESTClient().Get().AbsPath(path + own.Name).Do(ctx).Raw()
		switch {
		case err == nil:
			var live struct{ Spec any }
			if err := json.Unmarshal(raw, &live); err != nil {
				return fmt.Errorf("parse %s %s: %w", own.Kind, own.Name, err)
			}
			own.Live = live.Spec
		case !apierrors.IsNotFound(err):
			return err
		}
		x.facts.Objects = append(x.facts.Objects, own)
	}
	return nil
}

const (
	// kubeletSample bounds how many kubelets are asked: they are mostly alike.
	kubeletSample = 50
	// kubeletsAtOnce is how many at a time, kubeletWithin how long each may take.
	kubeletsAtOnce = 8
	kubeletWithin  = 3 * time.Second
)

// readKubelets asks kubelets for their configuration, by way of the API server. A
// kubelet that does not answer is left out.
func (x *examiner) readKubelets(ctx context.Context) error {
	var all errgroup.Group
	all.SetLimit(kubeletsAtOnce)
	var mu sync.Mutex
	for i := range x.facts.Snapshot.Nodes[:min(kubeletSample, len(x.facts.Snapshot.Nodes))] {
		name := x.facts.Snapshot.Nodes[i].Name
		all.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, kubeletWithin)
			defer cancel()
			raw, err := x.kube.CoreV1().RESTClient().Get().Resource("nodes").Name(name).SubResource("proxy").Suffix("configz").Do(ctx).Raw()
			if apierrors.IsForbidden(err) {
				return err
			}
			if err != nil {
				return nil // one kubelet that is away says nothing about the cluster
			}
			k, err := parseKubelet(raw)
			if err != nil {
				return nil // nor does one that says something else
			}
			mu.Lock()
			defer mu.Unlock()
			x.facts.Kubelets[name] = k
			return nil
		})
	}
	return all.Wait()
}

// parseKubelet reads a kubelet's answer to configz.
func parseKubelet(raw []byte) (doctor.Kubelet, error) {
	var c struct {
		KubeletConfig *struct {
			NodeStatusUpdateFrequency metav1.Duration `json:"nodeStatusUpdateFrequency"`
			NodeLeaseDurationSeconds  int32           `json:"nodeLeaseDurationSeconds"`
			ShutdownGracePeriod       metav1.Duration `json:"shutdownGracePeriod"`
		} `json:"kubeletconfig"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return doctor.Kubelet{}, err
	}
	if c.KubeletConfig == nil {
		return doctor.Kubelet{}, fmt.Errorf("it holds no kubeletconfig")
	}
	return doctor.Kubelet{
		StatusEvery:   c.KubeletConfig.NodeStatusUpdateFrequency.Duration,
		LeaseDuration: time.Duration(c.KubeletConfig.NodeLeaseDurationSeconds) * time.Second,
		ShutdownGrace: c.KubeletConfig.ShutdownGracePeriod.Duration,
	}, nil
}
