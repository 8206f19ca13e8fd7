package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/api/v1alpha1"
	"github.com/picket-dev/picket/proto/screen"
)

// lookAgainAfter is how long a machine is watched for signs of life before it is
// believed to be off: a kubelet renews its Lease every ten seconds.
const lookAgainAfter = 12 * time.Second

func (o *options) confirmCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "confirm NODE",
		Short: "Assert that a machine is off, which ends the wait of its fence",
		Long: `Asserts in your name that the machine is off, or cut off from its storage for good.
The wait of its fence ends at once, and Kubernetes moves its volumes. Without an open
fence one is made. It is also the only way to fence a node that is not armed.

If it is untrue, two machines write to the same volumes, and the data on them is
destroyed. The command therefore watches for signs of life for 12 s, with --yes too,
and refuses when it sees one. It cannot see a machine that is only cut off.`,
		Example: `  kubectl picket confirm worker-3
  kubectl picket confirm worker-3 --yes    # a script that has switched it off`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.completeNodes,
		RunE: func(c *cobra.Command, args []string) error {
			conn, err := o.connect()
			if err != nil {
				return err
			}
			return conn.explain(conn.confirm(c, o, args[0], yes))
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (c *connection) confirm(cmd *cobra.Command, o *options, node string, yes bool) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	began := time.Now()
	s, err := c.read(ctx, o, fences|policy)
	if err != nil {
		return err
	}
	x, err := s.Doom(node)
	if err != nil {
		return err
	}
	life, err := c.look(ctx, node, s)
	if err != nil {
		return err
	}
	assertion(cmd.OutOrStdout(), x, life, s.Now)
	if err := confirm(cmd, yes, fmt.Sprintf("Type the node's name to assert that %s is off:", node), node); err != nil {
		return err
	}
	if left := lookAgainAfter - time.Since(began); left > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "watching %s for signs of life for %.0f s\n", node, left.Seconds())
		if err := o.env.Sleep(cmd.Context(), left); err != nil {
			return err
		}
	}
	ctx, cancel = context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	return c.prove(ctx, cmd.OutOrStdout(), o, x, life)
}

// prove looks for life once more and then writes the proof, on exactly the fence
// that this look showed.
func (c *connection) prove(ctx context.Context, out io.Writer, o *options, x *view.Doom, life []sign) error {
	who := c.self(ctx)
	for range proveTries {
		s, err := c.read(ctx, o, fences|policy)
		if err != nil {
			return err
		}
		now, err := s.Doom(x.Node)
		if err != nil {
			return err
		}
		if now.BootID != x.BootID {
			return fmt.Errorf("%s has booted anew while you were asked (boot %s): nothing was asserted", x.Node, now.BootID)
		}
		later, err := c.look(ctx, x.Node, s)
		if err != nil {
			return err
		}
		if signs := newer(life, later); len(signs) > 0 {
			return fmt.Errorf("%s is not off: since you were asked, %s; nothing was asserted. To reset it and move its volumes: kubectl picket fence %s",
				x.Node, strings.Join(signs, ", "), x.Node)
		}
		name, err := c.writeProof(ctx, now, who)
		if apierrors.IsConflict(err) {
			continue // the controller has written meanwhile
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "nodefence %s: %s asserts that boot %s of %s is dead; follow it: kubectl picket timeline %s -w\n", name, who, x.BootID, x.Node, x.Node)
		return nil
	}
	return errors.New("the fence changes all the time: nothing was asserted; try again")
}

// proveTries is how often a write is tried against those of the controller.
const proveTries = 5

// writeProof puts the proof into the open fence, or makes one that has it.
func (c *connection) writeProof(ctx context.Context, x *view.Doom, who string) (string, error) {
	proof := &v1alpha1.Proof{BootID: x.BootID, Kind: "Confirmed", By: who}
	if x.Fence == nil {
		f := newFence(x.Node, v1alpha1.ReasonRequested, who)
		f.Spec.Proof = proof
		made, err := c.picket.NodeFences.Create(ctx, f)
		if err != nil {
			return "", err
		}
		return made.Name, nil
	}
	return x.Fence.Name, c.patch(ctx, "nodefences", x.Fence.Name, x.Fence.ResourceVersion, map[string]any{"proof": proof})
}

// patch changes fields of an object's spec, if it still has that version. Fields
// that this program does not know stay as they are.
func (c *connection) patch(ctx context.Context, plural, name, version string, spec map[string]any) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]string{"resourceVersion": version},
		"spec":     spec,
	})
	if err != nil {
		return err
	}
	return c.kube.Discovery().RESTClient().Patch(types.MergePatchType).
		AbsPath("/apis", v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, plural, name).
		Body(body).Do(ctx).Error()
}

// assertion says in full what the person asserts, and what comes of it.
func assertion(out io.Writer, x *view.Doom, life []sign, now time.Time) {
	s := &screen.Screen{Out: out, Width: proseWidth}
	s.Line(screen.Say("You are about to assert that this machine is off, or cut off from its storage for good, and stays so until it boots anew:"))
	t := screen.Table{Indent: 2}
	t.Add(screen.Say("node"), screen.Say(x.Node))
	t.Add(screen.Say("boot"), screen.Say(x.BootID))
	t.Add(screen.Say("machine ID"), screen.Say(x.MachineID))
	t.Add(screen.Say("system UUID"), screen.Say(x.SystemUUID))
	t.Add(screen.Say("addresses"), screen.Say(strings.Join(x.Addresses, ", ")))
	if x.Fence != nil {
		t.Add(screen.Say("fence"), screen.Say(fmt.Sprintf("%s, %s", x.Fence.Name, x.Fence.Status.Phase)))
	}
	t.Add(screen.Say("volumes"), screen.Say(x.VolumeList()))
	s.Table(t)
	s.Space()
	s.Line(screen.Say("What happens: Picket waits no longer. It taints the node out-of-service, Kubernetes deletes its pods and attaches their volumes to other nodes, within seconds."))
	s.Line(screen.Say("If it is untrue: two machines write to the same volumes. Filesystems and databases on them are destroyed, and nothing stops it: no watchdog and no wait protects you from a wrong word here."))
	s.Line(screen.Say("A machine that does not answer is not a machine that is off. Look at it, its power socket, its console, or its PDU."))
	s.Space()
	signs := screen.Table{Head: []string{"SIGN OF LIFE", "LAST"}, Indent: 2}
	for _, l := range life {
		signs.Add(screen.Say(l.what), screen.Say(l.age(now)))
	}
	s.Table(signs)
	s.Space()
}

// A sign is a sign of life, which changes as long as there is any.
type sign struct {
	what  string
	value string
	at    time.Time // zero: not known
}

func (l sign) age(now time.Time) string {
	if l.at.IsZero() {
		return "never"
	}
	return screen.Span(now.Sub(l.at)) + " ago"
}

// newer lists the signs that changed between two looks.
func newer(before, after []sign) []string {
	var changed []string
	for _, b := range after {
		known := slices.ContainsFunc(before, func(a sign) bool { return a.what == b.what && a.value == b.value })
		if !known {
			changed = append(changed, b.verb())
		}
	}
	return changed
}

func (l sign) verb() string { return l.what + " changed" }
