package image

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A File goes onto a node's disk before its first boot.
type File struct {
	// From is a file on this machine; if empty, Text is the content.
	From string
	Text string
	// Link makes it a symbolic link to there, if not empty.
	Link string
	// Mode is its permissions; 0 stands for 0644.
	Mode os.FileMode
}

// Disk makes a node's disk: a copy of the base's root with files of the node's
// own, by absolute path, owned by root. It mounts nothing: debugfs writes them
// into the image.
func (b Base) Disk(ctx context.Context, disk string, files map[string]File) error {
	if out, err := exec.CommandContext(ctx, "cp", "--sparse=always", "--reflink=auto", b.Root, disk).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the nodes' root: %w: %s", err, bytes.TrimSpace(out))
	}
	temp, err := os.MkdirTemp(filepath.Dir(disk), "files-")
	if err != nil {
		return fmt.Errorf("write files onto %s: %w", disk, err)
	}
	defer os.RemoveAll(temp)
	script, err := script(temp, files)
	if err != nil {
		return fmt.Errorf("write files onto %s: %w", disk, err)
	}
	cmd := exec.CommandContext(ctx, "debugfs", "-w", "-f", "-", disk)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("write files onto %s: %w: %s", disk, err, out)
	}
	return complaint(string(out))
}

// script is debugfs' own language. A path holds no space.
func script(temp string, files map[string]File) (string, error) {
	var b strings.Builder
	made := map[string]bool{"/": true}
	for i, name := range slices.Sorted(maps.Keys(files)) {
		for _, dir := range above(name) {
			if !made[dir] {
				fmt.Fprintf(&b, "mkdir %s\n", dir)
				made[dir] = true
			}
		}
		file := files[name]
		fmt.Fprintf(&b, "rm %s\n", name)
		if file.Link != "" {
			fmt.Fprintf(&b, "symlink %s %s\n", name, file.Link)
			continue
		}
		from := file.From
		if from == "" {
			from = filepath.Join(temp, fmt.Sprint(i))
			if err := os.WriteFile(from, []byte(file.Text), 0o600); err != nil {
				return "", err
			}
		}
		mode := file.Mode
		if mode == 0 {
			mode = 0o644
		}
		fmt.Fprintf(&b, "write %s %s\n", from, name)
		fmt.Fprintf(&b, "set_inode_field %s mode 0100%o\n", name, mode)
	}
	return b.String(), nil
}

// above returns the directories above a path, outermost first.
func above(name string) []string {
	var dirs []string
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	slices.Reverse(dirs)
	return dirs
}

// complaint finds in debugfs' output what went wrong: it exits with 0 whatever
// happens. That a directory is there already, or a file is not, is no error.
func complaint(out string) error {
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "debugfs"), strings.HasPrefix(line, "Allocated inode"),
			strings.Contains(line, "mkdir") && strings.Contains(line, "already exists"),
			strings.HasPrefix(line, "rm:") && strings.Contains(line, "File not found"):
		default:
			return fmt.Errorf("write files onto a node's disk: debugfs says: %s", line)
		}
	}
	return nil
}
