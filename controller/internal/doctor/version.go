package doctor

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/picket-dev/picket/proto/finding"
)

// older reports whether a version of Kubernetes is below 1.minor. One that cannot
// be read is not.
func older(text string, minor uint) bool {
	v, err := version.ParseGeneric(text)
	return err == nil && !v.AtLeast(version.MajorMinor(1, minor))
}

// apiVersion judges whether Kubernetes has what Picket stands on.
func apiVersion(f *Facts) (string, []finding.Finding) {
	x := finding.Finding{
		ID: KubernetesTooOld, Severity: finding.Error, What: "the API server is " + f.Server,
		Fix: "# upgrade Kubernetes: https://kubernetes.io/releases/version-skew-policy/",
	}
	switch {
	case older(f.Server, 26):
		x.Why = "before 1.26 the out-of-service taint does nothing unless the feature gate NodeOutOfServiceVolumeDetach is on: volumes do not move"
	case older(f.Server, 28):
		x.Why = "the out-of-service taint is beta before 1.28, and may be switched off; before 1.30 there are no admission policies, so that one node's agent can speak for another"
	case older(f.Server, 30):
		x.Why = "before 1.30 admission policies are off and tokens do not name their node: one node's agent can speak for another"
	default:
		return f.Server, nil
	}
	return f.Server, one(x)
}

// datastore judges whether the API's memory answers with the newest.
func datastore(f *Facts) (string, []finding.Finding) {
	var found []finding.Finding
	saw := "not visible"
	for _, p := range f.Pods {
		if !p.Static {
			continue
		}
		for _, image := range p.Images {
			tag := etcdTag(image)
			if tag == "" {
				continue
			}
			saw = "etcd " + tag
			if v, err := version.ParseGeneric(tag); err == nil && v.AtLeast(version.MustParseGeneric("3.5.0")) && !v.AtLeast(version.MustParseGeneric("3.5.3")) {
				found = append(found, finding.Finding{
					ID: EtcdVersionBad, Severity: finding.Error, What: fmt.Sprintf("%s runs etcd %s", p.Name, tag),
					Why: "3.5.0 to 3.5.2 may lose writes when one of them is killed, and its members differ afterwards: a withholding could be forgotten",
					Fix: "# upgrade etcd to 3.5.3 or later, one member at a time, after a snapshot: etcdctl snapshot save",
				})
			}
		}
	}
	k3s, embedded := "", false
	for i := range f.Snapshot.Nodes {
		n := &f.Snapshot.Nodes[i]
		if v := n.Status.NodeInfo.KubeletVersion; strings.Contains(v, "+k3s") || strings.Contains(v, "+rke2") {
			k3s = v
		}
		if _, ok := n.Labels["node-role.kubernetes.io/etcd"]; ok {
			embedded = true
		}
	}
	if k3s != "" && embedded {
		saw = "etcd, within " + k3s
	}
	if k3s != "" && !embedded {
		saw = "SQL, by kine (" + k3s + ")"
		found = append(found, finding.Finding{
			ID: DatastoreUnproven, Severity: finding.Warning, What: "no node of this " + k3s + " cluster runs etcd, so kine answers from an SQL database",
			Why: "Picket's safety rests on reads that see the last write: one SQLite or one primary does, a read replica or an asynchronous failover does not",
			Fix: "# see that --datastore-endpoint names one primary without read replicas or a balancer over them, or use the embedded etcd (--cluster-init)",
		})
	}
	return saw, found
}

// etcdTag returns the version in the name of an etcd image, or nothing.
func etcdTag(image string) string {
	name, _, _ := strings.Cut(image, "@")
	name = name[strings.LastIndexByte(name, '/')+1:]
	base, tag, _ := strings.Cut(name, ":")
	if base != "etcd" {
		return ""
	}
	return strings.TrimPrefix(tag, "v")
}
