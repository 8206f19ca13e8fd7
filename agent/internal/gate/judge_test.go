package gate

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	thisBoot  = "0c0ffee0-0000-4000-8000-000000000002"
	otherBoot = "0c0ffee0-0000-4000-8000-000000000001"
)

func quarantine(value, effect string) Taint { return Taint{QuarantineKey, value, effect} }

var (
	outOfService = Taint{OutOfServiceKey, "nodeshutdown", "NoExecute"}
	notReady     = Taint{"node.kubernetes.io/not-ready", "", "NoExecute"}
)

func TestJudge(t *testing.T) {
	type word struct {
		Word   Word
		Reason Reason
	}
	for _, test := range []struct {
		name   string
		taints []Taint
		want   word
	}{
		{"no taint", nil, word{Open, NotFenced}},
		{"taints of others", []Taint{notReady, {"disk", "ssd", "NoSchedule"}}, word{Open, NotFenced}},
		{"another boot withheld (C4)", []Taint{quarantine(otherBoot, "NoSchedule")}, word{Hold, FenceUndecided}},
		{"another boot withheld, among other taints", []Taint{notReady, quarantine(otherBoot, "NoSchedule"), {"disk", "ssd", "NoSchedule"}}, word{Hold, FenceUndecided}},
		{"rejoin guard, or detached (C5, C7)", []Taint{quarantine(otherBoot, "NoSchedule"), quarantine(otherBoot, "NoExecute")}, word{Open, FenceDecided}},
		{"NoExecute alone", []Taint{quarantine(otherBoot, "NoExecute")}, word{Open, FenceDecided}},
		{"another boot fenced, volumes moving (C6)", []Taint{quarantine(otherBoot, "NoSchedule"), quarantine(otherBoot, "NoExecute"), outOfService}, word{Hold, VolumesMoving}},
		{"the same in another order", []Taint{outOfService, quarantine(otherBoot, "NoExecute"), quarantine(otherBoot, "NoSchedule")}, word{Hold, VolumesMoving}},
		{"NoSchedule and out of service", []Taint{quarantine(otherBoot, "NoSchedule"), outOfService}, word{Hold, VolumesMoving}},
		{"this boot withheld", []Taint{quarantine(thisBoot, "NoSchedule")}, word{Open, OwnBoot}},
		{"this boot fenced", []Taint{quarantine(thisBoot, "NoSchedule"), quarantine(thisBoot, "NoExecute"), outOfService}, word{Open, OwnBoot}},
		{"this boot in capitals", []Taint{quarantine(" "+strings.ToUpper(thisBoot), "NoSchedule")}, word{Open, OwnBoot}},
		{"somebody else's out-of-service (C11)", []Taint{outOfService}, word{Open, NotFenced}},
		{"no value", []Taint{quarantine("", "NoSchedule")}, word{Hold, FenceUndecided}},
		{"garbage", []Taint{quarantine("by hand\nleft: 0s", "NoSchedule")}, word{Hold, FenceUndecided}},
		{"garbage, NoExecute", []Taint{quarantine("by hand", "NoExecute")}, word{Open, FenceDecided}},
		{"a weak effect", []Taint{quarantine(otherBoot, "PreferNoSchedule")}, word{Hold, FenceUndecided}},
		{"no effect", []Taint{quarantine(otherBoot, "")}, word{Hold, FenceUndecided}},
		{"NoExecute is for another boot", []Taint{quarantine(otherBoot, "NoSchedule"), quarantine("b0", "NoExecute")}, word{Hold, FenceUndecided}},
		{"this boot and another", []Taint{quarantine(thisBoot, "NoExecute"), quarantine(otherBoot, "NoSchedule")}, word{Hold, FenceUndecided}},
		{"this boot and another, decided", []Taint{quarantine(thisBoot, "NoSchedule"), quarantine(otherBoot, "NoExecute")}, word{Open, FenceDecided}},
		{"a key that only looks like ours", []Taint{{"picket.dev/fenced-off", otherBoot, "NoSchedule"}}, word{Open, NotFenced}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Judge(test.taints, thisBoot)
			if diff := cmp.Diff(test.want, word{got.Word, got.Reason}); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			if got.Text == "" || strings.Contains(got.Text, "\n") {
				t.Errorf("for people: %q", got.Text)
			}
		})
	}
}

// The controller sets what the gate reads, and neither may import the other.
func TestTheControllerUsesTheSameKeys(t *testing.T) {
	text, err := os.ReadFile("../../../controller/plan/taint.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`const QuarantineKey = "` + QuarantineKey + `"`,
		`const OutOfServiceKey = "` + OutOfServiceKey + `"`,
	} {
		if !strings.Contains(string(text), line) {
			t.Errorf("controller/plan/taint.go has no %s", line)
		}
	}
}
