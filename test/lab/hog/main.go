// Command hog is the lab's bad neighbour: a container that takes what it can
// get, until it is killed.
//
//	hog cpu       spins on many more threads than there are processors
//	hog memory    takes all memory but a little, and keeps touching it
//	hog io FILE   writes and syncs, without a pause
//	hog fork      is a fork bomb
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "hog:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "cpu":
		return spin()
	case len(args) == 1 && args[0] == "memory":
		return hoard()
	case len(args) == 2 && args[0] == "io":
		return scribble(args[1])
	case len(args) == 1 && args[0] == "fork":
		return fork()
	default:
		return fmt.Errorf("want cpu, memory, io FILE or fork, not %q", args)
	}
}

// spin burns processors on 16 threads for each.
func spin() error {
	threads := 16 * runtime.NumCPU()
	runtime.GOMAXPROCS(threads)
	for range threads - 1 {
		go burn()
	}
	burn()
	return nil
}

// burn computes for ever.
func burn() {
	for sum := [sha256.Size]byte{}; ; {
		sum = sha256.Sum256(sum[:])
	}
}

// reserve is what hoard leaves available, in bytes: less, and the kubelet evicts
// the pod or the kernel kills it, which ends the pressure.
const reserve = 128 << 20

// hoard takes memory until little is available, gives some back when others
// take theirs, and touches all of what it has, so that none of it is cold.
func hoard() error {
	const chunk = 8 << 20
	var taken [][]byte
	for {
		available, err := memAvailable()
		if err != nil {
			return err
		}
		switch {
		case available > reserve+chunk:
			b, err := unix.Mmap(-1, 0, chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				return fmt.Errorf("take memory: %w", err)
			}
			taken = append(taken, b)
		case available < reserve && len(taken) > 0:
			last := len(taken) - 1
			if err := unix.Munmap(taken[last]); err != nil {
				return fmt.Errorf("give memory back: %w", err)
			}
			taken = taken[:last]
		}
		for _, b := range taken {
			for at := 0; at < len(b); at += os.Getpagesize() {
				b[at]++
			}
		}
	}
}

// memAvailable is the kernel's estimate, in bytes.
func memAvailable() (int64, error) {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == "MemAvailable:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no MemAvailable")
}

// scribble overwrites 128 MiB of a file again and again, synced every MiB.
func scribble(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	block := make([]byte, 1<<20)
	for n := int64(0); ; n++ {
		block[0] = byte(n)
		if _, err := file.WriteAt(block, n%128<<20); err != nil {
			return err
		}
		if err := file.Sync(); err != nil {
			return err
		}
	}
}

// fork doubles for ever. A child has only the thread that forked, and so none
// of Go's runtime: it must do nothing but fork.
func fork() error {
	for {
		_, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 && os.Getpid() == 1 {
			time.Sleep(time.Millisecond) // the container's first process lets the others try
		}
	}
}
