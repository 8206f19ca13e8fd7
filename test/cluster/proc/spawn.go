package proc

import (
	"os"
	"runtime"
	"sync"
	"syscall"
)

// spawner starts children from one OS thread that lives as long as the
// program. The kernel delivers a child's parent-death signal when the thread
// that forked it ends, not the process, and the Go runtime may end a thread at
// any time (https://go.dev/issue/27505).
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread() // never unlocked: the thread is ours
		for f := range work {
			f()
		}
	}()
	return work
})

// spawn starts one process with the parent-death signal set.
func spawn(path string, argv []string, attr *os.ProcAttr) (*os.Process, error) {
	attr.Sys.Pdeathsig = syscall.SIGKILL
	var (
		p    *os.Process
		err  error
		done = make(chan struct{})
	)
	spawner() <- func() {
		p, err = os.StartProcess(path, argv, attr)
		close(done)
	}
	<-done
	return p, err
}
