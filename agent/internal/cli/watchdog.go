package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/picket-dev/picket/agent/internal/daemon"
	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/view"
	"github.com/picket-dev/picket/agent/internal/watchdog"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
	"github.com/picket-dev/picket/proto/timing"
)

// watchdogFlags say where to look and what to choose by. What is not given
// comes from the running agent, else it is the default of the policy.
type watchdogFlags struct {
	flags
	root                             string
	prefer, device, systemd, profile string
}

// watchdogCommand shows the devices. It needs no running agent and opens none of
// them.
func watchdogCommand() *cobra.Command {
	var f watchdogFlags
	cmd := &cobra.Command{
		Use:   "watchdog",
		Short: "Show all watchdogs, who holds them, and which one would be chosen and why",
		Long: "Shows every watchdog of the machine, who holds it, and which one the agent would choose\n" +
			"and why not the others. It opens none of them and works without a running agent.\n" +
			"Exit code: 0 there is one to use, 1 there is none, 3 it cannot be told.",
		Example: "  picket-agent watchdog\n" +
			"  picket-agent watchdog --prefer Softdog   # what if the policy said so\n" +
			"  picket-agent watchdog self-test          # can it be tested now?",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.show(cmd.Context(), cmd.OutOrStdout()) },
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.root, "root", hostRoot(), "the host's root directory, with its sys, dev and proc")
	cmd.Flags().StringVar(&f.prefer, "prefer", "", "Hardware or Softdog, instead of the policy's word")
	cmd.Flags().StringVar(&f.device, "device", "", "the one device to choose, such as watchdog1, instead of the policy's word")
	cmd.Flags().StringVar(&f.systemd, "systemd", "", "Cooperate or TakeOver, instead of the policy's word")
	cmd.AddCommand(selfTestCommand())
	cmd.Flags().StringVar(&f.profile, "profile", "", "standard, fast or patient, instead of the profile in force")
	return cmd
}

// A watchdogReport is what `picket-agent watchdog` shows.
type watchdogReport struct {
	Chosen      string           `json:"chosen"`
	LoadSoftdog bool             `json:"loadSoftdog"`
	TakeOver    bool             `json:"takeOver"`
	Why         string           `json:"why"`
	Devices     []watchdogDevice `json:"devices"`
	// SelfTest is what came of the last self-test; empty if there was none.
	SelfTest string         `json:"selfTest"`
	Policy   watchdogPolicy `json:"policy"`
}

type watchdogDevice struct {
	Name     string   `json:"name"`
	Path     string   `json:"path"`
	Driver   string   `json:"driver"`
	Identity string   `json:"identity"`
	Kind     string   `json:"kind"`
	Min      string   `json:"min"`
	Max      string   `json:"max"`
	Kappa    float64  `json:"kappa"`
	Measured bool     `json:"measured"`
	Nowayout string   `json:"nowayout"`
	Active   string   `json:"active"`
	Holders  []string `json:"holders"`
	Verdict  string   `json:"verdict"`
	Why      string   `json:"why"`
}

// watchdogPolicy is what the choice was made by, and where that came from.
type watchdogPolicy struct {
	Prefer   string `json:"prefer"`
	Device   string `json:"device"`
	Systemd  string `json:"systemd"`
	Outlives bool   `json:"outlives"`
	// Source is agent or default, for what no flag says.
	Source string `json:"source"`
}

// askPolicy returns the running agent's word, or nil.
func (f watchdogFlags) askPolicy(ctx context.Context) *peerv1.WatchdogPolicy {
	r, err := askStatus(ctx, f.run, 0)
	if err != nil {
		return nil
	}
	return r.GetWatchdogPolicy()
}

// preference returns what to choose by.
func (f watchdogFlags) preference(ctx context.Context) (watchdog.Preference, watchdogPolicy, error) {
	said := f.askPolicy(ctx)
	profile, err := timing.Named(cmp.Or(f.profile, "standard"))
	if err != nil {
		return watchdog.Preference{}, watchdogPolicy{}, fmt.Errorf("--profile: %w", err)
	}
	p := watchdogPolicy{
		Prefer: cmp.Or(f.prefer, said.GetPrefer(), "Hardware"), Device: cmp.Or(f.device, said.GetDevice()),
		Systemd: cmp.Or(f.systemd, said.GetSystemd(), "Cooperate"), Source: "agent",
	}
	// A holder that is not there yet would be run by systemd.
	_, err = os.Stat(filepath.Join(f.root, "run/systemd/system"))
	p.Outlives = err == nil || said.GetOutlives()
	if said == nil {
		p.Source = "default"
	} else if f.profile == "" {
		profile.RealTimeout = said.GetRealTimeout().AsDuration()
		profile.PetDelay = said.GetPetDelay().AsDuration()
		profile.ShutdownTimeout = said.GetShutdownTimeout().AsDuration()
	}
	w := watchdog.Preference{Device: p.Device, Outlives: p.Outlives, MayLoad: true, Profile: profile}
	switch p.Prefer {
	case "Hardware":
	case "Softdog":
		w.Softdog = true
	default:
		return w, p, fmt.Errorf("--prefer %s: use Hardware or Softdog", p.Prefer)
	}
	switch p.Systemd {
	case "Cooperate":
	case "TakeOver":
		w.Systemd = watchdog.TakeOver
	default:
		return w, p, fmt.Errorf("--systemd %s: use Cooperate or TakeOver", p.Systemd)
	}
	return w, p, nil
}

func (f watchdogFlags) show(ctx context.Context, out io.Writer) error {
	if err := f.check(); err != nil {
		return err
	}
	r, err := f.report(ctx)
	if err != nil {
		return err
	}
	if err := f.render(out, func() ([]byte, error) { return value(r) }, r.table); err != nil {
		return err
	}
	if r.Chosen == "" {
		return &state{exitDegraded, "no watchdog can be used as things are"}
	}
	return nil
}

