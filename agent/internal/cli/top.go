package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/picket-dev/picket/agent/internal/view"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

func topCommand() *cobra.Command {
	var f flags
	every := time.Second
	cmd := &cobra.Command{
		Use:     "top",
		Aliases: []string{"watch"},
		Short:   "Show status, peers, matrix and decisions live",
		Long: "Shows the screens of status, peers, matrix and why, and asks the agent for them again and again.\n" +
			"Keys: s status, p peers, m matrix, w why, tab the next one, q quit.",
		Example: "  picket-agent top\n  picket-agent watch --every 5s\n  kubectl -n picket exec -it POD -- picket-agent top",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out, ok := cmd.OutOrStdout().(*os.File)
			if !ok || !term.IsTerminal(int(out.Fd())) {
				return errors.New("top needs a terminal: use picket-agent status (with kubectl exec, give -it)")
			}
			if every < minEvery {
				return fmt.Errorf("--every %v: use at least %v", every, minEvery)
			}
			ask := func(ctx context.Context) (*peerv1.StatusReply, error) { return askStatus(ctx, f.run, allDecisions) }
			if _, err := ask(cmd.Context()); err != nil {
				return err
			}
			return live(cmd.Context(), newTop(ask, every, screen.On(out, os.Getenv).Colour), cmd.InOrStdin(), out)
		},
	}
	f.addRun(cmd)
	cmd.Flags().DurationVar(&every, "every", every, "how often to ask the agent")
	return cmd
}

// minEvery keeps the screen from costing the agent anything to speak of.
const minEvery = 200 * time.Millisecond

// live runs the screen until somebody quits it.
func live(ctx context.Context, t top, in io.Reader, out io.Writer, more ...tea.ProgramOption) error {
	t.ctx = ctx
	p := tea.NewProgram(t, append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)}, more...)...)
	if _, err := p.Run(); err != nil && !errors.Is(err, tea.ErrInterrupted) {
		return fmt.Errorf("show the live screen: %w", err)
	}
	return nil
}

// top is the live screen.
type top struct {
	ctx    context.Context
	ask    func(context.Context) (*peerv1.StatusReply, error)
	every  time.Duration
	colour bool

	tab           int
	width, height int
	reply         *peerv1.StatusReply // the last one
	err           error               // why there is no newer one
	asked         time.Time           // when the last reply came
	now           time.Time           // when the last question ended
}

// A tab is one screen of top.
type tab struct {
	key, name string
	show      func(*screen.Screen, *peerv1.StatusReply)
}

func tabs() []tab {
	return []tab{
		{"s", "status", showOverview},
		{"p", "peers", view.Peers},
		{"m", "matrix", func(s *screen.Screen, r *peerv1.StatusReply) {
			by, _ := view.ParseGrouping("node") // a constant that parses
			view.Matrix(s, view.MatrixOf(r, by))
		}},
		{"w", "why", func(s *screen.Screen, r *peerv1.StatusReply) { view.Why(s, r, false, time.Time{}) }},
	}
}

// showOverview is the status with the peers and the newest decisions below.
func showOverview(s *screen.Screen, r *peerv1.StatusReply) {
	view.Status(s, r, false)
	s.Space()
	view.Peers(s, r)
	s.Space()
	d := r.GetDecisions()
	view.Why(s, &peerv1.StatusReply{Decisions: d[max(len(d)-overviewDecisions, 0):]}, false, time.Time{})
}

const overviewDecisions = 5

func newTop(ask func(context.Context) (*peerv1.StatusReply, error), every time.Duration, colour bool) top {
	return top{ctx: context.Background(), ask: ask, every: every, colour: colour, width: 80, height: 24}
}

// answered is what came of one question.
type answered struct {
	reply *peerv1.StatusReply
	err   error
	at    time.Time
}

// due says that it is time to ask again.
type due struct{}

// Init asks for the first time.
func (t top) Init() tea.Cmd { return t.question }

func (t top) question() tea.Msg {
	r, err := t.ask(t.ctx)
	return answered{r, err, time.Now()}
}

// Update takes a key, an answer or a new size.
func (t top) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		return t.key(msg.String())
	case tea.WindowSizeMsg:
		t.width, t.height = msg.Width, msg.Height
	case due:
		return t, t.question
	case answered:
		t.now, t.err = msg.at, msg.err
		if msg.err == nil {
			t.reply, t.asked = msg.reply, msg.at
		}
		return t, tea.Tick(t.every, func(time.Time) tea.Msg { return due{} })
	}
	return t, nil
}

func (t top) key(k string) (tea.Model, tea.Cmd) {
	switch k {
	case "q", "esc", "ctrl+c":
		return t, tea.Quit
	case "tab", "right":
		t.tab = (t.tab + 1) % len(tabs())
	case "shift+tab", "left":
		t.tab = (t.tab + len(tabs()) - 1) % len(tabs())
	}
	for i, x := range tabs() {
		if k == x.key {
			t.tab = i
		}
	}
	return t, nil
}

// View draws the screen.
func (t top) View() tea.View {
	v := tea.NewView(t.draw())
	v.AltScreen = true
	v.WindowTitle = "picket-agent top"
	return v
}

// draw fits the tab into the window: decisions from their end, everything else
// from its beginning.
func (t top) draw() string {
	var head, body strings.Builder
	s := &screen.Screen{Out: &head, Width: t.width, Colour: t.colour}
	s.Line(t.title()...)
	if t.err != nil {
		text := t.err.Error()
		if t.reply != nil {
			text = fmt.Sprintf("what is shown is %s old: %s", screen.Span(t.now.Sub(t.asked)), text)
		}
		s.Line(screen.Cell{Text: text, Tone: screen.Bad})
	}
	s.Space()
	if t.reply != nil {
		tabs()[t.tab].show(&screen.Screen{Out: &body, Width: t.width, Colour: t.colour}, t.reply)
	}
	above := strings.Split(strings.TrimSuffix(head.String(), "\n"), "\n")
	below := strings.Split(strings.TrimSuffix(body.String(), "\n"), "\n")
	if room := max(t.height-len(above), 0); len(below) > room {
		if tabs()[t.tab].name == "why" {
			below = below[len(below)-room:]
		} else {
			below = below[:room]
		}
	}
	return strings.Join(append(above, below...), "\n")
}

// title names the tabs and the keys.
func (t top) title() []screen.Cell {
	var cells []screen.Cell
	for i, x := range tabs() {
		c := screen.Cell{Text: x.key + " " + x.name, Tone: screen.Dim}
		if i == t.tab {
			c = screen.Cell{Text: "[" + x.key + " " + x.name + "]", Tone: screen.Strong}
		}
		cells = append(cells, c)
	}
	return append(cells, screen.Cell{Text: "q quit", Tone: screen.Dim})
}
