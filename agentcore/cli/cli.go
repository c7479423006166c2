// Package cli is the commands: what a user types, turned into questions to the
// agent, and its answers into text, JSON and exit codes.
//
// It must not know how shares are run, nor the tray: whoever wires the program
// together says in Env how this process becomes the agent.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/rundir"
	"sharetray/platform"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Env is what the program that carries the commands brings along.
type Env struct {
	Version string
	Exe     string // this program, to be started again as the agent

	// RunAgent makes this process the agent until it has ended. Its error is a
	// problem.Exists when another one runs. It is called on the goroutine that
	// called Main.
	RunAgent func(context.Context, AgentRole) error

	// What commands ask the system, for tests to replace; nil is the real thing.
	Paths   func(profile string) (agentcore.Paths, error)
	OpenURL func(ctx context.Context, url string) error // in the user's browser
	// Autostart is what starts the agent of a profile at login.
	Autostart func(profile string) agentcore.Autostart
}

// AgentRole says which agent a process is to be, and how it came to that.
type AgentRole struct {
	Profile string
	Tray    bool // with an icon in the system tray
	// Revived: share processes have started it in place of one that died.
	Revived bool
	// Successor: the agent that runs has started it, to be replaced by it.
	Successor bool
}

// The exit codes.
const (
	done    = 0
	failed  = 1
	usage   = 2
	noShare = 3
	noAgent = 4

	// otherAgent is between `share` and the agent that it starts: it tells that
	// another one runs already.
	otherAgent = 75
)

func init() {
	cobra.EnableCommandSorting = false // they have an order that makes sense
	cobra.MousetrapHelpText = ""       // a double click on Windows starts the tray
}

// Main runs the command that args names, without the program's own name, and
// returns the exit code.
func Main(args []string, streams Streams, env Env) int {
	if env.Paths == nil {
		env.Paths = agentcore.FindPaths
	}
	if env.OpenURL == nil {
		env.OpenURL = platform.OpenURL
	}
	if env.Autostart == nil {
		env.Autostart = func(profile string) agentcore.Autostart { return agentcore.Autostart{Profile: profile, Exe: env.Exe} }
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends it whatever it does
	a := &app{Streams: streams, env: env, ownSignals: stop}
	root := a.root()
	root.SetArgs(append([]string{}, args...))
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	cmd, err := root.ExecuteContextC(ctx)
	rundir.RemoveEmpty(a.run) // looking has made it
	return a.exit(cmd, err)
}

// app is one run of the program.
type app struct {
	Streams
	env        Env
	profile    profileFlag
	run        string // the runtime folder, once it was looked for
	ownSignals func() // gives the handling of signals back
}

func (a *app) paths() (agentcore.Paths, error) {
	profile, err := a.profile.chosen()
	if err != nil {
		return agentcore.Paths{}, err
	}
	paths, err := a.env.Paths(profile)
	a.run = filepath.Dir(paths.Control)
	return paths, err
}

func (a *app) client() (*control.Client, error) {
	paths, err := a.paths()
	if err != nil {
		return nil, err
	}
	return control.Dial(paths), nil
}

// note says something beside the result.
func (a *app) note(format string, args ...any) {
	fmt.Fprintln(a.Err, "sharetray:", a.profile.advice(oneLine(fmt.Sprintf(format, args...))))
}

// reported is an error that the user has been told of.
type reported int

func (r reported) Error() string { return fmt.Sprintf("exit code %d", int(r)) }

// exit tells the user about err in one sentence and returns the exit code.
func (a *app) exit(cmd *cobra.Command, err error) int {
	var told reported
	var wrong *misuse
	switch {
	case err == nil:
		return done
	case errors.As(err, &told):
		return int(told)
	case errors.As(err, &wrong):
		a.note("%s (see `%s --help`)", wrong.sentence, cmd.CommandPath())
		return usage
	case errors.Is(err, context.Canceled):
		a.note("interrupted: what was asked for may still happen")
	default:
		a.note("%s", problem.Sentence(err))
	}
	return exitCode(err)
}

func exitCode(err error) int {
	switch problem.CodeOf(err) {
	case "":
		return done
	case problem.Invalid:
		return usage
	case problem.NotFound:
		return noShare
	case problem.Unavailable:
		return noAgent
	}
	return failed
}

// misuse is a command line that can't be meant.
type misuse struct{ sentence string }

func (m *misuse) Error() string { return m.sentence }

func misusef(format string, args ...any) error {
	return &misuse{fmt.Sprintf(format, args...)}
}

// noArgs refuses arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misusef("`%s` takes no %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// wants asks for a number of arguments, or at least that many.
func wants(n int, orMore bool, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return misusef("something is missing: try `%s %s`", cmd.CommandPath(), example)
		case len(args) > n && !orMore:
			return misusef("%q is one word too many: names and folders with spaces need quotes", args[n])
		}
		return nil
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "sharetray",
		Short: "Keeps your shares up",
		Long: `Sharetray lives in the system tray and keeps your shares up: folders and web
apps of this computer that others can reach by a link.

Without a command it runs the agent, which looks after the shares, with its
tray icon; when one runs already, it opens the dashboard. ` + "`sharetray share`" + `
starts one in the background when none runs.`,
		Example: `  sharetray share web ~/Pictures
  sharetray share proxy 3000
  sharetray list`,
		Version:       a.env.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return misusef("there is no command %q: did you mean %q?", args[0], near[0])
			}
			return misusef("there is no command %q", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runTray(cmd.Context()) },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.SetVersionTemplate("sharetray {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return misusef("%v", err) })
	root.AddCommand(
		a.agentCommand(), a.shareCommand(), a.listCommand(), a.showCommand(), a.logsCommand(),
		a.startCommand(), a.stopCommand(), a.restartCommand(), a.removeCommand(),
		a.setCommand(), a.editCommand(), a.openCommand(), a.dashboardCommand(), a.autostartCommand(), a.upgradeCommand(), a.doctorCommand(), a.quitCommand(), a.versionCommand(), a.completionCommand(),
	)
	root.SetHelpCommand(helpCommand())
	root.PersistentFlags().Var(&a.profile, profileName, "which agent: each profile has one, with shares of its own (or $"+profileVar+")")
	_ = root.RegisterFlagCompletionFunc(profileName, completeProfiles)
	return root
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Tells about a command",
		Example: "  sharetray help share web",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return misusef("there is no command %q", strings.Join(args, " "))
			}
			return about.Help()
		},
	}
}

// names completes the names of shares, one that was given already aside.
func (a *app) names(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	client, err := a.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	list, err := client.List(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, st := range list {
		if !slices.Contains(args, st.Name) {
			out = append(out, cobra.CompletionWithDesc(st.Name, oneLine(st.Target)))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// name completes the name of one share, as the first argument.
func (a *app) name(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return a.names(cmd, args, toComplete)
}
