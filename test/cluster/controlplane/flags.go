package controlplane

import (
	"fmt"
	"slices"
	"strings"
)

// etcdFlags: --unsafe-no-fsync, because a test's data need not survive the
// machine, and two cores carry everything.
func (p *Plane) etcdFlags() []string {
	client := fmt.Sprintf("https://%s:%d", p.opts.Addr, p.etcdPort)
	peer := fmt.Sprintf("http://%s:%d", p.opts.Addr, p.peerPort)
	return []string{
		"--name=etcd",
		"--data-dir=" + p.path("etcd.data"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--cert-file=" + p.path("etcd.crt"),
		"--key-file=" + p.path("etcd.key"),
		"--trusted-ca-file=" + p.ca.File(),
		"--client-cert-auth",
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=etcd=" + peer,
		"--unsafe-no-fsync",
		"--log-level=warn",
		"--logger=zap",
	}
}

func (p *Plane) apiFlags() []string {
	return []string{
		fmt.Sprintf("--etcd-servers=https://%s:%d", p.opts.Addr, p.etcdPort),
		"--etcd-cafile=" + p.ca.File(),
		"--etcd-certfile=" + p.path("etcd.crt"),
		"--etcd-keyfile=" + p.path("etcd.key"),
		"--bind-address=" + p.opts.Addr.String(),
		"--advertise-address=" + p.opts.Addr.String(),
		fmt.Sprintf("--secure-port=%d", p.apiPort),
		"--tls-cert-file=" + p.path("apiserver.crt"),
		"--tls-private-key-file=" + p.path("apiserver.key"),
		"--token-auth-file=" + p.path("tokens.csv"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + p.path("sa.pub"),
		"--service-account-signing-key-file=" + p.path("sa.key"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-cluster-ip-range=10.0.0.0/24",
		// No endpoint of the kubernetes Service: it refuses loopback addresses.
		"--endpoint-reconciler-type=none",
		"--profiling=false",
		"--v=1",
	}
}

// controllers are those of the manager that failover, workloads and Picket's
// own objects meet. The rest (quotas, certificates …) would only cost CPU on a
// small machine.
var controllers = []string{
	"clusterrole-aggregation-controller",
	"daemonset-controller",
	"deployment-controller",
	"disruption-controller",
	"endpoints-controller",
	"endpointslice-controller",
	"garbage-collector-controller",
	"namespace-controller",
	"node-lifecycle-controller",
	"persistentvolume-attach-detach-controller",
	"persistentvolume-binder-controller",
	"persistentvolume-protection-controller",
	"persistentvolumeclaim-protection-controller",
	"pod-garbage-collector-controller",
	"replicaset-controller",
	"root-ca-certificate-publisher-controller",
	"serviceaccount-controller",
	"statefulset-controller",
	"taint-eviction-controller",
	"validatingadmissionpolicy-status-controller",
}

func (p *Plane) controllerFlags() []string {
	run := controllers
	if p.opts.Jobs {
		run = append(slices.Clone(run), "job-controller")
	}
	return []string{
		"--kubeconfig=" + p.Kubeconfig(),
		"--controllers=" + strings.Join(run, ","),
		"--leader-elect=false",
		"--root-ca-file=" + p.ca.File(),
		"--service-account-private-key-file=" + p.path("sa.key"),
		"--disable-force-detach-on-timeout=true",
		"--secure-port=0",
		"--profiling=false",
		"--v=2",
	}
}

func (p *Plane) schedulerFlags() []string {
	return []string{
		"--kubeconfig=" + p.Kubeconfig(),
		"--leader-elect=false",
		"--secure-port=0",
		"--profiling=false",
		"--v=1",
	}
}
