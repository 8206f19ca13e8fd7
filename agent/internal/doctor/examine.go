package doctor

import (
	"fmt"
	"strings"

	"github.com/picket-dev/picket/proto/finding"
)

// Examine judges the facts of a node.
func Examine(f Facts) *finding.Report {
	r := finding.New(f.Node)
	for _, c := range []struct {
		name  string
		judge func(Facts) (saw string, found []finding.Finding) // it saw nothing: no check was made
	}{
		{"agent", agent}, {"machine", machine}, {"watchdog", dogs}, {"systemd", manager}, {"holder", holder},
		{"sysrq", sysrq}, {"clock", clock}, {"kernel", kernel}, {"real time", realTime}, {"peers", peers}, {"api", api},
	} {
		if saw, found := c.judge(f); saw != "" {
			r.Add(c.name, saw, found...)
		}
	}
	return r
}

// one is a single finding.
func one(f finding.Finding) []finding.Finding { return []finding.Finding{f} }

// cannot is the finding that a check was not made.
func cannot(what, trouble, fix string) finding.Finding {
	return finding.Finding{
		ID: CannotLook, Severity: finding.Warning, Unseen: true,
		What: fmt.Sprintf("%s could not be looked at: %s", what, trouble),
		Why:  "what is wrong there, if anything, is not known", Fix: fix,
	}
}

// lines joins the lines of a fix.
func lines(all ...string) string { return strings.Join(all, "\n") }
