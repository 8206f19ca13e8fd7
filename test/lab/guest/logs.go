package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// ship copies what pods write to their logs to a console of the lab's, as soon
// as it is written: what an agent said last before its node was reset is on no
// disk yet. It never ends.
func ship(pattern, console string) error {
	out, err := os.OpenFile(console, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open the console for logs: %w", err)
	}
	defer out.Close()
	sent := make(map[string]int64) // bytes by file
	for {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("find logs: %w", err)
		}
		for _, file := range files {
			n, err := copyFrom(out, file, sent[file])
			if err != nil {
				return fmt.Errorf("ship %s: %w", file, err)
			}
			sent[file] += n
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// copyFrom copies what lies behind an offset. A file that is gone has nothing.
func copyFrom(to io.Writer, file string, offset int64) (int64, error) {
	in, err := os.Open(file)
	if err != nil {
		return 0, nil // rotated away
	}
	defer in.Close()
	if _, err := in.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	return io.Copy(to, in)
}