// choose looks at the host's watchdogs and chooses as the agent would. A record of
// self-tests that cannot be read hides nothing else.
func (f watchdogFlags) choose(prefer watchdog.Preference) (watchdog.Choice, []watchdog.Verdict, tests, error) {
	candidates, err := watchdog.List(watchdog.Roots{
		Sys: filepath.Join(f.root, "sys"), Dev: filepath.Join(f.root, "dev"), Proc: filepath.Join(f.root, "proc"),
	})
	if err != nil {
		return watchdog.Choice{}, nil, tests{}, err
	}
	h := host.Config{Root: f.root, State: daemon.Default().State}
	record, broken := host.NewDisk[watchdog.Record](h, watchdog.RecordFile).Load()
	record.Apply(candidates, host.KernelRelease(h))
	choice, verdicts := watchdog.Choose(candidates, prefer)
	return choice, verdicts, tests{record, broken}, nil
}

// tests is what self-tests left, or why that cannot be read.
type tests struct {
	record watchdog.Record
	broken error
}

// report looks at the host's watchdogs.
func (f watchdogFlags) report(ctx context.Context) (watchdogReport, error) {
	prefer, policy, err := f.preference(ctx)
	if err != nil {
		return watchdogReport{}, err
	}
	choice, verdicts, tested, err := f.choose(prefer)
	if err != nil {
		return watchdogReport{}, err
	}
	record, broken := tested.record, tested.broken
	r := watchdogReport{
		Chosen: choice.Name, LoadSoftdog: choice.LoadSoftdog, TakeOver: choice.TakeOver, Why: choice.Why,
		Devices: []watchdogDevice{}, SelfTest: record.Last, Policy: policy,
	}
	if t := record.Trial; t != nil {
		r.SelfTest = "begun at " + t.Began.UTC().Format(time.RFC3339) + ", and its result is not known yet"
	}
	if broken != nil {
		r.SelfTest = "what self-tests found is lost: " + broken.Error()
	}
	for _, v := range verdicts {
		r.Devices = append(r.Devices, deviceOf(v))
	}
	return r, nil
}

func deviceOf(v watchdog.Verdict) watchdogDevice {
	c := v.Candidate
	facts := c.Facts()
	d := watchdogDevice{
		Name: c.Name, Path: c.Path, Driver: facts.Driver, Identity: c.Identity, Kind: facts.Kind.String(),
		Min: bound(facts.Min), Max: bound(facts.Max), Kappa: float64(facts.Kappa) / 1000, Measured: c.Measured > 0,
		Nowayout: c.Nowayout.String(), Active: c.Active.String(), Holders: []string{}, Verdict: v.Outcome.String(), Why: v.Why,
	}
	for _, k := range c.Keepers {
		d.Holders = append(d.Holders, k.String())
	}
	return d
}

// bound writes a bound of the timeout; unknown is empty.
func bound(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func (r watchdogReport) table(to *screen.Screen) {
	t := view.Columns{Of: []view.Column{
		{Head: "NAME"}, {Head: "DRIVER"}, {Head: "KIND", Rank: 4}, {Head: "TIMEOUT", Rank: 1}, {Head: "κ", Rank: 2},
		{Head: "NOWAYOUT", Rank: 3}, {Head: "ACTIVE", Rank: 2}, {Head: "HELD BY"}, {Head: "VERDICT"},
	}}
	for _, d := range r.Devices {
		t.Add(screen.Say(d.Name), screen.Say(d.Driver), screen.Say(d.Kind), screen.Say(cmp.Or(d.Min, "?")+"–"+cmp.Or(d.Max, "?")),
			screen.Say(d.kappa()), screen.Say(d.Nowayout), screen.Say(d.Active),
			screen.Say(cmp.Or(strings.Join(d.Holders, ", "), "-")), d.verdict(d.Verdict))
	}
	if len(r.Devices) == 0 {
		to.Line(screen.Say("the host has no watchdog device"))
	} else {
		t.Show(to)
	}
	to.Space()
	var below screen.Table
	for _, d := range r.Devices {
		below.Add(screen.Say(d.Name), d.verdict(d.Verdict+": "+d.Why))
	}
	if r.Chosen == "" {
		below.Add(screen.Say("next"), screen.Cell{Text: r.Why, Tone: screen.Warn})
	}
	below.Add(screen.Say("self-test"), screen.Say(cmp.Or(r.SelfTest, "never done; drain the node, then picket-agent watchdog self-test")))
	below.Add(screen.Say("policy"), screen.Say(fmt.Sprintf("prefer %s, systemd %s%s (%s)", r.Policy.Prefer, r.Policy.Systemd, named(r.Policy.Device), r.Policy.source())))
	to.Table(below)
}

// kappa says κ and how it is known.
func (d watchdogDevice) kappa() string {
	text := fmt.Sprintf("%.2f", d.Kappa)
	switch {
	case d.Measured:
		return text + " measured"
	case d.Kappa == watchdog.UnknownKappa/1000 && d.Driver == "unknown":
		return text + " assumed"
	}
	return text
}

// verdict is a text that looks like the device's verdict.
func (d watchdogDevice) verdict(text string) screen.Cell {
	c := screen.Say(text)
	switch d.Verdict {
	case "chosen":
		c.Tone = screen.Good
	case "refused":
		c.Tone = screen.Warn
	}
	return c
}

func named(device string) string {
	if device == "" {
		return ""
	}
	return ", device " + device
}

func (p watchdogPolicy) source() string {
	if p.Source == "agent" {
		return "as the agent was told"
	}
	return "assumed, as no agent answers"
}
