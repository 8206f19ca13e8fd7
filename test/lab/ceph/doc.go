// Package ceph runs the smallest real Ceph for the lab: one monitor, one OSD on a
// file, no manager, for images that krbd maps.
//
// It owns the processes and a directory, and serves on one address. It refuses to
// be safe or fast: what it holds is gone with the lab.
package ceph
