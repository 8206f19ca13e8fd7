package teardown

import (
	"slices"
)

// A doomed pod uses what is torn down, and still has processes.
type doomed struct {
	Pod
	by *stack // one that it uses
}

func (h *host) doomed() []doomed {
	var pods []doomed
	for _, p := range h.Pods {
		i := slices.IndexFunc(h.stacks, func(s *stack) bool { return s.clears() && slices.Contains(s.pods, p.UID) })
		if i >= 0 && p.Processes > 0 {
			pods = append(pods, doomed{p, h.stacks[i]})
		}
	}
	return pods
}

func (h *host) freeze() []Step {
	var steps []Step
	for _, p := range h.doomed() {
		if !p.Frozen {
			st := p.by.step(Freeze, "a frozen process neither writes nor starts another")
			st.Pod, st.Cgroup = p.UID, p.Cgroup
			steps = append(steps, st)
		}
	}
	return steps
}

func (h *host) kill() []Step {
	var steps []Step
	for _, p := range h.doomed() {
		st := p.by.step(Kill, "it holds the volume; what its end would write is cut off")
		st.Pod, st.Cgroup = p.UID, p.Cgroup
		steps = append(steps, st)
		for _, s := range h.stacks {
			s.planned = s.planned || slices.Contains(s.pods, p.UID)
		}
	}
	return steps
}
