// Command cluster runs Picket against a real control plane (etcd,
// kube-apiserver, kube-controller-manager, kube-scheduler, external-attacher)
// with simulated machines: real agents, holders and controllers as processes,
// real TLS between them, and faults in every link. Each scenario ends with a
// RESULT line; the disks' own logs judge whether two boots ever wrote to one
// volume.
//
// `make demo` runs one scenario with the shipped timing, `make test` all of
// them with a scaled-down profile.
package main
