package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/timing"
	"github.com/picket-dev/picket/test/cluster/proxy"
	"github.com/picket-dev/picket/test/cluster/rawclock"
)

// armedWriter waits until all is armed, and starts a workload.
func (r *run) armedWriter(ctx context.Context) (*workload, error) {
	if err := r.allArmed(ctx); err != nil {
		return nil, err
	}
	return r.deploy(ctx, "db")
}

// victim is an armed writer whose node may reset from now on, and stays off
// then. The timeline starts anew.
func (r *run) victim(ctx context.Context) (*workload, timing.Promise, error) {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return nil, timing.Promise{}, err
	}
	promise, err := r.promise(ctx, w.node.Name)
	r.doom(w.node.Name)
	w.node.Machine.SetStayOff(true)
	r.start = rawclock.Now()
	return w, promise, err
}

// cut takes a node's power away for good, and starts the timeline anew.
func (r *run) cut(w *workload) time.Duration {
	w.node.Machine.SetStayOff(true)
	r.start = rawclock.Now()
	w.node.Machine.PowerCut()
	return r.start
}

// failsOver waits for the taint of a workload's dead node, measures it, and
// waits until the workload runs elsewhere.
func (r *run) failsOver(ctx context.Context, w *workload, cut time.Duration) error {
	promise, err := r.promise(ctx, w.node.Name)
	if err != nil {
		return err
	}
	if err := r.tainted(ctx, w.node.Name, cut, promise); err != nil {
		return err
	}
	return r.moved(ctx, w)
}

func powerCut(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	if err := r.failsOver(ctx, w, r.cut(w)); err != nil {
		return err
	}
	node := w.node.Name
	if err := r.fencePhase(ctx, time.Minute, node, v1alpha1.FenceDetached); err != nil {
		return err
	}
	r.say("the power of %s is back", node)
	if err := w.node.Machine.PowerOn(); err != nil {
		return err
	}
	if err := r.fencePhase(ctx, time.Minute, node, v1alpha1.FenceRecovered); err != nil {
		return err
	}
	return r.phase(ctx, time.Minute, "Armed", node)
}

func agentKilled(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		if err := killWorker(w.node.Machine.Process); err != nil {
			return err
		}
		r.say("killed the agent's worker on %s", w.node.Name)
		if err := r.stays(ctx, r.profile.RollLife, "the agent restarts", r.calm); err != nil {
			return err
		}
	}
	return r.phase(ctx, 10*time.Second, "Armed", r.names()...)
}

func agentHolderKilled(ctx context.Context, r *run) error {
	w, promise, err := r.victim(ctx)
	if err != nil {
		return err
	}
	cut := r.start
	if err := errors.Join(w.node.Machine.Signal("agent", syscall.SIGKILL), w.node.Machine.Signal("holder", syscall.SIGKILL)); err != nil {
		return err
	}
	if err := r.tainted(ctx, w.node.Name, cut, promise); err != nil {
		return err
	}
	if err := r.resetBefore(w.node.Name); err != nil {
		return err
	}
	// Its kubelet was alive until the reset, and may have shown signs of life
	// after the withholding: the bound of a power cut does not apply.
	r.failover, r.bound = 0, 0
	return r.moved(ctx, w)
}

// resetBefore fails unless the machine was reset before its taint.
func (r *run) resetBefore(nodes ...string) error {
	for _, n := range nodes {
		reset, ok := r.resetOf(n)
		if !ok {
			return fmt.Errorf("%s was never reset", n)
		}
		for _, f := range r.fences() {
			if f.Node == n && f.Tainted < reset.At {
				return fmt.Errorf("%s was tainted %v before its reset", n, reset.At-f.Tainted)
			}
		}
	}
	return nil
}

func isolatedNode(ctx context.Context, r *run) error {
	w, promise, err := r.victim(ctx)
	if err != nil {
		return err
	}
	cut := r.start
	r.Isolate(w.node.Name, proxy.Cut())
	if err := r.tainted(ctx, w.node.Name, cut, promise); err != nil {
		return err
	}
	if err := r.resetBefore(w.node.Name); err != nil {
		return err
	}
	return r.moved(ctx, w)
}

func falseSuspicion(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	pause := r.profile.RollLife * 4 / 5
	if r.profile.RollLife == 5*time.Second {
		pause = 4 * time.Second
	}
	r.say("the agent of %s pauses for %v", w.node.Name, pause)
	if err := w.node.Machine.Signal("agent", syscall.SIGSTOP); err != nil {
		return err
	}
	stopped := r.stays(ctx, pause, "paused", r.calm)
	if err := errors.Join(stopped, w.node.Machine.Signal("agent", syscall.SIGCONT)); err != nil {
		return err
	}
	if err := r.stays(ctx, 2*r.profile.RollLife+5*time.Second, "after the pause", r.calm); err != nil {
		return err
	}
	if err := r.suspectedAndRefuted(ctx, w.node.Name); err != nil {
		return err
	}
	return r.phase(ctx, 10*time.Second, "Armed", r.names()...)
}

