package doctor

import (
	"cmp"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/picket-dev/picket/agent/internal/view"
	"github.com/picket-dev/picket/proto/finding"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
	"github.com/picket-dev/picket/proto/timing"
)

// peers judges both directions of each link, as the agent has measured them.
func peers(f Facts) (string, []finding.Finding) {
	s := f.Agent.Status
	if s == nil {
		return "", nil // nobody else knows
	}
	var found []finding.Finding
	for _, q := range s.GetQuorums() {
		if q.GetReached() < q.GetNeeded() {
			found = append(found, finding.Finding{
				ID: PeersLost, Severity: finding.Error,
				What: fmt.Sprintf("%d of the %d witnesses of epoch %d answer, and %d must", q.GetReached(), q.GetWitnesses(), q.GetEpoch(), q.GetNeeded()),
				Why:  "in an API outage the node would find no roll, and so it becomes unarmed (A7)",
				Fix:  "picket-agent matrix    # a host, a rack, or the port?",
			})
		}
	}
	faults := view.Faults(s)
	silent := 0
	for _, x := range faults {
		if !x.OneWay && x.Peer.GetLost() {
			silent++
		}
	}
	neighbours := 0
	for _, p := range s.GetPeers() {
		if p.GetNeighbour() {
			neighbours++
		}
	}
	for _, x := range faults {
		found = append(found, link(s, x, silent == neighbours))
	}
	return fmt.Sprintf("%s, %s not well", screen.Count(len(s.GetPeers()), "peer", "peers"), screen.Count(len(faults), "link", "links")), found
}

// link judges one link that is not well. A machine that is down answers nobody; a
// direction that works shows that it is not down.
func link(s *peerv1.StatusReply, x view.Fault, all bool) finding.Finding {
	p := x.Peer
	at := cmp.Or(strings.Join(p.GetAddresses(), ", "), "no address known")
	f := finding.Finding{
		ID: PeerUnreachable, Severity: finding.Warning, What: fmt.Sprintf("%s (%s): %s", p.GetNode(), at, x.Why),
		Why: "it is down, or its port is blocked: agents must reach each other both ways, or their nodes look dead to each other (C1)",
		Fix: lines("# on "+p.GetNode()+": does its agent run, and is the port open?", open(p.GetAddresses())),
	}
	if x.OneWay {
		f.ID, f.Severity = PeerOneWay, finding.Error
		f.Why = "a node that is heard one way only counts as lost on the other side, which accuses a live one (C1)"
		f.Fix = lines("# on both nodes, and on every firewall between them:", open(append(p.GetAddresses(), s.GetAddresses()...)))
	}
	if all && p.GetNeighbour() {
		f.Severity = finding.Error
		f.Fix = lines("# no neighbour answers, so look at this node first:", open(s.GetAddresses()))
	}
	return f
}

// open is the command that opens the agents' port.
func open(addresses []string) string {
	port := "9735"
	for _, a := range addresses {
		if _, p, err := net.SplitHostPort(a); err == nil {
			port = p
			break
		}
	}
	return fmt.Sprintf("firewall-cmd --permanent --add-port=%s/tcp && firewall-cmd --reload    # or: ufw allow %s/tcp", port, port)
}

// api judges the API servers by the rolls that came from them. A roll's life
// counts from when it was asked for: a slow answer has used up part of it.
func api(f Facts) (string, []finding.Finding) {
	s := f.Agent.Status
	if s == nil {
		return "", nil // nobody else knows
	}
	life, of := s.GetPromise().GetRollLife().AsDuration(), "L"
	if life == 0 {
		life, of = timing.Standard().RollLife, "the standard profile's L"
	}
	var found []finding.Finding
	var saw []string
	answering := 0
	for _, e := range s.GetEndpoints() {
		if view.Reachable(e) {
			answering++
		}
	}
	for _, e := range s.GetEndpoints() {
		switch took := e.GetRoundTrip().AsDuration(); {
		case e.GetAnswered() == nil && e.GetFailed() == nil:
			saw = append(saw, e.GetUrl()+" not asked yet")
		case !view.Reachable(e):
			saw = append(saw, e.GetUrl()+" silent")
			found = append(found, silent(e, answering == 0))
		default:
			saw = append(saw, fmt.Sprintf("%s %v", e.GetUrl(), took.Round(time.Millisecond)))
			found = append(found, slow(e.GetUrl(), took, life, of)...)
		}
	}
	if len(s.GetEndpoints()) == 1 {
		found = append(found, finding.Finding{
			ID: APISingle, Severity: finding.Note, What: "the agent knows one way to the API: " + s.GetEndpoints()[0].GetUrl(),
			Why: "if that is the service's address it depends on kube-proxy, if it is a balancer on that: what fails there looks like an API outage",
			Fix: "helm upgrade picket deploy/chart --reuse-values --set 'agent.apiEndpoints={https://SERVER1:6443,https://SERVER2:6443}'",
		})
	}
	return strings.Join(saw, "; "), found
}

func silent(e *peerv1.Endpoint, none bool) finding.Finding {
	x := finding.Finding{
		ID: APIUnreachable, Severity: finding.Warning, What: fmt.Sprintf("%s gives no roll: %s", e.GetUrl(), e.GetError()),
		Why: "one way to the API less: the others must carry the node",
		Fix: "curl -sk -m 2 -o /dev/null -w '%{http_code} %{time_total}s\\n' " + e.GetUrl() + "/livez",
	}
	if none {
		x.Severity = finding.Error
		x.Why = "no API server gives a roll: the node lives on its witnesses, and resets if they go, too"
	}
	return x
}

// slow judges an answer that took that long: a tenth of L is much, and beyond a
// quarter, which is the usual deadline of a request, rolls are missed.
func slow(url string, took, life time.Duration, of string) []finding.Finding {
	x := finding.Finding{
		ID: APISlow, Severity: finding.Warning, What: fmt.Sprintf("%s took %v for a roll, and %s is %v", url, took.Round(time.Millisecond), of, life),
		Why: "so much of a roll's life is over when it comes; requests that take longer than a quarter of it may be missed altogether",
		Fix: lines("kubectl get --raw /metrics | grep -E 'etcd_request_duration_seconds_sum|apiserver_flowcontrol_rejected'    # a slow etcd, or a busy server?",
			"# where it stays so: policy.profile patient"),
	}
	switch {
	case took <= life/10:
		return nil
	case took > life/4:
		x.Severity = finding.Error
	}
	return one(x)
}
