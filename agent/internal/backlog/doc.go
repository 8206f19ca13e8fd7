// Package backlog keeps a log that nobody reads from stopping the process that
// writes it.
//
// It refuses to lose lines in silence, and to wait: a line that finds no room is
// counted and dropped.
package backlog
