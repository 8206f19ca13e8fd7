package cli

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/picket-dev/picket/agent/internal/host"
	"github.com/picket-dev/picket/agent/internal/view"
	peerv1 "github.com/picket-dev/picket/proto/peer/v1"
	"github.com/picket-dev/picket/proto/screen"
)

func bundleCommand(version string) *cobra.Command {
	b := &bundle{version: version}
	cmd := &cobra.Command{
		Use:   "support-bundle",
		Short: "Write what a report of a problem needs into one file, without secrets",
		Long: "Writes a gzipped tar archive with the status, the peers, the decisions, the watchdogs, the policy,\n" +
			"the mounts and the versions of this node. It reads no key, no token and no file of the agent's run\n" +
			"directory, and takes out of the rest what could be a secret; look at it before you hand it on.\n" +
			"Node names, addresses and volume names stay. It works without a running agent, as far as it can.",
		Example: "  picket-agent support-bundle\n" +
			"  picket-agent support-bundle -f /tmp/worker-1.tar.gz\n" +
			"  kubectl -n picket exec POD -- picket-agent support-bundle -f - > worker-1.tar.gz",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return b.run(cmd.Context(), time.Now(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	b.watchdog.addRun(cmd)
	b.watchdog.output = "table"
	cmd.Flags().StringVar(&b.watchdog.root, "root", hostRoot(), "the host's root directory, with its sys, dev and proc")
	cmd.Flags().StringVarP(&b.file, "file", "f", "", "the file to write, - for standard output (default picket-NODE-TIME.tar.gz here)")
	return cmd
}

// A bundle gathers what there is. What cannot be had is said in it.
type bundle struct {
	version  string
	watchdog watchdogFlags
	file     string

	now      time.Time
	entries  []entry
	problems []string
}

type entry struct{ name, text string }

// run gathers and writes.
func (b *bundle) run(ctx context.Context, now time.Time, out, messages io.Writer) error {
	if f, ok := out.(*os.File); b.file == "-" && ok && term.IsTerminal(int(f.Fd())) {
		return errors.New("standard output is a terminal: send the archive into a file, or name one with -f")
	}
	b.now = now
	node := b.gather(ctx)
	if b.file == "-" {
		return b.write(out)
	}
	name := b.file
	if name == "" {
		name = fmt.Sprintf("picket-%s-%s.tar.gz", node, now.UTC().Format("20060102T150405Z"))
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the bundle: %w; name another file with -f, or - for standard output", err)
	}
	if err := errors.Join(b.write(f), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(messages, "wrote %s: %d files; look at it before you hand it on\n", name, len(b.entries))
	for _, p := range b.problems {
		fmt.Fprintf(messages, "not in it: %s\n", p)
	}
	return nil
}

// gather collects the files, and returns the node's name.
func (b *bundle) gather(ctx context.Context) string {
	b.entries, b.problems = nil, nil
	node := "node"
	r, err := askStatus(ctx, b.watchdog.run, allDecisions)
	if err != nil {
		b.problems = append(b.problems, "what the agent knows: "+err.Error())
	} else {
		node = r.GetNode()
		b.agent(r)
	}
	b.dogs(ctx)
	b.mounts()
	b.versions(r)
	b.add("README.txt", b.readme(node))
	return node
}

// agent adds what the agent says.
func (b *bundle) agent(r *peerv1.StatusReply) {
	b.add("status.json", text(message(r)))
	b.add("policy.json", text(message(r, "node", "watchdogPolicy", "promise", "lostAfter")))
	by, _ := view.ParseGrouping("node") // a constant that parses
	for _, s := range []struct {
		name string
		show func(*screen.Screen)
	}{
		{"status.txt", func(s *screen.Screen) { view.Status(s, r, true) }},
		{"peers.txt", func(s *screen.Screen) { view.Peers(s, r) }},
		{"matrix.txt", func(s *screen.Screen) { view.Matrix(s, view.MatrixOf(r, by)) }},
		{"why.txt", func(s *screen.Screen) { view.Why(s, r, true, b.now) }},
	} {
		var out strings.Builder
		s.show(&screen.Screen{Out: &out})
		b.add(s.name, out.String())
	}
}

// dogs adds the watchdogs of the host.
func (b *bundle) dogs(ctx context.Context) {
	report, err := b.watchdog.report(ctx)
	if err != nil {
		b.problems = append(b.problems, "the watchdogs: "+err.Error())
		return
	}
	b.add("watchdog.json", text(value(report)))
	var out strings.Builder
	report.table(&screen.Screen{Out: &out})
	b.add("watchdog.txt", out.String())
}

// mounts adds the host's mounts.
func (b *bundle) mounts() {
	data, err := os.ReadFile(filepath.Join(b.watchdog.root, "proc/1/mountinfo"))
	if err != nil {
		b.problems = append(b.problems, "the mounts: "+err.Error())
		return
	}
	b.add("mountinfo.txt", string(data))
}

// versions adds what runs here.
func (b *bundle) versions(r *peerv1.StatusReply) {
	release, _ := os.ReadFile(filepath.Join(b.watchdog.root, "etc/os-release")) // absent on hosts without one
	v := struct {
		Agent   string `json:"agent"`
		Holder  string `json:"holder"`
		CLI     string `json:"cli"`
		Go      string `json:"go"`
		Arch    string `json:"arch"`
		Kernel  string `json:"kernel"`
		Release string `json:"release"`
	}{
		r.GetVersion(), r.GetWatchdog().GetHolderVersion(), b.version, runtime.Version(), runtime.GOARCH,
		host.KernelRelease(host.Config{Root: b.watchdog.root}), string(release),
	}
	b.add("versions.json", text(value(v)))
}

// readme says what is in the bundle and what is not.
func (b *bundle) readme(node string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "Support bundle of %s, made %s by picket-agent %s.\n\n", node, b.now.UTC().Format(time.RFC3339), b.version)
	s.WriteString("What could be a secret reads <redacted>. Node names, addresses and volume names are left as they are.\n\n")
	for _, e := range b.entries {
		s.WriteString(e.name + "\n")
	}
	for _, p := range b.problems {
		s.WriteString("not in it: " + redact(p) + "\n")
	}
	return s.String()
}

func (b *bundle) add(name, text string) { b.entries = append(b.entries, entry{name, redact(text)}) }

// text is what was encoded, or the reason why not.
func text(data []byte, err error) string {
	if err != nil {
		return err.Error() + "\n"
	}
	return string(data) + "\n"
}

// write writes the archive: all files in one directory.
func (b *bundle) write(out io.Writer) error {
	zip := gzip.NewWriter(out)
	archive := tar.NewWriter(zip)
	for _, e := range b.entries {
		h := &tar.Header{Name: "picket-support/" + e.name, Mode: 0o600, Size: int64(len(e.text)), ModTime: b.now}
		if err := archive.WriteHeader(h); err != nil {
			return fmt.Errorf("write the bundle: %w", err)
		}
		if _, err := io.WriteString(archive, e.text); err != nil {
			return fmt.Errorf("write the bundle: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}
