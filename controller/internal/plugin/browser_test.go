package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// probe is a script that measures the page that it is put into: what is wider than
// the window or sticks out of its axis, and text that is hard to read, by the
// contrast ratio of WCAG 2.2 (1.4.3 asks for 4.5).
const probe = `<script>
const rgb = s => s.match(/[\d.]+/g).map(Number);
const luminance = c => c.slice(0, 3).map(x => x / 255)
  .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
  .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
const ground = e => {
  for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  }
  return [255, 255, 255];
};
const faint = [], out = [];
let texts = 0;
for (const e of document.body.querySelectorAll("*")) {
  const own = [...e.childNodes].some(n => n.nodeType == Node.TEXT_NODE && n.textContent.trim());
  if (!own || e.tagName == "SCRIPT") continue;
  texts++;
  const [a, b] = [luminance(rgb(getComputedStyle(e).color)), luminance(ground(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  const what = e.tagName + "." + e.className + " has " + ratio.toFixed(2);
  if (ratio < 4.5 && !faint.includes(what)) faint.push(what);
}
for (const bar of document.querySelectorAll(".bar, .bound")) {
  const [b, axis] = [bar.getBoundingClientRect(), bar.parentElement.getBoundingClientRect()];
  if (b.left < axis.left - 1 || b.right > axis.right + 3) out.push(bar.title);
}
document.body.innerHTML = "";
document.title = JSON.stringify({
  texts, faint, out, dark: matchMedia("(prefers-color-scheme: dark)").matches,
  wide: document.documentElement.dataset.wide,
});
</script>`

// widthProbe measures the width before probe empties the page.
const widthProbe = `<script>
document.documentElement.dataset.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
</script>`

// browse lets a browser do what the flags say with the page, and returns what it
// prints.
func browse(t *testing.T, page string, flags ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	flags = append([]string{
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir=" + t.TempDir(),
	}, flags...)
	cmd := exec.CommandContext(t.Context(), "chromium", append(flags, "file://"+file)...)
	cmd.WaitDelay = 10 * time.Second
	var out, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, trouble.String())
	}
	return out.String()
}

// In a real browser the report can be read: in light and dark, on a narrow screen
// and on paper, and without a network.
func TestReportInABrowser(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("no browser here: apt-get install --no-install-recommends chromium")
	}
	for _, fixture := range []string{"withheld", "recovered"} {
		file := filepath.Join(t.TempDir(), "picket.html")
		if got := run(t, serve(t, fixture).URL, 80, "", "report --html "+file); got.code != 0 {
			t.Fatalf("exit code %d\n%s", got.code, got.out)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		page := string(text)
		t.Run(fixture+" in light", func(t *testing.T) { looks(t, page, "light", 1200) })
		t.Run(fixture+" in the dark, narrow", func(t *testing.T) { looks(t, page, "dark", 500) })
		t.Run(fixture+" on paper", func(t *testing.T) {
			paper := filepath.Join(t.TempDir(), "picket.pdf")
			browse(t, page, "--print-to-pdf="+paper)
			pdf, err := os.ReadFile(paper)
			if err != nil {
				t.Fatal(err)
			}
			if pages := len(regexp.MustCompile(`/Type\s*/Page\b`).FindAll(pdf, -1)); pages < 1 || pages > 5 {
				t.Errorf("%d pages", pages)
			}
		})
	}
}

// looks measures the page in one colour scheme at one width. Where PICKET_SHOTS
// names a directory, it leaves a picture there.
func looks(t *testing.T, page, scheme string, width int) {
	t.Helper()
	flags := []string{
		fmt.Sprintf("--window-size=%d,3000", width),
		"--blink-settings=preferredColorScheme=" + map[string]string{"dark": "0", "light": "1"}[scheme],
	}
	if dir := os.Getenv("PICKET_SHOTS"); dir != "" {
		name := strings.ReplaceAll(t.Name(), "/", "-") + ".png"
		browse(t, page, append(flags, "--screenshot="+filepath.Join(dir, name))...)
	}
	dom := browse(t, strings.Replace(page, "</body>", widthProbe+probe+"</body>", 1), append(flags, "--dump-dom")...)
	_, rest, _ := strings.Cut(dom, "<title>")
	said, _, ok := strings.Cut(rest, "</title>")
	var got struct {
		Texts      int
		Faint, Out []string
		Dark       bool
		Wide       string
	}
	if err := json.Unmarshal([]byte(strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(said)), &got); !ok || err != nil {
		t.Fatalf("the browser says %q: %v", said, err)
	}
	if got.Texts < 30 {
		t.Errorf("the page has %d texts", got.Texts)
	}
	if got.Dark != (scheme == "dark") {
		t.Errorf("dark is %t", got.Dark)
	}
	if len(got.Faint)+len(got.Out) > 0 || got.Wide != "0" {
		t.Errorf("hard to read: %q; off the axis: %q; wider than the window by %s px", got.Faint, got.Out, got.Wide)
	}
}
