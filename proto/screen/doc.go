// Package screen lays text out for people at a terminal: tables that fit its
// width, and colour where there is a terminal to show it. Both CLIs draw with it.
//
// It knows nothing of what it shows, keeps no state and reads no input.
package screen
