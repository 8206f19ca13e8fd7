package view

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/proto/matrix"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

// Health is how a node stands, for people and as an exit code.
type Health int

const (
	// Unknown is the zero Health: nobody has judged.
	Unknown Health = iota
	// Fine needs no look.
	Fine
	// Degraded is up, and something is not as it should be.
	Degraded
	// Counting is about to be reset, if nothing changes.
	Counting
)

// Judge returns the node's health and what is wrong, the worst first.
func Judge(r *peerv1.StatusReply) (Health, []string) {
	counting, degraded := countdown(r), slices.Concat(standing(r), network(r))
	switch {
	case len(counting) > 0:
		return Counting, slices.Concat(counting, degraded)
	case len(degraded) > 0:
		return Degraded, degraded
	}
	return Fine, nil
}

// JudgeNetwork is Judge of the links to the peers and the API servers alone.
func JudgeNetwork(r *peerv1.StatusReply) (Health, []string) {
	if wrong := network(r); len(wrong) > 0 {
		return Degraded, wrong
	}
	return Fine, nil
}

// countdown says why the node is about to be reset.
func countdown(r *peerv1.StatusReply) []string {
	left, age := r.GetPetLeft(), r.GetRollAge()
	switch {
	case r.GetPhase() == "Latched":
		return []string{"the node is resetting: " + r.GetReason()}
	case r.GetWatchdog().GetState() == "Testing":
		return []string{"its watchdog is being tested and must reset it"}
	case r.GetWatchdog().GetState() == "Coasting":
		return []string{"the host shuts down under its watchdog"}
	case left != nil && age != nil && left.AsDuration() < age.AsDuration():
		return []string{"no fresh roll: the node resets in " + exact(left)}
	}
	return nil
}

// standing says what is wrong with the node itself.
func standing(r *peerv1.StatusReply) []string {
	var all []string
	if r.GetPhase() != "Armed" || r.GetReason() != "" {
		text := "the node is " + r.GetPhase()
		if r.GetPhase() == "" {
			text = "the agent has decided nothing yet"
		}
		if r.GetReason() != "" {
			text += ": " + r.GetReason()
		}
		all = append(all, text)
	}
	if w := r.GetWatchdog(); w != nil && !w.GetReachable() {
		all = append(all, "picket-holder does not answer")
	}
	if r.GetRefutes() != "" {
		all = append(all, fmt.Sprintf("fence %s suspects this boot, which denies it (A3)", r.GetRefutes()))
	}
	for _, c := range r.GetConditions() {
		all = append(all, c.GetType()+": "+c.GetMessage())
	}
	return all
}

// network says what is wrong with those that the node talks to.
func network(r *peerv1.StatusReply) []string {
	var all []string
	if e := r.GetEndpoints(); len(e) > 0 && !slices.ContainsFunc(e, reachable) && slices.ContainsFunc(e, tried) {
		all = append(all, "no API server gives a roll")
	}
	var gone []string
	var silence *durationpb.Duration // the longest
	for _, p := range r.GetPeers() {
		if linkOf(p, r.GetLostAfter().AsDuration()) != lost {
			continue
		}
		gone = append(gone, p.GetNode())
		if p.GetSince().AsDuration() > silence.AsDuration() {
			silence = p.GetSince()
		}
	}
	if len(gone) > 0 {
		text := fmt.Sprintf("%s lost: %s", screen.Count(len(gone), "neighbour is", "neighbours are"), matrix.Names(gone))
		if silence != nil {
			text += ", silent for " + since(silence)
		}
		all = append(all, text)
	}
	if halved := oneWay(r); len(halved) > 0 {
		all = append(all, fmt.Sprintf("%s one-way: %s", screen.Count(len(halved), "link is", "links are"), matrix.Names(halved)))
	}
	return all
}

// reachable reports whether the endpoint's last question brought a roll.
func reachable(e *peerv1.Endpoint) bool {
	return e.GetAnswered() != nil && (e.GetFailed() == nil || e.GetFailed().AsDuration() > e.GetAnswered().AsDuration())
}

// tried reports whether the endpoint was asked at all.
func tried(e *peerv1.Endpoint) bool { return e.GetAnswered() != nil || e.GetFailed() != nil }
