package doctor

import (
	"cmp"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
)

// Facts are what there is to judge of a cluster. What could not be read is empty,
// and named in Gaps.
type Facts struct {
	// Cluster is how the cluster is reached, Namespace where Picket is.
	Cluster, Namespace string
	// Installed says that the API server knows Picket's objects.
	Installed bool
	// Snapshot is how Picket itself stands.
	Snapshot *view.Snapshot
	// Server is the API server's version.
	Server      string
	Pods        []Pod
	Volumes     []corev1.PersistentVolume
	Drivers     []storagev1.CSIDriver
	Webhooks    []Webhook
	Slices      []discoveryv1.EndpointSlice
	Namespaces  []corev1.Namespace
	DaemonSets  []appsv1.DaemonSet
	Deployments []appsv1.Deployment // those of Picket's namespace
	// Objects are what an installation consists of beside what runs.
	Objects []Object
	// Kubelets are their configurations, by node: those that could be read.
	Kubelets map[string]Kubelet
	// Reads are reads of the Roll that were made one after the other, all of them
	// after the Snapshot's.
	Reads []v1alpha1.Roll
	Gaps  []Gap
}

// The kinds of reads, as a Gap names them.
const (
	ReadGuards     = "nodeguards"
	ReadNodes      = "nodes"
	ReadLeases     = "leases"
	ReadVersion    = "version"
	ReadPods       = "pods"
	ReadVolumes    = "persistentvolumes"
	ReadDrivers    = "csidrivers"
	ReadWebhooks   = "webhooks"
	ReadSlices     = "endpointslices"
	ReadNamespaces = "namespaces"
	ReadDaemonSets = "daemonsets"
	ReadDeployment = "deployments"
	ReadObjects    = "manifests"
	ReadKubelets   = "nodes/proxy"
)

// A Gap is a kind of object that could not be read.
type Gap struct {
	// Kind is one of the Read constants.
	Kind string
	// Needs is the right that it takes, as in "list pods"; Why is the API's word.
	Needs, Why string
}

// A Pod is what matters of a pod here. Clusters have many.
type Pod struct {
	Namespace, Name, Node string
	// Static says that a kubelet runs it from a file of its own.
	Static bool
	// DaemonSet says that one made it; Retained that it asks to stay on a fenced
	// node.
	DaemonSet, Retained bool
	Tolerations         []corev1.Toleration
	// Claims are its PersistentVolumeClaims.
	Claims []string
	// Direct are volumes of its own that nobody attaches, such as iscsi.
	Direct []string
	// Words are the command lines of a static pod's containers, Images theirs.
	Words, Images []string
}

func (p Pod) String() string { return p.Namespace + "/" + p.Name }

// A Webhook is one webhook of a configuration.
type Webhook struct {
	// Resource and Config name the configuration, Index is the webhook's place.
	Resource, Config string
	Index            int
	Name             string
	FailurePolicy    *admissionv1.FailurePolicyType
	Rules            []admissionv1.RuleWithOperations
	Namespaces       *Selector
	Objects          *Selector
	// Conditions is how many CEL expressions it has, which nobody here evaluates.
	Conditions int
	Service    *admissionv1.ServiceReference
	Timeout    time.Duration
}

// An Object is one that Picket is installed with.
type Object struct {
	Kind, Name string
	// Want is what counts of its spec, as this version has it, in JSON's types.
	Want any
	// Live is the spec that the cluster has; nil: there is none.
	Live any
}

// A Kubelet is what matters of a kubelet's configuration.
type Kubelet struct {
	StatusEvery   time.Duration // nodeStatusUpdateFrequency
	LeaseDuration time.Duration // renewed four times within it
	ShutdownGrace time.Duration // shutdownGracePeriod
}

// has reports whether the kind was read.
func (f *Facts) has(kind string) bool {
	for _, g := range f.Gaps {
		if g.Kind == kind {
			return false
		}
	}
	return true
}

// profile returns the times in force.
func (f *Facts) profile() timing.Profile {
	p := &v1alpha1.FencingPolicy{}
	if f.Snapshot.Policy != nil {
		p = f.Snapshot.Policy
	}
	named, err := timing.Named(cmp.Or(p.Spec.Profile, "standard"))
	if err != nil {
		named = timing.Standard() // the schema allows no other name
	}
	return p.Spec.Overrides.Resolve(named)
}

// failover returns how long it takes from a node's death to its taint at the
// longest: of all that are armed, or else of the profile.
func (f *Facts) failover() time.Duration {
	p := f.profile()
	longest := timing.Failover(timing.Promise{
		Armed: true, RollLife: p.RollLife, PetDelay: p.PetDelay, Timeout: p.RealTimeout, Kappa: 1000,
	}, p)
	for _, n := range f.Snapshot.Status().Nodes {
		longest = max(longest, n.Failover.Duration)
	}
	return longest
}