// suspectedAndRefuted fails unless a fence of the node suspected it in the Roll, and
// was refuted: its timeline says both.
func (r *run) suspectedAndRefuted(ctx context.Context, node string) error {
	return r.eventually(ctx, 30*time.Second, node+" to have been suspected, and the suspicion refuted", func(ctx context.Context) error {
		f, err := r.fenceOf(ctx, node)
		if err != nil {
			return err
		}
		suspected := slices.ContainsFunc(f.Status.Timeline, func(s v1alpha1.Step) bool { return strings.HasPrefix(s.What, "suspected at serial") })
		if !suspected || f.Status.Phase != v1alpha1.FenceRefuted {
			return fmt.Errorf("phase %s, timeline %v", f.Status.Phase, f.Status.Timeline)
		}
		return nil
	})
}

func suspectedAgain(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	r.say("%s loses its peers, and keeps the API", w.node.Name)
	r.Mesh.Isolate(w.node.Name, proxy.Cut())
	twice := func(ctx context.Context) error {
		list, err := r.Client.NodeFences.List(ctx, listAll)
		if err != nil {
			return err
		}
		refuted := 0
		for _, f := range list.Items {
			if f.Status.Node == w.node.Name && f.Status.Phase == v1alpha1.FenceRefuted {
				refuted++
			}
		}
		if refuted < 2 {
			return fmt.Errorf("%d suspicions were refuted", refuted)
		}
		return r.calm(ctx)
	}
	if err := r.eventually(ctx, 25*time.Second, "two refutations in a row", twice); err != nil {
		return err
	}
	r.Mesh.Isolate(w.node.Name, proxy.Pass())
	if err := r.stays(ctx, 10*time.Second, "afterwards", r.calm); err != nil {
		return err
	}
	return r.phase(ctx, 30*time.Second, "Armed", r.names()...)
}

func fastReboot(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	r.cut(w)
	if err := r.fencePhase(ctx, 30*time.Second, w.node.Name, v1alpha1.FenceWithheld); err != nil {
		return err
	}
	r.say("the power of %s is back", w.node.Name)
	if err := w.node.Machine.PowerOn(); err != nil {
		return err
	}
	if err := r.fencePhase(ctx, 30*time.Second, w.node.Name, v1alpha1.FenceRecovered); err != nil {
		return err
	}
	if err := r.stays(ctx, 10*time.Second, "after the reboot", r.calm); err != nil {
		return err
	}
	return r.phase(ctx, 30*time.Second, "Armed", r.names()...)
}

func agentUpgrade(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	agent, err := w.node.Machine.Process("agent")
	if err != nil {
		return err
	}
	if err := agent.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-agent.Done():
	case <-time.After(20 * time.Second):
		return errors.New("the agent did not exit within 20 s of SIGTERM")
	}
	if code := agent.State().ExitCode(); code != 0 {
		return fmt.Errorf("the agent exited with %d", code)
	}
	if err := r.phase(ctx, 5*time.Second, "Unarmed", w.node.Name); err != nil {
		return err
	}
	if err := r.stays(ctx, 3*r.profile.RollLife, "without an agent", r.calm); err != nil {
		return err
	}
	if err := w.node.Machine.Start("agent"); err != nil {
		return err
	}
	return r.phase(ctx, 30*time.Second, "Armed", r.names()...)
}

func shutdownLeftOff(ctx context.Context, r *run) error {
	w, err := r.armedWriter(ctx)
	if err != nil {
		return err
	}
	agent, err := w.node.Machine.Process("agent")
	if err != nil {
		return err
	}
	// systemd's shutdown leaves this mark before it stops services.
	mark := filepath.Join(w.node.Machine.Identity().Root, "run/picket/shutdown")
	if err := errors.Join(os.WriteFile(mark, nil, 0o600), agent.Signal(syscall.SIGTERM)); err != nil {
		return err
	}
	<-agent.Done()
	promise, err := r.promise(ctx, w.node.Name)
	if err != nil {
		return err
	}
	if promise.Timeout < r.profile.ShutdownTimeout*9/10 {
		return fmt.Errorf("the node shut down under T = %v, not under the long one", promise.Timeout)
	}
	if err := w.node.Machine.Signal("holder", syscall.SIGTERM); err != nil {
		return err
	}
	return r.failsOver(ctx, w, r.cut(w))
}

func twoNodes(ctx context.Context, r *run) error {
	saysWhy := func(ctx context.Context) error {
		g, err := r.guard(ctx, r.Nodes[0].Name)
		if err != nil {
			return err
		}
		if g.Status.Reason != "TooFewNodes" {
			return fmt.Errorf("the reason is %q, not TooFewNodes", g.Status.Reason)
		}
		return nil
	}
	if err := r.eventually(ctx, 30*time.Second, "word of why nobody arms", saysWhy); err != nil {
		return err
	}
	if err := r.phase(ctx, 30*time.Second, "Unarmed", r.names()...); err != nil {
		return err
	}
	r.Nodes[1].Machine.SetStayOff(true)
	r.Nodes[1].Machine.PowerCut()
	return r.stays(ctx, 2*timingOf(r), "one of two is dead", r.calm)
}

// killWorker ends the worker below the agent's supervisor, as a crash would.
func killWorker(process processes) error {
	agent, err := process("agent")
	if err != nil {
		return err
	}
	pid := strconv.Itoa(agent.PID())
	children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		return fmt.Errorf("find the agent's worker: %w", err)
	}
	fields := strings.Fields(string(children))
	if len(fields) != 1 {
		return fmt.Errorf("the agent has %d children, not one worker", len(fields))
	}
	worker, err := strconv.Atoi(fields[0])
	if err != nil {
		return err
	}
	return syscall.Kill(worker, syscall.SIGKILL)
}
