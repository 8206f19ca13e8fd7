package report

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/finding"
	"github.com/picket-dev/picket/proto/matrix"
)

//go:embed page.html
var page string

// A Report is what the page shows.
type Report struct {
	Cluster string
	At      string
	Version string
	Status  *view.Status
	// Doctor is what was found around Picket; nil: nobody has looked.
	Doctor  *finding.Report
	Domains []Domain
	Matrix  *view.Matrix
	Fences  []Fence
	Dogs    []Dog
	// Axis is how long all fences' bars are.
	Axis time.Duration
}

// A Domain is a failure domain with its nodes.
type Domain struct {
	Name  string
	Nodes []view.Node
}

// A Fence is a fence's timeline as bars.
type Fence struct {
	*view.Timeline
	// Bars lie side by side, Bound and Total are in percent of the widest of all.
	Bars  []Bar
	Bound float64
	Total time.Duration
}

// A Bar is the time from one step to the next, in percent of the axis.
type Bar struct {
	Class, Label, Title string
	Left, Width         float64
}

// A Dog is a kind of watchdog, and the nodes that have it.
type Dog struct {
	Driver, Kind string
	Timeouts     string
	Nodes        []string
	Armed        int
	Verified     int
}

// New puts the report together from a Snapshot that holds everything.
func New(s *view.Snapshot, cluster, version string) *Report {
	r := &Report{
		Cluster: cluster, Version: version, At: s.Now.UTC().Format("2006-01-02 15:04:05 UTC"),
		Status: s.Status(), Matrix: s.Matrix(""),
	}
	r.Domains = domains(r.Status.Nodes)
	r.Dogs = dogs(r.Status.Nodes)
	for i := range s.Fences {
		f := &s.Fences[i]
		if t, err := s.Timeline(view.FencedNode(f), f.Name); err == nil {
			r.Fences = append(r.Fences, Fence{Timeline: t})
		}
	}
	slices.SortStableFunc(r.Fences, func(a, b Fence) int { return b.Begun.Compare(a.Begun.Time) })
	r.draw(s.Now)
	return r
}

// domains groups the nodes.
func domains(nodes []view.Node) []Domain {
	byName := make(map[string]*Domain)
	for _, n := range nodes {
		d := byName[n.Domain]
		if d == nil {
			d = &Domain{Name: cmp.Or(n.Domain, "no domain label")}
			byName[n.Domain] = d
		}
		d.Nodes = append(d.Nodes, n)
	}
	var all []Domain
	for _, d := range byName {
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b Domain) int { return matrix.Compare(a.Name, b.Name) })
	return all
}

// dogs counts the watchdogs by driver.
func dogs(nodes []view.Node) []Dog {
	byName := make(map[[2]string]*Dog)
	timeouts := make(map[[2]string][]string)
	for _, n := range nodes {
		k := [2]string{cmp.Or(n.Watchdog.Driver, "none"), n.Watchdog.Kind}
		d := byName[k]
		if d == nil {
			d = &Dog{Driver: k[0], Kind: k[1]}
			byName[k] = d
		}
		d.Nodes = append(d.Nodes, n.Name)
		if n.Armed {
			d.Armed++
		}
		if n.Watchdog.Verified {
			d.Verified++
		}
		if n.Timeout.Duration > 0 {
			timeouts[k] = append(timeouts[k], n.Timeout.Duration.String())
		}
	}
	var all []Dog
	for k, d := range byName {
		d.Timeouts = matrix.Names(timeouts[k])
		all = append(all, *d)
	}
	slices.SortFunc(all, func(a, b Dog) int {
		return cmp.Or(len(b.Nodes)-len(a.Nodes), cmp.Compare(a.Driver, b.Driver))
	})
	return all
}

// maxAxis bounds the axis of all fences: a node that stays off for days must not
// squeeze the seconds that matter.
const maxAxis = 3 * time.Minute

// draw puts the bars of all fences on one axis.
func (r *Report) draw(now time.Time) {
	axis := 10 * time.Second
	for i := range r.Fences {
		f := &r.Fences[i]
		f.Total = f.end(now)
		bound := f.Timeline.Bound.Duration
		axis = max(axis, bound+bound/20, min(f.Total, maxAxis)) // the bound's line stands within
	}
	r.Axis = axis
	for i := range r.Fences {
		f := &r.Fences[i]
		if f.Timeline.Bound.Duration > 0 {
			f.Bound = percent(f.Timeline.Bound.Duration, axis)
		}
		f.Bars = f.bars(axis)
	}
}

// end returns how long the story took, or has taken.
func (f *Fence) end(now time.Time) time.Duration {
	if f.Phase == v1alpha1.FenceRecovered || f.Phase == v1alpha1.FenceRefuted {
		return f.own()[len(f.own())-1].After.Duration
	}
	return now.Sub(f.Begun.Time)
}

// own returns the NodeFence's own steps.
func (f *Fence) own() []view.Step {
	own := slices.DeleteFunc(slices.Clone(f.Steps), func(s view.Step) bool { return s.Event != "" })
	if len(own) == 0 {
		own = []view.Step{{}}
	}
	return own
}

// bars makes a bar of each time between two steps, named by the first of them.
func (f *Fence) bars(axis time.Duration) []Bar {
	own := f.own()
	var bars []Bar
	for i, s := range own {
		to := f.Total
		if i+1 < len(own) {
			to = own[i+1].After.Duration
		}
		from := min(s.After.Duration, axis)
		to = min(to, axis)
		if to <= from {
			continue
		}
		bars = append(bars, Bar{
			Class: s.Rule, Label: fmt.Sprintf("%s %.1f s", s.Rule, (to - from).Seconds()),
			Left: percent(from, axis), Width: percent(to-from, axis),
			Title: fmt.Sprintf("%s %s (%.1f s)", s.Rule, s.What, (to - from).Seconds()),
		})
	}
	return bars
}

func percent(d, of time.Duration) float64 {
	return float64(int(10000*d.Seconds()/of.Seconds())) / 100
}

// Write writes the page.
func (r *Report) Write(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"names":   matrix.Names,
		"seconds": func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) },
		"tile":    tile,
		"heat":    heat,
		"short":   func(s string) string { return s[:min(8, len(s))] },
		"after":   func(s view.Step) string { return fmt.Sprintf("%+.1f s", s.After.Seconds()) },
		"rule":    view.RuleText,
	}).Parse(page)
	if err != nil {
		return fmt.Errorf("parse the report's page: %w", err)
	}
	if err := t.Execute(w, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// tile is how a node looks on the map.
func tile(n view.Node) string {
	switch {
	case n.Fence != "":
		return "bad"
	case !n.Armed:
		return "warn"
	case len(n.LostBy)+len(n.Lost)+len(n.Conditions) > 0:
		return "look"
	}
	return "good"
}

// heat is how a cell of the matrix looks.
func heat(c view.MatrixCell) string {
	switch {
	case c.Lost > 0 && c.Heard == 0:
		return "bad"
	case c.Lost > 0:
		return "warn"
	case c.Heard > 0:
		return "good"
	case c.Untold > 0:
		return "old"
	}
	return "none"
}
