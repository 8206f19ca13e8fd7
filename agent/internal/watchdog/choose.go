package watchdog

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/picket-dev/picket/proto/timing"
)

// Stance says what to do about a device that init (PID 1) holds: systemd's
// RuntimeWatchdogSec. The zero Stance is Cooperate.
type Stance uint8

const (
	// Cooperate leaves init its dog, which then covers a dead kernel, and takes
	// another one.
	Cooperate Stance = iota
	// TakeOver makes init give its dog up.
	TakeOver
)

// String returns the word of the policy.
func (s Stance) String() string {
	switch s {
	case Cooperate:
		return "Cooperate"
	case TakeOver:
		return "TakeOver"
	}
	return fmt.Sprintf("Stance(%d)", uint8(s))
}

// Holder is the name of our own process that keeps a device.
const Holder = "picket-holder"

// Preference is what the policy and the host ask of a device.
type Preference struct {
	// Softdog prefers softdog to hardware.
	Softdog bool
	// Device names the one device to use, such as watchdog1; empty: choose.
	Device string
	// Systemd is the stance towards a device that init holds.
	Systemd Stance
	// Outlives says that the holder will outlive the agent and its pod. Only
	// then may the device be nowayout.
	Outlives bool
	// MayLoad says that softdog can be loaded. Whoever tried in vain asks
	// again without.
	MayLoad bool
	// Mine is the device that a holder of ours was launched for in this boot,
	// or empty. It counts as ours also while that holder restarts and only
	// systemd's FD store keeps the device. A holder that runs is recognised
	// without it.
	Mine string
	// Profile gives the bounds on κT.
	Profile timing.Profile
}

// A Choice says which device to use. The zero Choice is none.
type Choice struct {
	// Name is the kernel's name of the chosen device; empty: none is usable
	// as things are.
	Name string
	// Path is the device node.
	Path string
	// Timeout is the T for the profile in force: the longest with κT within
	// RealTimeout, or the device's minimum.
	Timeout time.Duration
	// TakeOver says that init has the device and must give it up first.
	TakeOver bool
	// LoadSoftdog says that there is no device until softdog is loaded
	// (`modprobe softdog`); then list and choose again.
	LoadSoftdog bool
	// Why says it for people.
	Why string
}

// An Outcome is what Choose made of one candidate. The zero Outcome is unknown.
type Outcome uint8

const (
	// OutcomeUnknown is the Outcome of a candidate that nobody judged.
	OutcomeUnknown Outcome = iota
	// Chosen is the one to use.
	Chosen
	// Usable could be used, and another one is better.
	Usable
	// Refused must not be used.
	Refused
)

