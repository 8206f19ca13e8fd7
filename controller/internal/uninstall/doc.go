// Package uninstall takes Picket off a cluster in the one order in which nobody
// resets: first every node becomes unarmed and its host clean, by the agents' own
// handshake (A13), then what runs goes, then the taints, and last the objects.
//
// It decides nothing about safety itself: it sets the policy's mode and waits. It
// refuses to go on past a node that is armed, or that was fenced and may have moved
// volumes mapped, to go on once the policy's mode was set back, and to touch what is
// not Picket's. By force it deletes only pods that no kubelet ends and no node needs.
// As long as it has not come to its end the Roll exists, and with it the admission
// policy picket-keep refuses to delete what agents need.
package uninstall
