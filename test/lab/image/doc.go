// Package image makes what the lab's virtual machines boot from: a Debian root
// filesystem with its kernel, and a kubelet built from its Go module, both
// cached outside the checkout, and for each node a disk of its own.
//
// It owns packages and files of a node's disk. It refuses to name a mirror:
// packages come from where this machine's own do.
package image
