package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hog runs the lab's bad neighbour on a node, as a pod without any limit, and
// waits until it runs. See command hog for the arguments.
func (r *run) hog(ctx context.Context, n *node, args ...string) error {
	name := "hog-" + args[0]
	token, grace := false, int64(1)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName:                      n.Name(), // past the scheduler: it is about this node
			AutomountServiceAccountToken:  &token,
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{
				Name: "hog", Image: writerImage, ImagePullPolicy: corev1.PullNever,
				Command:      append([]string{"/hog"}, args...),
				VolumeMounts: []corev1.VolumeMount{{Name: "scratch", MountPath: "/scratch"}},
			}},
			Volumes: []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		},
	}
	pods := r.plane.Client().CoreV1().Pods(metav1.NamespaceDefault)
	if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("run a hog: %w", err)
	}
	// A hog may hold its kubelet up before that has reported it: what its
	// container does is what counts.
	return eventually(ctx, 2*time.Minute, name+" to run on "+n.Name(), func(ctx context.Context) error {
		p, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if p.Status.Phase == corev1.PodRunning {
			return nil
		}
		_, err = n.Exec(ctx, "grep -lz '^/hog' /proc/[0-9]*/cmdline | grep -q .")
		if err != nil {
			return errors.New(string(p.Status.Phase))
		}
		return nil
	})
}

// slaughter ends all hogs of a node, and waits until they are gone: the pods, and
// what they have left behind. A kubelet without a process ID to spare cannot end
// them; the kernel can, all of a container at once.
func (r *run) slaughter(ctx context.Context, n *node, names ...string) error {
	pods := r.plane.Client().CoreV1().Pods(metav1.NamespaceDefault)
	for _, name := range names {
		if err := pods.Delete(ctx, "hog-"+name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("end a hog: %w", err)
		}
	}
	return eventually(ctx, 3*time.Minute, "the hogs to be gone", func(ctx context.Context) error {
		err := r.sh(ctx, n, `hogs=$(grep -lz '^/hog' /proc/[0-9]*/cmdline)
			for p in $(echo "$hogs" | head -n 3); do
				c=$(cut -d: -f3 "${p%/cmdline}/cgroup"); [ -w "/sys/fs/cgroup$c/cgroup.kill" ] && echo 1 >"/sys/fs/cgroup$c/cgroup.kill"
			done; [ -z "$hogs" ]`)
		for _, name := range names {
			if _, got := pods.Get(ctx, "hog-"+name, metav1.GetOptions{}); !apierrors.IsNotFound(got) {
				err = errors.Join(err, got, errors.New("hog-"+name+" is there"))
			}
		}
		return err
	})
}
