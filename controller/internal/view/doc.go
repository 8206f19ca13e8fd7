// Package view is the cluster as people see it: what is armed and what is not,
// which fence stands where and why, who hears whom, and how long a wait would be.
// It turns one Snapshot of the API into answers, each of them a struct with JSON
// names that also draws itself as a screen.
//
// It reads no API and no clock, and decides nothing: phases, deadlines and
// reasons are the controller's and the agents' own words, and waits come from
// proto/timing, where the controller has them from.
package view
