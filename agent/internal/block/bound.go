package block

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/teardown"
)

// nodesRequest asks which block devices' nodes are bound at mount points.
type nodesRequest struct {
	Root   string
	Points []string
}

// readNodes asks the bound nodes themselves, which are there when their devices
// are gone, and whose names can be another device's by now.
func readNodes(r nodesRequest) (map[string]teardown.Number, error) {
	prefix, err := enter(r.Root)
	if err != nil {
		return nil, err
	}
	all := make(map[string]teardown.Number)
	for _, p := range r.Points {
		var s unix.Stat_t
		if err := unix.Lstat(prefix+p, &s); err != nil {
			continue // it has just been unmounted, or no path leads there: its name must do
		}
		if s.Mode&unix.S_IFMT == unix.S_IFBLK {
			all[p] = number(s.Rdev)
		}
	}
	return all, nil
}

// isNode reports whether a mount is a device node of the host's /dev, as which raw
// block volumes are mounted.
func isNode(m teardown.Mount) bool { return m.FS == "devtmpfs" && m.Root != "/" }

// statNodes fills in the block devices of nodes that are bound in the host's own
// namespace, where the kubelet binds those of raw block volumes.
func (r *Reader) statNodes(ctx context.Context, l *look) {
	request := nodesRequest{Root: r.host.Root}
	for _, m := range l.hostMounts() {
		if isNode(m) && !m.Deleted {
			request.Points = append(request.Points, m.Point)
		}
	}
	if request.Points == nil {
		return
	}
	numbers, err := ask[map[string]teardown.Number](ctx, r, workNodes, request)()
	if err != nil {
		l.note("device nodes that are bound", err)
	}
	host := l.hostMounts()
	for i, m := range l.inv.Mounts {
		if isNode(m) && len(host) > 0 && m.Namespace == host[0].Namespace {
			l.inv.Mounts[i].Node = numbers[m.Point]
		}
	}
}

// useNodes fills in, by their names, those that could not be asked: in other
// namespaces than the host's.
func (l *look) useNodes(nodes []node) {
	for i, m := range l.inv.Mounts {
		if !isNode(m) || m.Node != (teardown.Number{}) {
			continue
		}
		number, ok := numberByName(nodes, strings.TrimPrefix(m.Root, "/"))
		if !ok { // perhaps a name that udev or a person has given it
			if info, err := os.Stat(filepath.Join(l.host.Dev, m.Root)); err == nil {
				number = blockNumber(info)
			}
		}
		l.inv.Mounts[i].Node = number
	}
}
