package screen

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// On returns the screen for an output. A terminal is as wide as it says, and has
// colour unless NO_COLOR is set or TERM is dumb. Anything else has no colour, and
// no bound unless COLUMNS gives one.
func On(out io.Writer, env func(string) string) *Screen {
	s := &Screen{Out: out}
	if n, err := strconv.Atoi(env("COLUMNS")); err == nil && n > 0 {
		s.Width = n
	}
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.Colour = env("NO_COLOR") == "" && env("TERM") != "dumb"
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		s.Width = w
	}
	return s
}
