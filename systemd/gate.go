package systemd

import (
	_ "embed" // the unit
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"
)

// GateUnit is the name of the unit that holds the kubelet back.
const GateUnit = "picket-gate.service"

// gateSlack is how long the service manager waits for the gate beyond the bound
// that the gate keeps itself.
const gateSlack = 30 * time.Second

//go:embed units/picket-gate.service
var gateUnit string

// A Gate is the unit that runs before the kubelet, as the host needs it.
type Gate struct {
	// Binary is the path of picket-agent on the host, Args are what it is
	// called with.
	Binary string
	Args   []string
	// Kubelets are the units that wait for the gate.
	Kubelets []string
	// Bound is the longest hold, which the gate keeps itself.
	Bound time.Duration
}

// Text returns the unit file. It is an error to ask for what a unit file would
// read as something else.
func (g Gate) Text() (string, error) {
	words := slices.Concat([]string{g.Binary}, g.Args, g.Kubelets)
	if i := slices.IndexFunc(words, special); i >= 0 {
		return "", fmt.Errorf("unit file of the gate: %q would not be read as it is", words[i])
	}
	switch {
	case !path.IsAbs(g.Binary):
		return "", fmt.Errorf("unit file of the gate: binary %q is not an absolute path", g.Binary)
	case len(g.Kubelets) == 0:
		return "", errors.New("unit file of the gate: no unit waits for it")
	case g.Bound <= 0:
		return "", fmt.Errorf("unit file of the gate: bound > 0 does not hold: it is %v", g.Bound)
	}
	t, err := template.New(GateUnit).Option("missingkey=error").Parse(gateUnit)
	if err != nil {
		return "", fmt.Errorf("unit file of the gate: %w", err)
	}
	var text strings.Builder
	err = t.Execute(&text, map[string]string{
		"Binary":   g.Binary,
		"Command":  strings.Join(append([]string{g.Binary}, g.Args...), " "),
		"Kubelets": strings.Join(g.Kubelets, " "),
		"Timeout":  fmt.Sprintf("%ds", int((g.Bound + gateSlack).Seconds())),
	})
	if err != nil {
		return "", fmt.Errorf("unit file of the gate: %w", err)
	}
	return text.String(), nil
}

// special reports whether a unit file gives the word, or a part of it, a meaning
// of its own: as a separator, quote, escape, specifier or variable.
func special(word string) bool {
	return word == "" || strings.ContainsFunc(word, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("\"'\\%$;", r)
	})
}
