package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/picket-dev/picket/controller/internal/view"
	"github.com/picket-dev/picket/proto/screen"
)

// Exit codes beside 0, as those of picket-agent.
const (
	exitDegraded = 1 // something is not as it should be
	exitCounting = 2 // a node is being fenced
	exitFailed   = 3 // it could not be told, or not be done
)

// A verdict is an answer that is itself the error: the screen has said all, and
// only the exit code is left.
type verdict struct{ code int }

func (v *verdict) Error() string { return fmt.Sprintf("exit code %d", v.code) }

// ExitCode returns the exit code for what the command returned, and whether there
// is a message to print.
func ExitCode(err error) (code int, say bool) {
	if err == nil {
		return 0, false
	}
	if v, ok := errors.AsType[*verdict](err); ok {
		return v.code, false
	}
	return exitFailed, true
}

// An Env is what the commands know of their process.
type Env struct {
	Version string
	// Getenv reads the environment.
	Getenv func(string) string
	// Sleep waits until the time has passed or the context ends.
	Sleep func(context.Context, time.Duration) error
}

// options are the flags of all commands.
type options struct {
	env                     Env
	kubeconfig, context, as string
	namespace, domains      string
	timeout                 time.Duration
	output                  string
	watch                   bool
}

// Command returns kubectl-picket with all its commands.
func Command(env Env) *cobra.Command {
	o := &options{env: env}
	root := &cobra.Command{
		Use:   "kubectl-picket",
		Short: "See what Picket does in this cluster, and tell it what you know",
		Long: `Picket fences Kubernetes nodes without a BMC: it proves that a lost node cannot
write any more, and only then lets Kubernetes move its volumes.

These commands show the whole cluster, through the API server. While that is away,
ask a node itself: picket-agent status.

Exit codes: 0 fine, 1 degraded, 2 a node is being fenced, 3 could not tell or do it.`,
		Example: `  kubectl picket status               # is all well? if not, what is wrong
  kubectl picket timeline worker-3    # why was it fenced, step by step
  kubectl picket matrix               # who hears whom: a host, a rack, or a path?
  kubectl picket confirm worker-3     # you saw it is off: end the wait`,
		Version:       env.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl picket"},
	}
	f := root.PersistentFlags()
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "file that names the cluster and your credentials; empty: $KUBECONFIG or ~/.kube/config")
	f.StringVar(&o.context, "context", "", "context of the kubeconfig to use")
	f.StringVar(&o.as, "as", "", "user to impersonate")
	f.DurationVar(&o.timeout, "request-timeout", 30*time.Second, "how long the API server may take")
	f.StringVar(&o.namespace, "picket-namespace", "picket", "namespace that Picket is installed in")
	f.StringVar(&o.domains, "failure-domain-label", "topology.kubernetes.io/zone", "node label whose value fails together")
	root.AddCommand(
		o.statusCommand(), o.timelineCommand(), o.matrixCommand(), o.explainWaitCommand(), o.whereCommand(),
		o.fenceCommand(), o.confirmCommand(), o.pauseCommand(), o.resumeCommand(), o.reportCommand(), o.doctorCommand(),
	)
	root.InitDefaultCompletionCmd("kubectl")
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.AddCommand(kubectlCompletion())
		}
	}
	return root
}

// kubectlCompletion prints what makes `kubectl picket <TAB>` work.
func kubectlCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl",
		Short: "Print the script by which kubectl completes `kubectl picket`",
		Example: `  kubectl picket completion kubectl > ~/bin/kubectl_complete-picket
  chmod +x ~/bin/kubectl_complete-picket    # any directory of your PATH`,
		Args: cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprint(c.OutOrStdout(), "#!/usr/bin/env sh\nexec kubectl-picket __complete \"$@\"\n")
		},
	}
}

// answering adds the flags of a command that shows an answer.
func (o *options) answering(c *cobra.Command) *cobra.Command {
	c.Flags().StringVarP(&o.output, "output", "o", "table", "table, wide, json or yaml")
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "show it again every two seconds, until you interrupt it")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "wide", "json", "yaml"}, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return c
}

// watchEvery is the pace of --watch.
const watchEvery = 2 * time.Second

// show asks, shows the answer, and makes an exit code of it.
func (o *options) show(c *cobra.Command, ask func(context.Context, *connection) (view.Answer, error)) error {
	if err := checkOutput(o.output); err != nil {
		return err
	}
	conn, err := o.connect()
	if err != nil {
		return err
	}
	s := screen.On(c.OutOrStdout(), o.env.Getenv)
	for {
		answer, err := o.ask(c.Context(), conn, ask)
		if err != nil {
			return conn.explain(err)
		}
		if o.watch && s.Colour {
			fmt.Fprint(s.Out, "\x1b[H\x1b[2J")
		}
		if err := render(s, o.output, answer); err != nil {
			return err
		}
		if !o.watch {
			return judge(answer)
		}
		if o.env.Sleep(c.Context(), watchEvery) != nil {
			return judge(answer)
		}
		s.Space()
	}
}

// ask bounds one question.
func (o *options) ask(ctx context.Context, conn *connection, ask func(context.Context, *connection) (view.Answer, error)) (view.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	return ask(ctx, conn)
}

func judge(a view.Answer) error {
	switch a.Health() {
	case view.Degraded:
		return &verdict{exitDegraded}
	case view.Counting:
		return &verdict{exitCounting}
	case view.Fine, view.Unjudged:
	}
	return nil
}