// String returns the word that the CLI shows.
func (o Outcome) String() string {
	switch o {
	case OutcomeUnknown:
		return "unknown"
	case Chosen:
		return "chosen"
	case Usable:
		return "usable"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// A Verdict is the judgement of one candidate.
type Verdict struct {
	Candidate Candidate
	Outcome   Outcome
	// Why says why it was not chosen, and what to do if it should be. For the
	// chosen one it says what there is to know.
	Why string
}

// Choose returns the device to use and a verdict for each candidate, in their
// order. The same candidates in another order give the same choice. It is pure.
//
// The kind that is preferred comes first; within a kind the device that is
// ours already, then one that is free before one that init must give up, then
// one that fits the profile's RealTimeout, then one whose driver is known, then
// the smaller κ, then the smaller number.
func Choose(candidates []Candidate, p Preference) (Choice, []Verdict) {
	verdicts := make([]Verdict, len(candidates))
	best := -1
	for i, c := range candidates {
		verdicts[i] = Verdict{Candidate: c, Outcome: Usable}
		if why := p.refusal(c); why != "" {
			verdicts[i].Outcome, verdicts[i].Why = Refused, why
		} else if best < 0 || p.compare(c, candidates[best]) < 0 {
			best = i
		}
	}
	if p.shouldLoad(candidates, verdicts) {
		best = -1
	}
	choice := p.choice(candidates, best)
	for i := range verdicts {
		switch v := &verdicts[i]; {
		case i == best:
			v.Outcome, v.Why = Chosen, choice.Why
		case v.Outcome == Usable && best < 0:
			v.Why = "softdog is preferred, and can be loaded"
		case v.Outcome == Usable:
			v.Why = p.behind(v.Candidate, candidates[best])
		}
	}
	return choice, verdicts
}

// refusal returns why the policy or the device forbids to use c, or nothing.
func (p Preference) refusal(c Candidate) string {
	switch {
	case p.Device != "" && p.Device != c.Name:
		return "the policy names " + p.Device
	case c.Trouble != "":
		return "sysfs makes no sense: " + c.Trouble
	case c.Failed != "":
		return "a self-test found: " + c.Failed + "; choose another watchdog, or repair it and test again"
	case c.Path == "":
		return fmt.Sprintf("there is no device node /dev/%s of its number: make it (`udevadm trigger`)", c.Name)
	}
	foreign := slices.DeleteFunc(slices.Clone(c.Keepers), func(k Keeper) bool { return k.PID == 1 || k.Name == Holder })
	ours, init := p.ours(c), c.keptByInit()
	switch {
	case len(foreign) > 0:
		return Busy(c.Path, foreign).Error()
	case init && !ours && p.Systemd != TakeOver:
		return Busy(c.Path, c.Keepers).Error() + "; or let Picket take it over by the policy: watchdog.systemd: TakeOver"
	case init && !ours && c.Nowayout == Yes:
		return fmt.Sprintf("%s is nowayout, so that init cannot stop it and nobody else can begin anew with it: "+
			"set RuntimeWatchdogSec=0 and reboot", c.Path)
	}
	use := Use{Device: c.Path, Timeout: p.timeout(c.Facts()), Outlives: p.Outlives, Resume: ours || init}
	if err := c.Check(use); err != nil {
		if c.Active == Yes && !use.Resume && len(c.Keepers) == 0 {
			return Busy(c.Path, nil).Error()
		}
		return err.Error()
	}
	return p.bounds(c.Facts())
}

// ours reports whether our own holder has the device. Beside it, systemd's FD
// store may keep it, in PID 1.
func (p Preference) ours(c Candidate) bool {
	return p.Mine != "" && p.Mine == c.Name ||
		slices.ContainsFunc(c.Keepers, func(k Keeper) bool { return k.Name == Holder })
}

func (c Candidate) keptByInit() bool {
	return slices.ContainsFunc(c.Keepers, func(k Keeper) bool { return k.PID == 1 })
}

// InitHasOne reports whether init has a watchdog open that is not the holder's,
// or may: one that runs is kept by somebody who cannot be seen. Mine is as in
// Preference.
func InitHasOne(all []Candidate, mine string) bool {
	p := Preference{Mine: mine}
	return slices.ContainsFunc(all, func(c Candidate) bool {
		return !p.ours(c) && (c.keptByInit() || c.Active == Yes && len(c.Keepers) == 0)
	})
}

// timeout returns T for the profile.
func (p Preference) timeout(f Facts) time.Duration { return f.ChooseTimeout(p.Profile.RealTimeout) }

// bounds returns why the profile cannot take the device, or nothing. A minimum
// above RealTimeout only makes a fence wait longer; one above ShutdownTimeout,
// the longest T that the profile knows, makes a fence no sense. The holder's
// bound on a ping must be shorter than the dog.
func (p Preference) bounds(f Facts) string {
	t := p.timeout(f)
	switch kt := f.RealTimeout(t); {
	case kt > p.Profile.ShutdownTimeout:
		return fmt.Sprintf("its shortest timeout is %v, %v with κ=%s, and the profile takes %v at most: choose another watchdog",
			t, kt, Kappa(f.Kappa), p.Profile.ShutdownTimeout)
	case kt <= p.Profile.PetDelay:
		return fmt.Sprintf("its longest timeout is %v, %v with κ=%s, which must exceed the profile's petDelay of %v: choose another watchdog",
			t, kt, Kappa(f.Kappa), p.Profile.PetDelay)
	}
	return ""
}

// Kappa writes κ·1000 as a number, such as 1.02.
func Kappa(milli int) string {
	return fmt.Sprintf("%d.%02d", milli/1000, milli%1000/10)
}

// shouldLoad reports whether softdog is to be loaded before anything is used:
// there is none, it can be loaded and is wanted, or nothing else is usable. A
// softdog that is there and refused would be there again after loading.
func (p Preference) shouldLoad(candidates []Candidate, verdicts []Verdict) bool {
	if !p.MayLoad || p.Device != "" {
		return false
	}
	soft := slices.ContainsFunc(candidates, func(c Candidate) bool { return c.Facts().Kind == KindSoftdog })
	usable := slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Outcome == Usable })
	return !soft && (p.Softdog || !usable)
}

