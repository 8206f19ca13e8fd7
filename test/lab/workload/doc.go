// Package workload is what runs on the lab's volume: a program that appends
// numbered records to one file, each of them durable before it is
// acknowledged to a collector outside of the cluster.
//
// It owns the promise that a database makes: what was acknowledged is there,
// in order, whichever node the pod runs on next. It refuses to stop writing
// when nobody hears it: a node that is cut off, and still has its storage, is
// the writer that the lab must see fenced in time.
//
// The program itself is in writer; the collector and the manifests are for the
// lab.
package workload
