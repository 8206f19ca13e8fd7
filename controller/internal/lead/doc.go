// Package lead makes one replica of the controller the leader, and drives the
// planner while it leads: it gathers the world, reads the clock, asks for a
// plan, and has its actions carried out.
//
// One goroutine owns the planner. It plans on nothing but a Roll that it read
// consistently within the last two seconds, reads its clock after the world, and
// starts no action after leadership has ended. It refuses to judge: what to do
// is the planner's business, how to do it that of package kube.
package lead
