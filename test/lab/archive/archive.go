// Package archive writes container images that need no registry and no builder:
// a docker-archive of one layer, which `ctr images import` reads.
//
// It owns the format. It refuses to know what is in the images.
package archive

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

// File is one file of an image.
type File struct {
	// Path is where it lies in the image, absolute.
	Path string
	// From is the file on this machine that it is a copy of.
	From string
}

// Image describes an image.
type Image struct {
	// Name is the reference that it is imported as, with registry and tag:
	// containerd completes shorter ones.
	Name string
	// Entrypoint is what runs when the pod names no command.
	Entrypoint []string
	// Files are executable.
	Files []File
}

// Write writes the image to a file.
func Write(file string, image Image) error {
	layer, err := layer(image.Files)
	if err != nil {
		return fmt.Errorf("write image %s: %w", image.Name, err)
	}
	sum := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": image.Entrypoint, "Env": []string{"PATH=/usr/local/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return fmt.Errorf("write image %s: %w", image.Name, err)
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{image.Name}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return fmt.Errorf("write image %s: %w", image.Name, err)
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write image %s: %w", image.Name, err)
	}
	defer out.Close()
	w := tar.NewWriter(out)
	for _, part := range []struct {
		name string
		data []byte
	}{{"manifest.json", manifest}, {"config.json", config}, {"layer.tar", layer}} {
		if err := add(w, part.name, 0o644, part.data); err != nil {
			return fmt.Errorf("write image %s: %w", image.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("write image %s: %w", image.Name, err)
	}
	return out.Close()
}

// layer is a tar of the files and of the directories above them.
func layer(files []File) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, dir := range directories(files) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
			return nil, err
		}
	}
	for _, f := range files {
		data, err := os.ReadFile(f.From)
		if err != nil {
			return nil, err
		}
		if err := add(w, strings.TrimPrefix(f.Path, "/"), 0o755, data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// directories returns all directories that hold files, outer ones first.
func directories(files []File) []string {
	var dirs []string
	for _, f := range files {
		for dir := path.Dir(strings.TrimPrefix(f.Path, "/")); dir != "."; dir = path.Dir(dir) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

func add(w *tar.Writer, name string, mode int64, data []byte) error {
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, bytes.NewReader(data))
	return err
}
