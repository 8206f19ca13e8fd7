// Package peerv1 owns what agents say to each other and to the command line of
// their own node: peer.proto, the code made from it, and the conversion to and
// from the types of proto/roll.
//
// It refuses to pass on what no agent means: whatever it decodes comes from
// the network, so a Roll is validated and an age is bounded before anybody
// reasons with them.
package peerv1
