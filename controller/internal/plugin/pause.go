package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/screen"
)

// pauseFlags are those of `pause`.
type pauseFlags struct {
	length  time.Duration
	until   string
	forever bool
	reason  string
}

func (o *options) pauseCommand() *cobra.Command {
	var f pauseFlags
	c := &cobra.Command{
		Use:   "pause",
		Short: "Begin no new fence for a while",
		Long: `Pauses fencing: no new fence begins until the time has passed or somebody resumes.
Fences that have begun are carried to their end. Nodes stay armed: one that loses the
API server and its peers still resets itself. To arm nothing at all, set the
FencingPolicy's mode to Observe.`,
		Example: `  kubectl picket pause --for 30m --reason "switch r4 is replaced"
  kubectl picket pause --until 2026-11-22T18:00:00Z --reason "storage move"
  kubectl picket pause --until-resumed --reason "looking into INC-17"`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := o.connect()
			if err != nil {
				return err
			}
			return conn.explain(conn.pause(c, o, f))
		},
	}
	c.Flags().DurationVar(&f.length, "for", 0, "how long, such as 30m")
	c.Flags().StringVar(&f.until, "until", "", "when it ends, such as 2026-11-22T18:00:00Z")
	c.Flags().BoolVar(&f.forever, "until-resumed", false, "until somebody resumes")
	c.Flags().StringVar(&f.reason, "reason", "", "why, for whoever finds fencing paused")
	c.MarkFlagsMutuallyExclusive("for", "until", "until-resumed")
	c.MarkFlagsOneRequired("for", "until", "until-resumed")
	_ = c.MarkFlagRequired("reason") // the flag exists
	return c
}

// end returns when the pause ends, by the cluster's clock; nil: when somebody
// resumes.
func (f pauseFlags) end(now time.Time) (*metav1.Time, error) {
	switch {
	case f.forever:
		return nil, nil //nolint:nilnil // no end is what it means
	case f.until != "":
		t, err := time.Parse(time.RFC3339, f.until)
		if err != nil {
			return nil, fmt.Errorf("--until %s: write the date, the time and the zone, such as %s", f.until, now.UTC().Add(time.Hour).Format(time.RFC3339))
		}
		if !t.After(now) {
			return nil, fmt.Errorf("--until %s has passed: it is %s", f.until, now.UTC().Format(time.RFC3339))
		}
		return &metav1.Time{Time: t}, nil
	case f.length <= 0:
		return nil, fmt.Errorf("--for %s: write a time above 0, such as 30m", f.length)
	}
	return &metav1.Time{Time: now.Add(f.length).Truncate(time.Second)}, nil
}

func (c *connection) pause(cmd *cobra.Command, o *options, f pauseFlags) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if f.reason == "" {
		return errors.New("--reason is empty: say why, for whoever finds fencing paused")
	}
	s, err := c.read(ctx, o, fences|policy)
	if err != nil {
		return err
	}
	until, err := f.end(s.Now)
	if err != nil {
		return err
	}
	pause := &v1alpha1.Pause{Reason: f.reason, Until: until}
	if s.Policy == nil {
		p := &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{Pause: pause}}
		p.Name = v1alpha1.PolicyName
		_, err = c.picket.FencingPolicies.Create(ctx, p)
	} else {
		// All fields are named: what a former pause had must not stay.
		err = c.patch(ctx, "fencingpolicies", v1alpha1.PolicyName, s.Policy.ResourceVersion,
			map[string]any{"pause": map[string]any{"reason": f.reason, "until": until}})
	}
	if err != nil {
		return err
	}
	end := "until somebody resumes"
	if until != nil {
		end = "until " + until.UTC().Format(time.RFC3339)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "fencing is paused %s: no new fence begins. End it: kubectl picket resume\n", end)
	for _, open := range s.Status().Fences {
		if goesOn(open) {
			fmt.Fprintf(cmd.OutOrStdout(), "the fence of %s has begun and is carried to its end: %s\n", open.Node, open.Next)
		}
	}
	return nil
}

// goesOn reports whether a pause does not stop the fence any more.
func goesOn(f view.Fence) bool {
	return f.Phase != "" && f.Phase != v1alpha1.FencePending && f.Phase != v1alpha1.FenceBlocked
}

func (o *options) resumeCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "resume",
		Short: "End a pause, also that of a broken history",
		Long: `Ends a pause of fencing. If the Roll was deleted or restored from a backup, fencing
is paused until a person says that it may go on: that is asked for, too.`,
		Example: `  kubectl picket resume`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			conn, err := o.connect()
			if err != nil {
				return err
			}
			return conn.explain(conn.resume(c, o, yes))
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (c *connection) resume(cmd *cobra.Command, o *options, yes bool) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	s, err := c.read(ctx, o, fences|policy)
	if err != nil {
		return err
	}
	changes := make(map[string]any)
	if s.Policy != nil && s.Policy.Spec.Pause != nil {
		changes["pause"] = nil
	}
	if s.Broken() {
		(&screen.Screen{Out: cmd.OutOrStdout(), Width: proseWidth}).Line(screen.Say(fmt.Sprintf(
			"The Roll's history is broken: %s. Fences that were open have begun again under the new history %s. Make sure that nobody restores or deletes the Roll any more.",
			s.Roll.Spec.Broken, s.Roll.Spec.History)))
		if err := confirm(cmd, yes, "Let fencing go on? Type yes:", "yes"); err != nil {
			return err
		}
		changes["resumeHistory"] = s.Roll.Spec.History
	}
	if len(changes) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "fencing is not paused: there is nothing to resume")
		return nil
	}
	ctx, cancel = context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if s.Policy == nil {
		p := &v1alpha1.FencingPolicy{Spec: v1alpha1.FencingPolicySpec{ResumeHistory: s.Roll.Spec.History}}
		p.Name = v1alpha1.PolicyName
		_, err = c.picket.FencingPolicies.Create(ctx, p)
	} else {
		err = c.patch(ctx, "fencingpolicies", v1alpha1.PolicyName, s.Policy.ResourceVersion, changes)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), "fencing goes on")
	return nil
}
