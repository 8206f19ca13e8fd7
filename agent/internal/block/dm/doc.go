// Package dm speaks device-mapper's own interface, so that reading a table and
// cutting a map off need no tool of the host, and no udev that may hang.
//
// It refuses to create maps, and to do anything but what a teardown needs. Any
// of its calls can sleep: they belong in a child.
package dm
