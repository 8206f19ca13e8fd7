// Package watchdog owns what Picket knows about Linux watchdog devices without
// opening one: the table of drivers with their real timeouts, which devices
// there are and what sysfs says about them, which process keeps one, the
// reasons to refuse it, and the choice among them.
//
// It refuses to open, set or ping a device (the holder does), and reading
// sysfs never pings one. The choice is pure: it loads no module and takes
// nothing from anybody, but says that it should be done.
package watchdog
