package screen

// A Tone says what a text means; a terminal shows it as colour. The words must
// say the same without it.
type Tone int

const (
	// Plain is the zero Tone.
	Plain Tone = iota
	// Good is as it should be.
	Good
	// Warn needs a look.
	Warn
	// Bad needs somebody now.
	Bad
	// Dim is of less interest.
	Dim
	// Strong is a heading.
	Strong
)

// code returns the SGR parameters of the Tone: the terminal's own colours, which
// its user has chosen to be legible.
func (t Tone) code() string {
	switch t {
	case Good:
		return "32"
	case Warn:
		return "33"
	case Bad:
		return "1;31"
	case Dim:
		return "2"
	case Strong:
		return "1"
	case Plain:
	}
	return ""
}

// A Cell is a text and what it means.
type Cell struct {
	Text string
	Tone Tone
	// Hang is how far the text's lines after the first are indented.
	Hang int
}

// Item returns a Cell that is one of a list.
func Item(text string, tone Tone) Cell { return Cell{Text: "· " + text, Tone: tone, Hang: 2} }

// Say returns a Cell without meaning.
func Say(text string) Cell { return Cell{Text: text} }
