// Package network is the lab's cables: one bridge for the cluster's network and
// one for the storage's, a tap on each for every node, and the cuts.
//
// It owns what lies in the lab's network namespace, and works on the one that
// it runs in: nothing of it is seen outside, and the kernel removes all of it
// with the last process of the lab. It refuses to run anywhere else.
package network
