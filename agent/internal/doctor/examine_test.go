package doctor

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/picket-dev/picket/agent/internal/watchdog"
	"github.com/picket-dev/picket/proto/finding"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/systemd"
)

func ms(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Millisecond) }

func candidate(name, identity string, keepers ...watchdog.Keeper) watchdog.Candidate {
	return watchdog.Candidate{
		Info: watchdog.Info{Name: name, Identity: identity, Options: 0x8180, HasOptions: true, Nowayout: watchdog.No, Active: watchdog.No},
		Path: "/dev/" + name, Keepers: keepers,
	}
}

func peer(node string) *peerv1.PeerStatus {
	return &peerv1.PeerStatus{
		Node: node, Addresses: []string{node + ":9735"}, Neighbour: true, Caller: true, OutAge: ms(100), InAge: ms(200), HeardUs: ms(300),
		Witness: true, WithinReach: true,
	}
}

// sound is a node with which nothing is wrong.
func sound() Facts {
	hardware := candidate("watchdog0", "i6300ESB timer", watchdog.Keeper{PID: 700, Name: watchdog.Holder})
	hardware.Measured = 1020
	return Facts{
		Node: "n1",
		Agent: Agent{Status: &peerv1.StatusReply{
			Node: "n1", Phase: "Armed", Version: "v1", LostAfter: ms(2250), Addresses: []string{"n1:9735"},
			Promise:        &peerv1.Promise{RollLife: ms(5000), PetDelay: ms(1000), Timeout: ms(10000), Kappa: 1020},
			WatchdogPolicy: &peerv1.WatchdogPolicy{PetDelay: ms(1000), RealTimeout: ms(10200)},
			Watchdog:       &peerv1.Watchdog{Driver: "i6300esb", Reachable: true, Outlives: true, Verified: true, WorstPetDelay: ms(3)},
			Peers:          []*peerv1.PeerStatus{peer("n2"), peer("n3")},
			Quorums:        []*peerv1.Quorum{{Epoch: 1, Witnesses: 3, Needed: 2, Reached: 3}},
			Endpoints:      []*peerv1.Endpoint{{Url: "https://a:6443", Answered: ms(500), RoundTrip: ms(4)}, {Url: "https://b:6443"}},
		}},
		Machine: Machine{HasMachineID: true, HasUUID: true},
		Dogs: Dogs{
			Choice:      watchdog.Choice{Name: "watchdog0", Timeout: 10 * time.Second},
			Verdicts:    []watchdog.Verdict{{Candidate: hardware, Outcome: watchdog.Chosen}},
			RealTimeout: 10200 * time.Millisecond,
		},
		Systemd: Systemd{There: true, Release: 252, Version: "252.38"},
		Holder:  Holder{PID: 700, Policy: 2, Priority: 1, Locked: 8 << 20, OOM: -1000},
		Sysrq:   Sysrq{Mask: "438"},
		Clock:   Clock{Source: "tsc", Raw: 50 * time.Millisecond, Boot: 50 * time.Millisecond},
		Kernel: Kernel{
			Panic: new(10), PanicOnOops: new(1), HungTaskPanic: new(0), HungTaskTimeout: new(120),
			RealTime: new(950000), Period: new(1000000),
		},
	}
}

// soft makes softdog the only device.
func soft(f *Facts) {
	f.Dogs.Verdicts = []watchdog.Verdict{{Candidate: candidate("watchdog0", "Software Watchdog"), Outcome: watchdog.Chosen}}
}

func unarmedAs(reason string) func(*Facts) { return in("Unarmed", reason) }

// in puts the node into a phase.
func in(phase, reason string) func(*Facts) {
	return func(f *Facts) { f.Agent.Status.Phase, f.Agent.Status.Reason = phase, reason }
}

