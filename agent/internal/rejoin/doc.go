// Package rejoin carries out what agent/teardown has planned: one step at a
// time, each in a disposable child and within its bound, and each proven by a
// fresh inventory, since exit codes prove nothing. After each step it looks and
// plans anew; a step that its own inventory does not show as done ends the work.
//
// It refuses to decide what is stale, to reset the node or to attest it Clean:
// it returns what should become of the node, and the agent does it. It deletes
// no file or directory of the kubelet or of a CSI driver, unmounts neither
// lazily nor by force, and touches nothing that is not exactly what the step
// names when its turn comes.
package rejoin
