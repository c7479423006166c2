package cli

import (
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

func (a *app) dashboardCommand() *cobra.Command {
	var printOnly bool
	cmd := &cobra.Command{
		Use:   "dashboard [NAME]",
		Short: "Opens the dashboard, or a share's page of it",
		Long: `Opens the dashboard in the browser: all shares live, forms to add and change
them, logs, visitors, codes for phones, and the settings.

Its address opens it once, within a minute, without a password. Where there is no
browser it is printed. An agent is started in the background when none runs.`,
		Example: `  sharetray dashboard
  sharetray dashboard Pictures
  sharetray dashboard --print`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return wants(1, false, "Pictures")(cmd, args)
			}
			return nil
		},
		ValidArgsFunction: a.name,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/"
			if len(args) == 1 {
				client, err := a.client()
				if err != nil {
					return err
				}
				st, err := client.Get(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				path = "/shares/" + url.PathEscape(st.Name)
			} else if _, err := a.runningClient(cmd.Context()); err != nil {
				return err
			}
			return a.openDashboard(cmd.Context(), path, printOnly)
		},
	}
	cmd.Flags().BoolVar(&printOnly, "print", false, "print the address instead of opening it")
	return cmd
}

// openDashboard opens the page at path in the browser, or prints its address.
func (a *app) openDashboard(ctx context.Context, path string, printOnly bool) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	address, err := client.Dashboard(ctx, path)
	if err != nil {
		return err
	}
	if !printOnly {
		if err := a.env.OpenURL(ctx, address); err == nil {
			return nil
		}
		a.note("no browser could be opened: open this address within a minute")
	}
	_, err = fmt.Fprintln(a.Out, address)
	return err
}

func (a *app) autostartCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "autostart on|off|status",
		Short: "Starts Sharetray when you log in, or does not",
		Long: `Turns the start at login on or off, for this user and profile, or says how it
is. What is shared comes back with it, at the same links.`,
		Example: `  sharetray autostart on
  sharetray autostart status`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := wants(1, false, "on")(cmd, args); err != nil {
				return err
			}
			switch args[0] {
			case "on", "off", "status":
				return nil
			}
			return misusef("%q is none of on, off and status", args[0])
		},
		ValidArgs: []string{"on", "off", "status"},
		RunE: func(_ *cobra.Command, args []string) error {
			profile, err := a.profile.chosen()
			if err != nil {
				return err
			}
			auto := a.env.Autostart(profile)
			if args[0] != "status" {
				return auto.Set(args[0] == "on")
			}
			st, err := auto.Status()
			if err != nil {
				return err
			}
			if asJSON {
				return a.printJSON(struct {
					On    bool   `json:"on"`
					Place string `json:"place"`
					Other string `json:"other,omitempty"`
				}{st.On, st.Place, st.Other})
			}
			text := "off"
			if st.On {
				text = "on, by " + st.Place
			}
			fmt.Fprintln(a.Out, text)
			if st.On && st.Other != "" {
				a.note("it starts another program, %s: `sharetray autostart on` makes it this one", st.Other)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "with status: as a JSON object")
	return cmd
}
