// Package matrix says what the agents' words about each other add up to: which
// node is lost to whom, and whether that is a host, a rack's uplink, a single
// path, or the agents' port. The node's CLI and the cluster-wide one both show
// it, from what each of them can see.
//
// It is pure, and judges for people only: nothing is fenced on its verdict. That
// is rule C1's business, which counts differently.
package matrix
