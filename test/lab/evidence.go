package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// evidence copies consoles, journals and the controller's log, and what the API
// and the nodes say now.
func (l *lab) evidence(name string) (string, error) {
	dir := filepath.Join(l.opts.Logs, name)
	err := os.RemoveAll(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return dir, fmt.Errorf("keep evidence: %w", err)
	}
	var logs []string
	for _, pattern := range []string{"*.console", "*.journal", "*.pods", "*.qemu", "*.log", "control-plane/*.log"} {
		found, _ := filepath.Glob(l.path(pattern))
		logs = append(logs, found...)
	}
	var failed []error
	for _, log := range logs {
		failed = append(failed, copyFile(filepath.Join(dir, filepath.Base(log)), log))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	failed = append(failed, l.objects(ctx, dir))
	for _, n := range l.nodes {
		text, _ := n.Exec(ctx, `systemctl --failed --no-legend; systemctl list-jobs; systemctl status picket-holder.service --no-pager;
			journalctl -b --no-pager -o short-monotonic | tail -n 3000; tail -n 200 /var/log/pods/*/*/*.log; ls -l /run/picket /var/lib/picket`)
		failed = append(failed, os.WriteFile(filepath.Join(dir, n.Name()+".now"), []byte(text), 0o644))
		if text, err := n.agent(ctx, "devices --plan -o json"); err == nil {
			failed = append(failed, os.WriteFile(filepath.Join(dir, n.Name()+".devices"), []byte(text), 0o644))
		}
	}
	return dir, errors.Join(failed...)
}

// objects writes what the API holds, one file for each kind.
func (l *lab) objects(ctx context.Context, dir string) error {
	if l.plane == nil || l.client == nil {
		return nil
	}
	all, core := metav1.ListOptions{}, l.plane.Client().CoreV1()
	var failed []error
	for name, list := range map[string]func() (any, error){
		"nodes":      func() (any, error) { return core.Nodes().List(ctx, all) },
		"pods":       func() (any, error) { return core.Pods("").List(ctx, all) },
		"events":     func() (any, error) { return core.Events("").List(ctx, all) },
		"nodeguards": func() (any, error) { return l.client.NodeGuards.List(ctx, all) },
		"nodefences": func() (any, error) { return l.client.NodeFences.List(ctx, all) },
		"rolls":      func() (any, error) { return l.client.Rolls.List(ctx, all) },
		"attachments": func() (any, error) {
			return l.plane.Client().StorageV1().VolumeAttachments().List(ctx, all)
		},
	} {
		objects, err := list()
		if err != nil {
			failed = append(failed, err)
			continue
		}
		text, err := yaml.Marshal(objects)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".yaml"), text, 0o644)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}
