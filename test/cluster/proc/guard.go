package proc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// guardScript keeps a set of process groups, told line by line, and kills what
// is left of them at end of file: the moment the test's end of the pipe
// closes, however the test ended. The parent-death signal alone would spare
// the grandchildren (an agent's supervised worker).
const guardScript = `
trap '' HUP INT QUIT TERM
groups=' '
while read -r verb id; do
	case $verb in
	add) groups="$groups$id " ;;
	del) groups="${groups%% $id *} ${groups#* $id }" ;;
	esac
done
for id in $groups; do kill -s KILL -- "-$id" 2>/dev/null; done
`

// groupGuard is the test's end of the pipe to the guard.
type groupGuard struct {
	mu   sync.Mutex
	pipe io.Writer
}

var guard = sync.OnceValue(func() *groupGuard {
	g := &groupGuard{}
	r, w, err := os.Pipe()
	if err != nil {
		return g // the parent-death signal still covers the children
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", guardScript)
	cmd.Stdin = r
	// Its own session: a Ctrl-C on the terminal must not end the guard first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return g
	}
	_ = cmd.Process.Release() // it ends after us; nobody waits for it
	g.pipe = w
	return g
})

func (g *groupGuard) add(pgid int)    { g.tell("add", pgid) }
func (g *groupGuard) remove(pgid int) { g.tell("del", pgid) }

func (g *groupGuard) tell(verb string, pgid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pipe != nil {
		fmt.Fprintf(g.pipe, "%s %d\n", verb, pgid)
	}
}
