// Package kube is the planner's hands and eyes in the API: it keeps the world
// that plan.Core plans on, reads the Roll, and carries out actions.
//
// Every write carries the version that it was decided upon, and what a write
// returned is part of the world at once. Looks and surveys are consistent reads,
// and a read or write of the Roll is stamped before it is sent.
//
// It decides nothing: no taint, no wait, no fence begins here. It never strips
// a finalizer that is not its own, and never takes a failed read for an answer.
package kube
