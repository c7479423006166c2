package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"sharetray/agentcore"
	"sharetray/agentcore/problem"
)

// completionTime is how long a shell may be kept waiting.
const completionTime = time.Second

// runTray is what `sharetray` alone does. That an agent runs already is what its
// user wants, who then sees its dashboard.
func (a *app) runTray(ctx context.Context) error {
	err := a.runAgent(AgentRole{Tray: true})
	if problem.Is(err, problem.Exists) {
		return a.openDashboard(context.WithoutCancel(ctx), "/", false) // signals are the system's own by now
	}
	return err
}

func (a *app) runAgent(role AgentRole) (err error) {
	if role.Profile, err = a.profile.chosen(); err != nil {
		return err
	}
	a.ownSignals()
	return a.env.RunAgent(context.Background(), role)
}

func (a *app) agentCommand() *cobra.Command {
	var role AgentRole
	var noTray, background bool
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Runs the agent in the foreground",
		Long:  "Runs the agent, which looks after the shares, until Ctrl-C or `sharetray quit`.",
		Example: `  sharetray agent
  sharetray agent --no-tray`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			role.Tray = !noTray
			err := a.runAgent(role)
			if background && problem.Is(err, problem.Exists) {
				return reported(otherAgent)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&noTray, agentcore.NoTrayFlag, false, "without an icon in the system tray")
	flags := cmd.Flags()
	flags.BoolVar(&background, "background", false, "started by another command")
	flags.BoolVar(&role.Revived, agentcore.RevivedFlag, false, "started by share processes")
	flags.BoolVar(&role.Successor, agentcore.SuccessorFlag, false, "started by the agent that it is to replace")
	for _, hidden := range []string{"background", agentcore.RevivedFlag, agentcore.SuccessorFlag} {
		_ = flags.MarkHidden(hidden)
	}
	return cmd
}

func (a *app) quitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "quit",
		Short: "Ends the agent and all that it serves",
		Long: `Ends the agent. Its shares finish what is in flight and stop; they come back
with the next agent, at the same links.`,
		Example:           "  sharetray quit",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			return client.Quit(cmd.Context())
		},
	}
}

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Prints this program's version",
		Example:           "  sharetray version",
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return a.printJSON(struct {
					Version string `json:"version"`
					Go      string `json:"go"`
					System  string `json:"system"`
				}{a.env.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintln(a.Out, "sharetray", a.env.Version)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON object")
	return cmd
}

// Version is what the linker set or, failing that, what the build knows of itself.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Prints what makes a shell complete commands and names",
		Long: `Prints a script that makes a shell (bash, zsh, fish or powershell) complete
commands, flags and the names of shares. Have your shell read it at its start.`,
		Example: `  sharetray completion bash > ~/.local/share/bash-completion/completions/sharetray
  sharetray completion fish > ~/.config/fish/completions/sharetray.fish`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wants(1, false, "bash")(cmd, args); err != nil {
				return err
			}
			if !slices.Contains(shells, args[0]) {
				return misusef("there is no completion for %q: the shells are bash, zsh, fish and powershell", args[0])
			}
			return nil
		},
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch root := cmd.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Out, true)
			case "zsh":
				return root.GenZshCompletion(a.Out)
			case "fish":
				return root.GenFishCompletion(a.Out, true)
			default:
				return root.GenPowerShellCompletionWithDesc(a.Out)
			}
		},
	}
}

// printJSON prints v for people and programs alike.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
