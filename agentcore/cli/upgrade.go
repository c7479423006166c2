package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/problem"
)

const (
	upgradeTime = 5 * time.Minute       // for all shares to have new processes
	upgradePoll = 20 * time.Millisecond // between two questions how far it is
)

func (a *app) upgradeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "upgrade [PROGRAM]",
		Short: "Has the running agent go on as this program",
		Long: `Replaces the running agent by this program, or by PROGRAM: put the new version
in the place of the old one, then run this. The new agent first proves that it
can start. Then it takes over all shares and gives them new processes, one after
the other. Visitors notice nothing, and what they download goes on. If a share
does not become ready with it, everything goes back to the program before.`,
		Example: `  sharetray upgrade
  sharetray upgrade ~/Downloads/sharetray`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return misusef("%q is one word too many: names with spaces need quotes", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			exe := a.env.Exe
			if len(args) == 1 {
				path, err := filepath.Abs(args[0])
				if err != nil {
					return misusef("%q is no path: %v", args[0], err)
				}
				exe = path
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			up, err := a.upgrade(cmd.Context(), client, exe)
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(up)
			}
			return a.printUpgrade(up)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON object")
	return cmd
}

// upgrade begins an upgrade and waits for its end. The error of one that was
// taken back is a problem.Conflict.
func (a *app) upgrade(ctx context.Context, client *control.Client, exe string) (agentcore.Upgrade, error) {
	before, err := client.Info(ctx)
	if err != nil {
		return agentcore.Upgrade{}, err
	}
	up, err := client.Upgrade(ctx, exe)
	if err != nil || up.State == agentcore.UpgradeNeedless {
		return up, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, upgradeTime, problem.New(problem.Internal,
		"the upgrade takes longer than %v: `sharetray list` tells how the shares are", upgradeTime))
	defer cancel()
	for {
		now, err := client.Info(ctx)
		switch {
		case err != nil, now.PID == before.PID: // not there yet
		case now.Upgrade == nil:
			return up, problem.New(problem.Conflict, "another agent (version %s) has taken over meanwhile: see `sharetray list`", now.Version)
		case now.Upgrade.State == agentcore.UpgradeFailed:
			return *now.Upgrade, problem.New(problem.Conflict, "the upgrade to %s was taken back, %s goes on: %s", now.Upgrade.To, now.Upgrade.From, now.Upgrade.Reason)
		case now.Upgrade.State == agentcore.UpgradeDone:
			return *now.Upgrade, nil
		}
		select {
		case <-time.After(upgradePoll):
		case <-ctx.Done():
			return up, context.Cause(ctx)
		}
	}
}

func (a *app) printUpgrade(up agentcore.Upgrade) error {
	if up.State == agentcore.UpgradeNeedless {
		_, err := fmt.Fprintf(a.Out, "the agent runs this very program already: %s\n", up.To)
		return err
	}
	shares := fmt.Sprintf("%d shares have", up.Rolled)
	if up.Rolled == 1 {
		shares = "1 share has"
	}
	_, err := fmt.Fprintf(a.Out, "upgraded from %s to %s: %s new processes\n", up.From, up.To, shares)
	return err
}
