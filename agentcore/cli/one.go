package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/history"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
)

func (a *app) startCommand() *cobra.Command {
	return a.eachCommand("start", "Starts shares that were stopped or have failed", "",
		func(ctx context.Context, c *control.Client, name string) error {
			st, err := c.Start(ctx, name)
			return a.told(st, err)
		})
}

func (a *app) restartCommand() *cobra.Command {
	return a.eachCommand("restart", "Gives shares a new process, without refusing anybody", "",
		func(ctx context.Context, c *control.Client, name string) error {
			st, err := c.Restart(ctx, name)
			return a.told(st, err)
		})
}

func (a *app) stopCommand() *cobra.Command {
	return a.eachCommand("stop", "Stops shares, after what is in flight",
		"Stops shares. What is in flight is finished first. They stay stopped, over logins\ntoo, until `sharetray start`.",
		func(ctx context.Context, c *control.Client, name string) error {
			_, err := c.Stop(ctx, name)
			return err
		})
}

func (a *app) removeCommand() *cobra.Command {
	return a.eachCommand("remove", "Stops shares and forgets them",
		"Stops shares and forgets them and their logs. What was shared, the folder or the app,\nis left as it is.",
		func(ctx context.Context, c *control.Client, name string) error {
			st, err := c.Get(ctx, name)
			if err != nil {
				return err
			}
			if err := c.Remove(ctx, name); err != nil {
				return err
			}
			what := ""
			if st.Target != "" {
				what = fmt.Sprintf(": %s is left as it is", oneLine(st.Target))
			}
			_, err = fmt.Fprintf(a.Out, "removed %s%s\n", oneLine(name), what)
			return err
		})
}

// told prints the link of a share that has just gone up.
func (a *app) told(st agentcore.Status, err error) error {
	if err != nil {
		return err
	}
	a.advise(st)
	return a.printLink(st)
}

// eachCommand makes a command that does the same to each share named.
func (a *app) eachCommand(verb, short, long string, do func(context.Context, *control.Client, string) error) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " NAME…",
		Short:             short,
		Long:              long,
		Example:           "  sharetray " + verb + " holiday\n  sharetray " + verb + " holiday shop",
		Args:              wants(1, true, "NAME"),
		ValidArgsFunction: a.names,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			return a.each(cmd, args, func(name string) error { return do(cmd.Context(), client, name) })
		},
	}
}

// each tries all names, whatever happens to one of them. The exit code is the
// worst one.
func (a *app) each(cmd *cobra.Command, names []string, do func(string) error) error {
	worst := done
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		err := do(name)
		if problem.Is(err, problem.Unavailable) || cmd.Context().Err() != nil {
			return err // the same would come of every other one
		}
		worst = max(worst, a.exit(cmd, err))
	}
	if worst != done {
		return reported(worst)
	}
	return nil
}

func (a *app) setCommand() *cobra.Command {
	var user string
	var withPassword, noPassword bool
	cmd := &cobra.Command{
		Use:   "set NAME KEY=VALUE…",
		Short: "Changes a share's settings",
		Long: `Changes settings of a share and waits until they are in force. Visitors notice
nothing, unless the port changes, and with it the link. The keys are those of
the share's file, which ` + "`sharetray show`" + ` names:

` + keysInWords(),
		Example: `  sharetray set holiday reach=lan
  sharetray set holiday notify=false port=8080
  sharetray set holiday expires=2h --password`,
		Args: func(cmd *cobra.Command, args []string) error {
			if withPassword || noPassword {
				return wants(1, true, "NAME")(cmd, args)
			}
			return wants(2, true, "NAME port=8080")(cmd, args)
		},
		ValidArgsFunction: a.setArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case withPassword && noPassword:
				return misusef("--password and --no-password can't both be meant")
			case cmd.Flags().Changed("user") && !withPassword:
				return misusef("--user goes with --password")
			}
			changes := map[string]string{}
			for _, arg := range args[1:] {
				key, value, ok := strings.Cut(arg, "=")
				_, twice := changes[key]
				switch {
				case !ok || key == "":
					return misusef("%q is not of the form KEY=VALUE, as port=8080 is", arg)
				case twice:
					return misusef("%s is given twice", key)
				}
				changes[key] = value
			}
			client, err := a.client()
			if err != nil {
				return err
			}
			old, err := client.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := absolutePaths(old.Kind, changes); err != nil {
				return err
			}
			switch {
			case noPassword:
				changes[agentcore.PasswordKey] = ""
			case withPassword:
				if changes[agentcore.PasswordKey], err = a.askPassword(user); err != nil {
					return err
				}
			}
			st, err := client.Set(cmd.Context(), args[0], changes)
			if err != nil || link(st) == link(old) {
				return err
			}
			return a.printLink(st)
		},
	}
	cmd.Flags().BoolVar(&withPassword, "password", false, "ask for a password (no terminal: a line of input)")
	cmd.Flags().StringVar(&user, "user", defaultUser, "the user's name that goes with the password")
	cmd.Flags().BoolVar(&noPassword, "no-password", false, "let everybody in who can reach it")
	return cmd
}

// keysInWords lists what can be set, a line each.
func keysInWords() string {
	var lines []string
	for _, k := range share.Keys {
		if !k.Fixed {
			lines = append(lines, fmt.Sprintf("  %-14s%s", k.Name, k.Doc))
		}
	}
	return strings.Join(lines, "\n")
}

