// Package controlplane builds and runs a real Kubernetes control plane for
// tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler on a
// loopback address, with real TLS and RBAC, without root and without Docker.
//
// It owns the binaries (built from Go modules, cached outside the checkout),
// the keys, the processes and what a test does to them: stop and start the API
// server, snapshot and restore etcd, hand out tokens, apply manifests.
//
// It refuses to tune what Picket is measured against: node-monitor-grace-period,
// pod garbage collection, taint eviction and the attach-detach controller run
// with the defaults that a cluster runs with. The one exception is
// --disable-force-detach-on-timeout, which Picket's documentation asks for.
package controlplane
