// Package report writes the cluster as one HTML file: the map by failure domain,
// who hears whom, the fences as bars against their bound, the watchdogs, and what
// is wrong. The file needs no network, reads in light and dark, and prints.
//
// It shows what package view says, and finds out nothing itself.
package report