// rank is what two candidates are compared by; the smaller one is better.
func (p Preference) rank(c Candidate) []int {
	f := c.Facts()
	kt := f.RealTimeout(p.timeout(f))
	return []int{
		worse((f.Kind == KindSoftdog) != p.Softdog),
		worse(!p.ours(c)),
		worse(c.keptByInit() && !p.ours(c)),
		worse(kt > p.Profile.RealTimeout),
		worse(f.Driver == "unknown"),
		f.Kappa,
	}
}

func worse(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (p Preference) compare(x, y Candidate) int {
	return cmp.Or(slices.Compare(p.rank(x), p.rank(y)), byName(x.Name, y.Name))
}

// behind says why x is not as good as the chosen y.
func (p Preference) behind(x, y Candidate) string {
	reasons := [...]string{
		"a " + y.Facts().Kind.String() + " watchdog is preferred", "Picket has that one already", "that one is free",
		"that one fits the profile's timeout", "that one's driver is known", "that one's κ is smaller",
	}
	rx, ry := p.rank(x), p.rank(y)
	for i, why := range reasons {
		if rx[i] > ry[i] {
			return y.Name + " is better: " + why
		}
	}
	return y.Name + " comes first and is as good"
}

// choice returns the Choice of candidate best, or of none.
func (p Preference) choice(candidates []Candidate, best int) Choice {
	if best < 0 {
		return p.none(candidates)
	}
	c := candidates[best]
	f := c.Facts()
	t := p.timeout(f)
	choice := Choice{Name: c.Name, Path: c.Path, Timeout: t, TakeOver: c.keptByInit() && !p.ours(c)}
	choice.Why = fmt.Sprintf("T=%v κ=%s", t, Kappa(f.Kappa))
	if kt := f.RealTimeout(t); kt > p.Profile.RealTimeout {
		choice.Why += fmt.Sprintf(": resets after %v, not within the profile's %v, and a fence waits that much longer", kt, p.Profile.RealTimeout)
	}
	if choice.TakeOver {
		choice.Why += "; init gives it up (TakeOver)"
	}
	return choice
}

// none returns the Choice that there is no device, and says what to do.
func (p Preference) none(candidates []Candidate) Choice {
	named := slices.ContainsFunc(candidates, func(c Candidate) bool { return c.Name == p.Device })
	soft := slices.ContainsFunc(candidates, func(c Candidate) bool { return c.Facts().Kind == KindSoftdog })
	switch {
	case p.Device != "" && !named:
		return Choice{Why: fmt.Sprintf("the policy names %s, and there is no such watchdog: load its driver, or correct watchdog.device", p.Device)}
	case p.Device != "":
		return Choice{Why: fmt.Sprintf("the policy names %s, and it cannot be used", p.Device)}
	case p.MayLoad && !soft:
		return Choice{LoadSoftdog: true, Why: "softdog is to be loaded (`modprobe softdog`)"}
	case soft:
		return Choice{Why: "no watchdog can be used, softdog included"}
	}
	return Choice{Why: "no watchdog can be used: load a driver, or softdog (`modprobe softdog`)"}
}
