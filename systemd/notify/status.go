package notify

import "strings"

// Status tells the service manager in one line what the service does, for
// whoever looks at the unit (STATUS=). It never blocks, and its errors are those
// of StoreFD.
func Status(line string) error {
	return send("STATUS="+strings.Join(strings.Fields(line), " "), nil)
}
