package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// groups of commands in the help of the root.
const (
	groupServer    = "server"
	groupLocks     = "locks"
	groupElections = "elections"
	groupCluster   = "cluster"
	groupOther     = "other"
)

// root makes the tree of all commands.
func (a *App) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "conch",
		Short: "A distributed lock service: server and command line",
		Long: `Conch is a distributed lock service. Whoever holds the conch may act, everybody
else waits in line, and a token that only grows tells the resource who is late.

Results are on standard output, messages on standard error. Every flag has an
environment variable: CONCH_ and its name in capitals, unless its help says otherwise.

Exit status: 0 done; 1 refused or failed; 64 wrong usage; 69 no cluster; 70 the
lock or the leadership was lost while the command ran; 75 not acquired. A command
that ran under a lock or as a leader has its own status passed on.`,
		Example: `  conch dev
  conch lock backup -- ./backup.sh
  conch elect primary -- ./serve
  conch locks ls`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.fromEnvironment(cmd); err != nil {
				return err
			}
			return a.global.check()
		},
	}
	a.global.add(root.PersistentFlags())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usage("%v", err)
	})
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "Server:"},
		&cobra.Group{ID: groupLocks, Title: "Locks:"},
		&cobra.Group{ID: groupElections, Title: "Elections:"},
		&cobra.Group{ID: groupCluster, Title: "Sessions, keys, cluster:"},
		&cobra.Group{ID: groupOther, Title: "Other:"},
	)
	root.SetHelpCommandGroupID(groupOther)
	for _, g := range []struct {
		id       string
		commands []*cobra.Command
	}{
		{groupServer, []*cobra.Command{a.devCommand(), a.serveCommand()}},
		{groupLocks, []*cobra.Command{a.lockCommand(), a.locksCommand(), a.tokenCommand()}},
		{groupElections, []*cobra.Command{a.electCommand(), a.electionsCommand()}},
		{groupCluster, []*cobra.Command{
			a.sessionsCommand(), a.kvCommand(), a.statusCommand(), a.leaderCommand(), a.hashCommand(), a.benchCommand(),
		}},
		{groupOther, []*cobra.Command{a.versionCommand(), a.completionCommand()}},
	} {
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	describeEnvironment(root)
	return root
}

// group makes a command that only has commands below it.
func group(use, short, example string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Example: example,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("%s: one of %s is needed", cmd.Name(), strings.Join(names(cmd), ", "))
			}
			return usage("%s has no command %q: there are %s", cmd.Name(), args[0], strings.Join(names(cmd), ", "))
		},
		Args: cobra.ArbitraryArgs,
	}
	c.AddCommand(below...)
	return c
}

func names(cmd *cobra.Command) []string {
	var out []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			out = append(out, c.Name())
		}
	}
	return out
}

// exactly refuses any other number of arguments and says what they are.
func exactly(what ...string) cobra.PositionalArgs {
	return between(len(what), what...)
}

// between allows the first least of what and no more than all.
func between(least int, what ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage("%s is missing", what[len(args)])
		case len(args) > len(what):
			return usage("%q is one argument too many", args[len(what)])
		}
		return nil
	}
}

// envOf is the environment variable of a flag.
func envOf(f *pflag.Flag) string {
	if named := f.Annotations[envAnnotation]; len(named) == 1 {
		return named[0]
	}
	return "CONCH_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// envAnnotation names another variable than the usual one. A command that runs
// under a lock or as a leader has CONCH_TOKEN and CONCH_SESSION in its environment: they must
// not become flags of the conch commands that it runs.
const envAnnotation = "conch.env"

func setEnv(flags *pflag.FlagSet, flag, env string) {
	flags.Lookup(flag).Annotations = map[string][]string{envAnnotation: {env}}
}

// fromEnvironment gives flags that were not given the value of their variable.
func (a *App) fromEnvironment(cmd *cobra.Command) error {
	var wrong error
	a.givenBy = make(map[string]bool)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || wrong != nil || f.Name == "help" {
			return
		}
		value, ok := a.Getenv(envOf(f))
		if !ok || value == "" {
			return
		}
		parts := []string{value}
		if _, list := f.Value.(pflag.SliceValue); list {
			parts = strings.Split(value, ",")
		}
		for _, part := range parts {
			if err := cmd.Flags().Set(f.Name, part); err != nil {
				wrong = usage("%s=%q: %v", envOf(f), value, err)
				return
			}
		}
		a.givenBy[f.Name] = true
	})
	return wrong
}

// describeEnvironment adds to the help of each flag the variable with an
// unusual name.
func describeEnvironment(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Annotations[envAnnotation] != nil {
			f.Usage += " [" + envOf(f) + "]"
		}
	})
	for _, c := range cmd.Commands() {
		describeEnvironment(c)
	}
}