func TestExamine(t *testing.T) {
	systemdHas := watchdog.Verdict{Candidate: candidate("watchdog0", "i6300ESB timer", watchdog.Keeper{PID: 1, Name: "systemd"}), Outcome: watchdog.Refused, Why: "kept"}
	for _, tt := range []struct {
		name   string
		change func(*Facts)
		want   []string // severity and ID
	}{
		{"sound", func(*Facts) {}, nil},
		{"no agent", func(f *Facts) { f.Agent = Agent{Trouble: "no socket"} }, []string{"warning CannotLook"}},
		{"A12 no watchdog for the agent", unarmedAs("NoWatchdog"), []string{"error Unarmed"}},
		{"observed only", unarmedAs("Observe"), []string{"note Unarmed"}},
		{"excluded", unarmedAs("Excluded"), []string{"note Unarmed"}},
		{"unarmed, and nobody decided it", unarmedAs("PeersLost"), []string{"error Unarmed"}},
		{"starting", in("", ""), []string{"warning Unarmed"}},
		{"arming after an upgrade", in("Arming", ""), []string{"warning Unarmed"}},
		{"armed, and suspected", in("Armed", "Suspected"), nil},
		{"A13 leaving, as its agent was told to", in("Leaving", "Stopping"), []string{"note Unarmed"}},
		{"A13 leaving under mode Observe", in("Leaving", "Observe"), []string{"note Unarmed"}},
		{"A13 leaving for want of peers", in("Leaving", "PeersLost"), []string{"error Unarmed"}},
		{"A1 latched as withheld", in("Latched", "Withheld"), []string{"error Withheld"}},
		{"A6 latched late", in("Latched", "DeadlinePassed"), []string{"error DeadlinePassed"}},
		{"history broken", func(f *Facts) {
			f.Agent.Status.Conditions = []*peerv1.Condition{{Type: "HistoryBroken", Message: "serial 4 after 9"}}
		}, []string{"error HistoryBroken"}},
		{"other condition", func(f *Facts) { f.Agent.Status.Conditions = []*peerv1.Condition{{Type: "StorageUnreachable"}} }, nil},

		{"a container", func(f *Facts) { f.Machine = Machine{SharedKernel: "process 1 is in pid:[1]"} }, []string{"error SharedKernel"}},
		{"a VM that is accepted", func(f *Facts) { f.Machine.Hypervisor = "the CPU says so" }, []string{"warning VirtualMachine"}},
		{"a VM", func(f *Facts) { unarmedAs("VirtualMachine")(f); f.Machine.Hypervisor = "the CPU says so" }, []string{"error Unarmed", "error VirtualMachine"}},
		{"broken glass", func(f *Facts) { f.Machine.BreakGlass = "the file is there" }, []string{"warning BreakGlass"}},
		{"no UUID", func(f *Facts) { f.Machine.HasUUID = false }, []string{"warning NoMachineIdentity"}},
		{"no machine ID", func(f *Facts) { f.Machine.HasMachineID = false }, []string{"warning NoMachineIdentity"}},

		{"watchdogs unseen", func(f *Facts) { f.Dogs = Dogs{Trouble: "permission denied"} }, []string{"warning CannotLook"}},
		{"no watchdog", func(f *Facts) { f.Dogs = Dogs{Choice: watchdog.Choice{Why: "none"}} }, []string{"error NoWatchdog"}},
		{"only systemd's", func(f *Facts) {
			f.Dogs = Dogs{Choice: watchdog.Choice{Why: "none"}, Verdicts: []watchdog.Verdict{systemdHas}}
		}, []string{"error NoWatchdog"}},
		{"softdog to be loaded", func(f *Facts) { f.Dogs = Dogs{Choice: watchdog.Choice{LoadSoftdog: true}} }, []string{"warning WatchdogSoftOnly"}},
		{"softdog beside systemd's", func(f *Facts) {
			soft(f)
			f.Dogs.Verdicts = append(f.Dogs.Verdicts, systemdHas)
		}, []string{"warning WatchdogKeptBySystemd", "warning WatchdogSoftOnly"}},
		{"hardware beside systemd's", func(f *Facts) { f.Dogs.Verdicts = append(f.Dogs.Verdicts, systemdHas) }, nil},
		{"too slow", func(f *Facts) { f.Dogs.Choice.Timeout = 15 * time.Second }, []string{"warning WatchdogSlow"}},
		{"untested", func(f *Facts) {
			f.Agent.Status.Watchdog.Verified, f.Dogs.Verdicts[0].Candidate.Measured = false, 0
		}, []string{"note WatchdogUntested"}},
		{"tested, by the record alone", func(f *Facts) { f.Agent.Status.Watchdog.Verified = false }, nil},
		{"another one that failed", func(f *Facts) {
			bad := candidate("watchdog1", "Strange Dog")
			bad.Failed = "it did not reset"
			f.Dogs.Verdicts = append(f.Dogs.Verdicts, watchdog.Verdict{Candidate: bad, Outcome: watchdog.Refused})
		}, []string{"warning SelfTestFailed"}},

		{"no systemd", func(f *Facts) { f.Systemd = Systemd{}; f.Agent.Status.Watchdog.Outlives = false }, []string{"note NoSystemd"}},
		{"systemd is silent", func(f *Facts) { f.Systemd = Systemd{There: true, Trouble: "timeout"} }, []string{"warning CannotLook"}},
		{"old systemd that pets", func(f *Facts) {
			f.Systemd.Release, f.Systemd.Watchdogs = 242, systemd.Watchdogs{Reboot: 10 * time.Minute}
		}, []string{"error SystemdTooOld"}},
		{"old systemd that does not", func(f *Facts) { f.Systemd.Release = 242 }, nil},
		{"armed under a systemd that pets", func(f *Facts) { f.Systemd.Watchdogs.KExec = systemd.DeviceDefault }, []string{"error SystemdPets"}},
		{"systemd pets another one while the host runs", func(f *Facts) { f.Systemd.Watchdogs.Runtime = time.Minute }, nil},
		{"unarmed under a systemd that pets", func(f *Facts) {
			unarmedAs("Observe")(f)
			f.Systemd.Watchdogs.Reboot = time.Minute
		}, []string{"note Unarmed"}},

		{"no holder", func(f *Facts) { f.Agent.Status.Watchdog.Reachable = false; f.Holder = Holder{} }, []string{"error NoHolder"}},
		{"a child", func(f *Facts) { f.Agent.Status.Watchdog.Outlives = false }, []string{"warning HolderEndsWithAgent"}},
		{"no real time", func(f *Facts) { f.Holder.Policy = 0 }, []string{"warning HolderUnprotected"}},
		{"first in, first out will do", func(f *Facts) { f.Holder.Policy = 1 }, nil},
		{"not locked", func(f *Facts) { f.Holder.Locked = 0 }, []string{"warning HolderUnprotected"}},
		{"may be killed", func(f *Facts) { f.Holder.OOM = 0 }, []string{"warning HolderUnprotected"}},
		{"holder unseen", func(f *Facts) { f.Holder = Holder{Trouble: "permission denied"} }, []string{"warning CannotLook"}},
		{"late pets", func(f *Facts) { f.Agent.Status.Watchdog.WorstPetDelay = ms(500) }, []string{"warning PetsAreLate"}},
		{"pets in time", func(f *Facts) { f.Agent.Status.Watchdog.WorstPetDelay = ms(499) }, nil},

		{"sysrq", func(f *Facts) { f.Sysrq.Trouble = "EACCES" }, []string{"error SysrqUnreachable"}},
		{"no clock", func(f *Facts) { f.Clock.Trouble = "EINVAL" }, []string{"error ClockUnusable"}},
		{"jiffies", func(f *Facts) { f.Clock.Source = "refined-jiffies" }, []string{"error ClockUnusable"}},
		{"a raw clock that stands", func(f *Facts) { f.Clock.Raw = 0 }, []string{"error ClockUnusable"}},
		{"a raw clock that runs away", func(f *Facts) { f.Clock.Raw = 63 * time.Millisecond }, []string{"error ClockUnusable"}},
		{"a slewed BOOTTIME", func(f *Facts) { f.Clock.Boot = 45 * time.Millisecond }, nil},
		{"a new clock", func(f *Facts) { f.Clock.Source = "sundial" }, []string{"note ClockUnknown"}},
		{"no word on the clock", func(f *Facts) { f.Clock.Source = "" }, nil},
		{"panic stays, hardware", func(f *Facts) { f.Kernel.Panic = new(0) }, []string{"note PanicStays"}},
		{"panic stays, softdog", func(f *Facts) { soft(f); f.Kernel.Panic = new(0) }, []string{"warning WatchdogSoftOnly", "warning PanicStays"}},
		{"reboots at once", func(f *Facts) { f.Kernel.Panic = new(-1) }, nil},
		{"oops", func(f *Facts) { f.Kernel.PanicOnOops = new(0) }, []string{"note OopsGoesOn"}},
		{"A10 hung tasks panic", func(f *Facts) { f.Kernel.HungTaskPanic = new(1) }, []string{"warning HungTaskPanics"}},
		{"hung tasks are not looked for", func(f *Facts) { f.Kernel.HungTaskPanic, f.Kernel.HungTaskTimeout = new(1), new(0) }, nil},
		{"settings unknown", func(f *Facts) { f.Kernel = Kernel{} }, nil},
		{"real time unbounded", func(f *Facts) { f.Kernel.RealTime = new(-1) }, []string{"note RealTimeUnbounded"}},

		{"A7 no quorum", func(f *Facts) { f.Agent.Status.Quorums[0].Reached = 1 }, []string{"error PeersLost"}},
		{"one neighbour is lost", func(f *Facts) { lose(f.Agent.Status.Peers[0]) }, []string{"warning PeerUnreachable"}},
		{"all neighbours are lost", func(f *Facts) { lose(f.Agent.Status.Peers[0]); lose(f.Agent.Status.Peers[1]) }, []string{"error PeerUnreachable", "error PeerUnreachable"}},
		{"its pings do not come", func(f *Facts) { f.Agent.Status.Peers[0].InAge = ms(60000) }, []string{"error PeerOneWay"}},
		{"our answers do not arrive", func(f *Facts) { f.Agent.Status.Peers[1].HeardUs = ms(60000) }, []string{"error PeerOneWay"}},

		{"an API server is down", func(f *Facts) {
			f.Agent.Status.Endpoints[1].Failed, f.Agent.Status.Endpoints[1].Error = ms(100), "refused"
		}, []string{"warning APIUnreachable"}},
		{"the API is down", func(f *Facts) {
			for _, e := range f.Agent.Status.Endpoints {
				e.Failed = ms(100)
			}
		}, []string{"error APIUnreachable", "error APIUnreachable"}},
		{"the API is slow", func(f *Facts) { f.Agent.Status.Endpoints[0].RoundTrip = ms(501) }, []string{"warning APISlow"}},
		{"the API is too slow", func(f *Facts) { f.Agent.Status.Endpoints[0].RoundTrip = ms(1251) }, []string{"error APISlow"}},
		{"a long L", func(f *Facts) {
			f.Agent.Status.Promise.RollLife, f.Agent.Status.Endpoints[0].RoundTrip = ms(90000), ms(1251)
		}, nil},
		{"one endpoint", func(f *Facts) { f.Agent.Status.Endpoints = f.Agent.Status.Endpoints[:1] }, []string{"note APISingle"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := sound()
			f.Agent.Status = proto.CloneOf(f.Agent.Status)
			tt.change(&f)
			r := Examine(f)
			var got []string
			for _, x := range r.Findings {
				got = append(got, x.Severity.String()+" "+string(x.ID))
				complete(t, x)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if n := len(r.Checks); n != 11 && (f.Agent.Status != nil || n != 9) {
				t.Errorf("%d checks", n)
			}
		})
	}
}

// complete fails for a finding that leaves its reader alone.
func complete(t *testing.T, f finding.Finding) {
	t.Helper()
	if f.What == "" || f.Why == "" || f.Fix == "" || f.Check == "" || strings.Contains(f.What+f.Why+f.Fix, "%!") {
		t.Errorf("%+v", f)
	}
}

// lose makes a neighbour one of which nothing is heard any more.
func lose(p *peerv1.PeerStatus) {
	p.Lost, p.OutAge, p.InAge, p.HeardUs, p.WithinReach = true, ms(60000), ms(60100), ms(60100), false
}

// What is said of a node is true of its phase: only one that is unarmed is said to
// be, and only one on its way is told to wait.
func TestPhaseIsToldAsItIs(t *testing.T) {
	for _, tt := range []struct {
		phase, reason string
		says, not     []string
	}{
		{"", "", []string{"starting", "wait"}, []string{"promises nothing"}},
		{"Arming", "", []string{"Arming", "wait"}, []string{"promises nothing"}},
		{"Leaving", "PeersLost", []string{"leaving: PeersLost", "until nobody counts on its promise"}, []string{"promises nothing", "wait"}},
		{"Latched", "Withheld", []string{"resetting: Withheld", "new boot", "entry Withheld"}, []string{"unarmed", "promises nothing", "wait"}},
		{"Unarmed", "NoWatchdog", []string{"Unarmed: NoWatchdog", "promises nothing"}, []string{"wait"}},
	} {
		f := sound()
		in(tt.phase, tt.reason)(&f)
		x := Examine(f).Findings[0]
		text := lines(x.What, x.Why, x.Fix)
		for _, s := range tt.says {
			if !strings.Contains(text, s) {
				t.Errorf("%s %s: no %q in:\n%s", tt.phase, tt.reason, s, text)
			}
		}
		for _, s := range tt.not {
			if strings.Contains(text, s) {
				t.Errorf("%s %s: %q in:\n%s", tt.phase, tt.reason, s, text)
			}
		}
	}
}

// The command that opens a port names the peer's own.
func TestFixNamesThePort(t *testing.T) {
	f := sound()
	lose(f.Agent.Status.Peers[0])
	f.Agent.Status.Peers[0].Addresses = []string{"10.0.0.2:9999"}
	if fix := Examine(f).Findings[0].Fix; !strings.Contains(fix, "--add-port=9999/tcp") {
		t.Error(fix)
	}
}
