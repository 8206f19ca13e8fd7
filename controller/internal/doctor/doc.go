// Package doctor looks whether a cluster lets Picket do its work: Kubernetes' own
// settings, drivers, webhooks and network agents that stand in the way of a fence,
// and whether Picket itself is whole. Facts come in, findings go out.
//
// It is pure: who reads the API, and with whose rights, is not its business. What
// could not be read is a fact, too, and becomes a finding. Nothing is fenced,
// armed or refused on what a doctor says.
package doctor
