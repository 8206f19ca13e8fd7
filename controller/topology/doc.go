// Package topology owns who watches whom and who is a witness: the rings of
// neighbours, and the spread of the witnesses over failure domains and over the
// hosts of the API.
//
// It is pure: the same nodes give the same answer in every controller, in any
// order of input, in every version. It refuses to judge health: the caller says
// which nodes may be witnesses, and whom a node should watch does not depend on
// who is alive, or a death would redraw the graph that must report it.
package topology
