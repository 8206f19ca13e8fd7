package block

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/picket-dev/picket/agent/teardown"
)

// loopsRequest asks what is behind loop devices.
type loopsRequest struct {
	Dev   string
	Names []string
}

// loopAnswer is the block device behind a loop device; zero for a file.
type loopAnswer struct {
	Device teardown.Number
	Error  string
}

func readLoops(r loopsRequest) (map[string]loopAnswer, error) {
	all := make(map[string]loopAnswer)
	for _, name := range r.Names {
		n, err := behind(filepath.Join(r.Dev, name))
		a := loopAnswer{Device: n}
		if err != nil {
			a.Error = err.Error()
		}
		all[name] = a
	}
	return all, nil
}

// behind asks a loop device what it serves. Its backing file's path, in sysfs,
// can lead elsewhere by now.
func behind(path string) (teardown.Number, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return teardown.Number{}, err
	}
	defer f.Close()
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	if err != nil {
		return teardown.Number{}, &os.PathError{Op: "get status of", Path: path, Err: err}
	}
	return number(info.Rdevice), nil
}

// numberByName returns the number of the device that the kernel calls so.
func numberByName(nodes []node, name string) (teardown.Number, bool) {
	for _, n := range nodes {
		if n.Name == name {
			return n.Number, true
		}
	}
	return teardown.Number{}, false
}

// askLoops fills in the block devices behind loop devices that the look knows
// already: by their name, or by the bind mounts that the kubelet makes of raw
// block volumes. It asks for the others.
func (r *Reader) askLoops(ctx context.Context, l *look, nodes []node) func() (map[string]loopAnswer, error) {
	bound := make(map[string]teardown.Number) // by path
	for _, m := range l.hostMounts() {
		if m.Node != (teardown.Number{}) && !m.Deleted {
			bound[m.Point] = m.Node
		}
	}
	request := loopsRequest{Dev: r.host.Dev}
	for i, n := range nodes {
		if n.Kind != teardown.Loop {
			continue
		}
		number, ok := bound[n.Backing]
		if name, node := strings.CutPrefix(n.Backing, "/dev/"); node && !ok {
			number, ok = numberByName(nodes, name)
		}
		if ok {
			nodes[i].Slaves = []teardown.Number{number}
			continue
		}
		request.Names = append(request.Names, n.Name)
	}
	if request.Names == nil {
		return none[map[string]loopAnswer]()
	}
	return ask[map[string]loopAnswer](ctx, r, workLoops, request)
}

// useLoops fills in what is behind the other loop devices; of a file there is
// none.
func (l *look) useLoops(nodes []node, answer func() (map[string]loopAnswer, error)) {
	answers, err := answer()
	for i := range nodes {
		n := &nodes[i]
		if n.Kind != teardown.Loop || n.Slaves != nil {
			continue
		}
		a, ok := answers[n.Name]
		switch {
		case err != nil:
			l.noteDevice(n.Number, "what "+n.Name+" serves", err)
		case !ok || a.Error != "":
			l.noteDevice(n.Number, "what "+n.Name+" serves", errors.New(cmp.Or(a.Error, "no answer")))
		case a.Device != teardown.Number{}:
			n.Slaves = []teardown.Number{a.Device}
		}
	}
}
