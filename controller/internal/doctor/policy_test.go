package doctor

import (
	"strings"
	"testing"

	"github.com/picket-dev/picket/proto/api/v1alpha1"
)

// Each cause says what it is, and its own way out of it: no other one's.
func TestPolicySaysWhatIsOffAndHowItEnds(t *testing.T) {
	observe := v1alpha1.FencingPolicySpec{Mode: v1alpha1.Observe}
	const enforce = `"mode":"Enforce"`
	for _, tt := range []struct {
		name   string
		spec   v1alpha1.FencingPolicySpec
		broken string
		want   [][]string // of each finding: words of it
		not    string     // in no finding
	}{
		{"observed", observe, "", [][]string{{"Observe", enforce}}, "resume"},
		{"a broken history under mode Observe", observe, "went back", [][]string{{"history is broken: went back", "resume"}, {"Observe", enforce}}, "job/"},
		{"paused under mode Observe", v1alpha1.FencingPolicySpec{Mode: v1alpha1.Observe, Pause: &v1alpha1.Pause{Reason: "move"}}, "",
			[][]string{{"Observe", enforce}, {"paused: move", "resume"}}, "job/"},
		{"being uninstalled", v1alpha1.FencingPolicySpec{Mode: v1alpha1.Uninstall}, "",
			[][]string{{"being uninstalled", "kubectl -n fence logs job/picket-uninstall", "to call it off", enforce}}, "resume"},
	} {
		f := sound()
		f.Namespace = "fence"
		f.Snapshot.Policy = &v1alpha1.FencingPolicy{Spec: tt.spec}
		f.Snapshot.Roll.Spec.Broken = tt.broken
		_, found := policy(f)
		if len(found) != len(tt.want) {
			t.Errorf("%s: %d findings, want %d: %+v", tt.name, len(found), len(tt.want), found)
			continue
		}
		for i, x := range found {
			text := lines(x.What, x.Why, x.Fix)
			for _, word := range tt.want[i] {
				if !strings.Contains(text, word) {
					t.Errorf("%s: no %q in:\n%s", tt.name, word, text)
				}
			}
			if strings.Contains(text, tt.not) {
				t.Errorf("%s: %q in:\n%s", tt.name, tt.not, text)
			}
		}
	}
}
