package gate

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/picket-dev/picket/agent/internal/host"
)

const (
	thisBoot  = "0c0ffee0-0000-4000-8000-000000000002"
	otherBoot = "0c0ffee0-0000-4000-8000-000000000001"
	machineID = "b16b00b5c0ffee0000000000deadbeef"
	systemID  = "4c4c4544-0042-4a10-8036-b4c04f4d3732"
)

// self is this boot.
func self() host.Identity {
	return host.Identity{BootID: thisBoot, MachineID: machineID, SystemUUID: systemID}
}

// left returns the Node as the other boot of this machine left it.
func left(taints ...Taint) Object {
	return Object{Version: "7", Boot: otherBoot, MachineID: machineID, SystemUUID: systemID, Taints: taints}
}

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
		{"another boot withheld (C4)", []Taint{quarantine(otherBoot, "NoSchedule")}, word{Answer, FenceUndecided}},
		{"another boot withheld, among other taints", []Taint{notReady, quarantine(otherBoot, "NoSchedule"), {"disk", "ssd", "NoSchedule"}}, word{Answer, FenceUndecided}},
		{"rejoin guard, or detached (C5, C7)", []Taint{quarantine(otherBoot, "NoSchedule"), quarantine(otherBoot, "NoExecute")}, word{Open, FenceDecided}},
		{"NoExecute alone", []Taint{quarantine(otherBoot, "NoExecute")}, word{Open, FenceDecided}},
		{"another boot fenced, volumes moving (C6)", []Taint{quarantine(otherBoot, "NoSchedule"), quarantine(otherBoot, "NoExecute"), outOfService}, word{Hold, VolumesMoving}},
		{"the same in another order", []Taint{outOfService, quarantine(otherBoot, "NoExecute"), quarantine(otherBoot, "NoSchedule")}, word{Hold, VolumesMoving}},
		{"NoSchedule and out of service", []Taint{quarantine(otherBoot, "NoSchedule"), outOfService}, word{Hold, VolumesMoving}},
		{"this boot withheld", []Taint{quarantine(thisBoot, "NoSchedule")}, word{Open, OwnBoot}},
		{"this boot fenced", []Taint{quarantine(thisBoot, "NoSchedule"), quarantine(thisBoot, "NoExecute"), outOfService}, word{Open, OwnBoot}},
		{"this boot in capitals", []Taint{quarantine(" "+strings.ToUpper(thisBoot), "NoSchedule")}, word{Open, OwnBoot}},
		{"somebody else's out-of-service (C11)", []Taint{outOfService}, word{Open, NotFenced}},
		{"no value", []Taint{quarantine("", "NoSchedule")}, word{Answer, FenceUndecided}},
		{"garbage", []Taint{quarantine("by hand\nleft: 0s", "NoSchedule")}, word{Answer, FenceUndecided}},
		{"garbage, NoExecute", []Taint{quarantine("by hand", "NoExecute")}, word{Open, FenceDecided}},
		{"a weak effect", []Taint{quarantine(otherBoot, "PreferNoSchedule")}, word{Answer, FenceUndecided}},
		{"no effect", []Taint{quarantine(otherBoot, "")}, word{Answer, FenceUndecided}},
		{"NoExecute is for another boot", []Taint{quarantine(otherBoot, "NoSchedule"), quarantine("b0", "NoExecute")}, word{Answer, FenceUndecided}},
		{"this boot and another", []Taint{quarantine(thisBoot, "NoExecute"), quarantine(otherBoot, "NoSchedule")}, word{Answer, FenceUndecided}},
		{"this boot and another, decided", []Taint{quarantine(thisBoot, "NoSchedule"), quarantine(otherBoot, "NoExecute")}, word{Open, FenceDecided}},
		{"a key that only looks like ours", []Taint{{"picket.dev/fenced-off", otherBoot, "NoSchedule"}}, word{Open, NotFenced}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Judge(left(test.taints...), self())
			if diff := cmp.Diff(test.want, word{got.Word, got.Reason}); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
			if got.Text == "" || strings.Contains(got.Text, "\n") {
				t.Errorf("for people: %q", got.Text)
			}
		})
	}
}

// An undecided fence has an answer only where the Node names this machine, and
// none is needed where it names this boot already.
func TestJudgeAnswers(t *testing.T) {
	withheld := quarantine(otherBoot, "NoSchedule")
	for _, test := range []struct {
		name   string
		change func(*Object, *host.Identity)
		word   Word
		reason Reason
	}{
		{"the fenced boot", func(*Object, *host.Identity) {}, Answer, FenceUndecided},
		{"a third boot", func(o *Object, _ *host.Identity) { o.Boot = "b3" }, Answer, FenceUndecided},
		{"no boot", func(o *Object, _ *host.Identity) { o.Boot = "" }, Answer, FenceUndecided},
		{"the UUID in capitals", func(o *Object, _ *host.Identity) { o.SystemUUID = strings.ToUpper(systemID) }, Answer, FenceUndecided},
		{"this boot", func(o *Object, _ *host.Identity) { o.Boot = thisBoot }, Open, FenceAnswered},
		{"this boot, as a kubelet names a machine that we cannot name", func(o *Object, h *host.Identity) { o.Boot, h.SystemUUID = thisBoot, "" }, Open, FenceAnswered},
		{"this boot, and the volumes move", func(o *Object, _ *host.Identity) {
			o.Boot, o.Taints = thisBoot, append(o.Taints, outOfService)
		}, Hold, VolumesMoving},
		{"another machine's ID", func(o *Object, _ *host.Identity) { o.MachineID = "b16b00b5c0ffee0000000000deadbeee" }, Hold, FenceUndecided},
		{"another machine's UUID", func(o *Object, _ *host.Identity) { o.SystemUUID = thisBoot }, Hold, FenceUndecided},
		{"no machine ID", func(o *Object, h *host.Identity) { o.MachineID, h.MachineID = "", "" }, Hold, FenceUndecided},
		{"no UUID", func(o *Object, h *host.Identity) { o.SystemUUID, h.SystemUUID = "", "" }, Hold, FenceUndecided},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, h := left(withheld), self()
			test.change(&o, &h)
			got := Judge(o, h)
			if got.Word != test.word || got.Reason != test.reason {
				t.Errorf("verdict %+v, want %v %s", got, test.word, test.reason)
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
