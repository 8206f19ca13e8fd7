// Package watchdog owns what Picket knows about Linux watchdog devices without
// opening one: the table of drivers with their real timeouts, what sysfs says
// about a device, which process keeps it, and the reasons to refuse it.
//
// It refuses to open, set or ping a device (the holder does), and reading
// sysfs never pings one.
package watchdog