// setArgs completes a share's name, then the keys that it has.
func (a *app) setArgs(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	const keys = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	if len(args) == 0 {
		return a.names(cmd, args, toComplete)
	}
	client, err := a.client()
	if err != nil {
		return nil, keys
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	st, err := client.Get(ctx, args[0])
	if err != nil {
		return nil, keys
	}
	var out []string
	for _, k := range share.Keys {
		if !k.Fixed && slices.Contains(k.Kinds, st.Kind) {
			out = append(out, cobra.CompletionWithDesc(k.Name+"=", k.Doc))
		}
	}
	return out, keys
}

func (a *app) openCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "open NAME",
		Short:             "Opens a share in the browser",
		Example:           "  sharetray open holiday",
		Args:              wants(1, false, "NAME"),
		ValidArgsFunction: a.name,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			st, err := client.Get(cmd.Context(), args[0])
			switch {
			case err != nil:
				return err
			case !st.Kind.IsHTTP():
				return problem.New(problem.Conflict, "%s is a %s share, which no browser can open: use %s in a program that speaks it", st.Name, st.Kind, link(st))
			case !isUp(st) || len(st.URLs) == 0:
				return problem.New(problem.Conflict, "%s can't be opened, as it is %s: `sharetray start %s` starts it", st.Name, st.State, quoted(st.Name))
			}
			if err := a.env.OpenURL(cmd.Context(), st.URLs[0]); err != nil {
				return problem.New(problem.Conflict, "no browser could be started: open %s yourself (%w)", st.URLs[0], err)
			}
			return nil
		},
	}
}

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	lines := count(50)
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Prints a share's log",
		Example: `  sharetray logs holiday
  sharetray logs holiday -f -n 200`,
		Args:              wants(1, false, "NAME"),
		ValidArgsFunction: a.name,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			err = client.Log(cmd.Context(), args[0], int(lines), follow, tame(a.Out))
			if follow && cmd.Context().Err() != nil {
				return nil // the user has seen enough
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on and print what is added")
	cmd.Flags().VarP(&lines, "lines", "n", "how many of the last lines to begin with")
	return cmd
}

// count is a number of things, as a flag.
type count int

func (c *count) String() string { return strconv.Itoa(int(*c)) }
func (c *count) Type() string   { return "number" }
func (c *count) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return fmt.Errorf("it must be a number, 0 or more")
	}
	*c = count(n)
	return nil
}

func (a *app) showCommand() *cobra.Command {
	var asJSON, qr bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Tells all about one share",
		Example: `  sharetray show holiday
  sharetray show holiday --json
  sharetray show holiday --qr`,
		Args:              wants(1, false, "NAME"),
		ValidArgsFunction: a.name,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			st, err := client.Get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if qr {
				return a.printQR(st)
			}
			past, err := client.History(cmd.Context(), args[0], showEntries)
			if err != nil { // which is no reason not to tell the rest
				a.note("the history of %s can't be had: %s", st.Name, problem.Sentence(err))
			}
			if asJSON {
				return a.printJSON(struct {
					agentcore.Status
					History []history.Entry `json:"history"`
				}{st, append([]history.Entry{}, past...)})
			}
			if err := writeDetails(a.Out, st, time.Now()); err != nil {
				return err
			}
			return writeHistory(a.Out, past)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON object")
	cmd.Flags().BoolVar(&qr, "qr", false, "its link as a QR code, for a phone's camera")
	return cmd
}

// writeDetails writes "key: value" lines, of what there is to say.
func writeDetails(w io.Writer, st agentcore.Status, now time.Time) error {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" && value != "0" {
			fmt.Fprintf(&b, "%-14s%s\n", key+":", oneLine(value))
		}
	}
	state := string(st.State)
	if !st.Since.IsZero() {
		state = fmt.Sprintf("%s, for %s", state, forHumans(now.Sub(st.Since)))
	}
	line("name", st.Name)
	line("kind", string(st.Kind))
	line("target", st.Target)
	line("state", state)
	line("trouble", string(st.Trouble))
	line("last error", st.LastError)
	for _, u := range st.URLs {
		line("link", u)
	}
	line("reach", string(st.Reach))
	line("port", strconv.Itoa(int(st.Port)))
	line("pid", strconv.Itoa(st.PID))
	line("restarts", strconv.Itoa(st.Restarts))
	line("crashes", strconv.Itoa(st.Crashes))
	line("notify", strconv.FormatBool(st.Notify))
	line("stop grace", st.StopGrace)
	for _, l := range st.Limits {
		line("limit", l)
	}
	line("users", strings.Join(st.Users, ", "))
	line("networks", strings.Join(st.Networks, ", "))
	if st.Expires != nil {
		line("expires", st.Expires.Local().Format("2006-01-02 15:04"))
	}
	line("requests", strconv.FormatUint(st.Requests, 10))
	line("open now", strconv.Itoa(st.Active))
	line("sent", amount(st.BytesOut))
	line("received", amount(st.BytesIn))
	line("file", st.File)
	for _, v := range st.Visitors {
		line("visitor", v.String())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// amount is a number of bytes for people; "" is none.
func amount(n uint64) string {
	const unit = 1000
	if n < unit {
		return strings.TrimPrefix(fmt.Sprintf("%d bytes", n), "0 bytes")
	}
	size, prefix := float64(n)/unit, 0
	for size >= unit {
		size /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %cB", size, "kMGTPE"[prefix])
}

func forHumans(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 48*time.Hour:
		return d.Truncate(time.Second).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// quoted is a name as a shell takes it.
func quoted(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return strings.ContainsRune(" '\"\\$`&|;<>()*?!#~", r) }) {
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return name
}
