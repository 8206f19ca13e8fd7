// Package judge says whether a scenario of the lab kept Picket's promises:
// from what the storage wrote down, what the machines did, what the API showed
// and what the workload was told. It is pure.
//
// It owns what counts as a second writer, a lost record, a needless reset. It
// refuses to acquit for lack of evidence: a write that it cannot place, and a
// volume that nobody wrote to, are findings.
//
// All times are raw monotonic time of the lab's host (test/cluster/rawclock),
// so that they compare directly.
package judge
