// Package link watches the host's network through netlink: the carrier of its
// interfaces, its addresses and its routes. A loss is reported at once, so
// that an agent asks for a roll (A5) before the next tick, and the command line
// can say which link went.
//
// It refuses to judge: a lost link proves nothing about any node. It leaves
// out what pods do to the host's network all day: the ends of their veth
// pairs, host routes, loopback.
package link
