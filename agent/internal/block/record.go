package block

import (
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"

	"github.com/picket-dev/picket/agent/teardown"
)

// recordPatterns are the files of open-iscsi's node records in a directory:
// TARGET/ADDRESS,PORT,GROUP/INTERFACE, and without the last part in old ones.
func recordPatterns(dirs []string) []string {
	var all []string
	for _, dir := range dirs {
		all = append(all, dir+"/*/*", dir+"/*/*/*")
	}
	return all
}

// record reads a node record. It holds passwords, too; they stay where they are.
func record(f file) (teardown.Record, error) {
	var r teardown.Record
	var address, port string
	for line := range strings.Lines(string(f.Text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return r, errors.New("a line is not of the form key = value") // and may be a password
		}
		field := map[string]*string{
			"node.name": &r.Target, "node.startup": &r.Startup, "iface.iscsi_ifacename": &r.Interface,
			"node.conn[0].address": &address, "node.conn[0].port": &port,
		}[strings.TrimSpace(key)]
		if field != nil {
			*field = strings.TrimSpace(value)
		}
	}
	if r.Target == "" || address == "" || port == "" {
		return r, errors.New("it names no target, or no portal")
	}
	if in := strings.Split(f.Path, "/"); !slices.Contains(in, r.Target) {
		return r, fmt.Errorf("it is the record of another target: %.200q", r.Target)
	}
	if r.Startup == "" {
		r.Startup = "manual" // open-iscsi's own default
	}
	if r.Interface == "" && !strings.Contains(path.Base(f.Path), ",") {
		r.Interface = path.Base(f.Path)
	}
	r.Portal = net.JoinHostPort(address, port)
	return r, nil
}
