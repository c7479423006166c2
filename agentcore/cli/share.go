package cli

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
)

func (a *app) shareCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "share",
		Short: "Shares something and prints its link",
		Long: `Shares a folder or a web app, waits until the link works, and prints it. An
agent is started in the background when none runs. What is shared stays shared,
over logins and restarts, until ` + "`sharetray remove`" + `.`,
		Example: `  sharetray share web ~/Pictures
  sharetray share proxy 3000`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misusef("say what to share: `sharetray share web DIR` or `sharetray share proxy PORT`")
			}
			return misusef("there is no kind of share %q: it is `sharetray share web DIR` or `sharetray share proxy PORT`", args[0])
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args refuses everything
	}
	cmd.AddCommand(a.shareWebCommand(), a.shareProxyCommand())
	return cmd
}

func (a *app) shareWebCommand() *cobra.Command {
	var f shareFlags
	cmd := &cobra.Command{
		Use:   "web DIR",
		Short: "Shares a folder, as web pages and listings",
		Long: `Shares a folder. A browser shows its pages, or lists its files where there is no
index.html. Files whose names begin with a dot stay hidden, and nothing outside
the folder is ever served.`,
		Example: `  sharetray share web .
  sharetray share web ~/Pictures --name holiday --reach lan`,
		Args: wants(1, false, "DIR"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "" {
				return misusef("the folder's name is empty: `.` is the folder you are in")
			}
			dir, err := absolute(args[0])
			if err != nil {
				return err
			}
			return a.share(cmd, &f, share.Web, dir)
		},
	}
	f.add(cmd)
	f.setting(cmd, "hidden-files", "hidden_files", "true", "serve files whose names begin with a dot, too")
	f.setting(cmd, "no-listing", "listing", "false", "list no files: only what is known by name can be had")
	return cmd
}

func (a *app) shareProxyCommand() *cobra.Command {
	var f shareFlags
	cmd := &cobra.Command{
		Use:   "proxy PORT|URL",
		Short: "Shares a web app that runs on a port, or at an address",
		Long: `Shares a web app that already runs: by its port on this computer, or its address.
While the app is down, visitors see a page that waits for it.`,
		Example: `  sharetray share proxy 3000
  sharetray share proxy https://localhost:8443 --no-verify-tls --name shop`,
		Args:              wants(1, false, "3000"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.share(cmd, &f, share.Proxy, args[0])
		},
	}
	f.add(cmd)
	f.setting(cmd, "no-verify-tls", "verify_tls", "false", "accept any certificate from an https app")
	return cmd
}

// absolute is a folder as the agent can find it, which stands elsewhere.
func absolute(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", problem.New(problem.Conflict, "it can't be told which folder %q is: %w", dir, err)
	}
	return abs, nil
}

// shareFlags are the flags of all kinds.
type shareFlags struct {
	name, port, reach string
	notify, json      bool
	settings          []flagSetting
	limits            map[string]*string // by key
}

// limitFlags are the limits of a share: the key, and what it is for.
var limitFlags = [][2]string{
	{"memory", "the most memory that its process may take, such as 256MiB"},
	{"cpu", "how many processors it may keep busy, such as 0.5"},
	{"open_files", "how many files and connections it may have open"},
	{"processes", "how many processes and threads it may have"},
	{"connections", "how many connections are served at the same time; others wait"},
	{"bandwidth", "how much all visitors get in a second, such as 2MB/s"},
}

// flagSetting is a flag that stands for a key and one value of it.
type flagSetting struct{ flag, key, value string }

func (f *shareFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.name, "name", "", "what to call it (default: made from what is shared)")
	fl.StringVar(&f.port, "port", "", "the port of its link (default: a free one, kept for life)")
	fl.StringVar(&f.reach, "reach", string(share.Local), "who can open it: local, this computer; lan, its networks too")
	fl.BoolVar(&f.notify, "notify", true, "say on the desktop when something happens to it")
	fl.BoolVar(&f.json, "json", false, "print the whole share as JSON, not only its link")
	f.limits = map[string]*string{}
	for _, l := range limitFlags {
		flag := strings.ReplaceAll(l[0], "_", "-")
		f.limits[l[0]] = fl.String(flag, "", l[1])
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	_ = cmd.RegisterFlagCompletionFunc("reach", cobra.FixedCompletions(
		[]string{string(share.Local), string(share.LAN)}, cobra.ShellCompDirectiveNoFileComp))
	for _, flag := range []string{"name", "port"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
}

func (f *shareFlags) setting(cmd *cobra.Command, flag, key, value, usage string) {
	cmd.Flags().Bool(flag, false, usage)
	f.settings = append(f.settings, flagSetting{flag, key, value})
}

// newShare carries what was given; the agent knows what is assumed otherwise.
func (f *shareFlags) newShare(cmd *cobra.Command, kind share.Kind, target string) agentcore.NewShare {
	keys := map[string]string{}
	for key, value := range map[string]string{"port": f.port, "reach": f.reach, "notify": strconv.FormatBool(f.notify)} {
		if cmd.Flags().Changed(key) {
			keys[key] = value
		}
	}
	for key, value := range f.limits {
		if cmd.Flags().Changed(strings.ReplaceAll(key, "_", "-")) {
			keys[key] = *value
		}
	}
	for _, s := range f.settings {
		if on, err := cmd.Flags().GetBool(s.flag); err == nil && on {
			keys[s.key] = s.value
		}
	}
	return agentcore.NewShare{Name: f.name, Kind: string(kind), Target: target, Keys: keys}
}

// share makes a share, or finds that it is there already, and prints its link.
func (a *app) share(cmd *cobra.Command, f *shareFlags, kind share.Kind, target string) error {
	ctx := cmd.Context()
	n := f.newShare(cmd, kind, target)
	if err := check(&n, cmd.Flags().Changed("name")); err != nil {
		return err
	}
	st, err := a.shareNow(ctx, n)
	if needsAgent(err) { // it has ended in between
		st, err = a.shareNow(ctx, n)
	}
	if err != nil {
		return err
	}
	a.advise(st)
	if f.json {
		return a.printJSON(st)
	}
	return a.printLink(st)
}

func (a *app) shareNow(ctx context.Context, n agentcore.NewShare) (agentcore.Status, error) {
	client, err := a.runningClient(ctx)
	if err != nil {
		return agentcore.Status{}, err
	}
	list, err := client.List(ctx)
	if err != nil {
		return agentcore.Status{}, err
	}
	if old, ok := alreadyShared(list, n); ok {
		return a.shareAgain(ctx, client, old, n)
	}
	return client.Add(ctx, n)
}

// alreadyShared finds the share that n would only repeat.
func alreadyShared(list []agentcore.Status, n agentcore.NewShare) (agentcore.Status, bool) {
	for _, st := range list {
		port, named := n.Keys["port"]
		if string(st.Kind) == n.Kind && st.Target == n.Target && st.State != supervise.Invalid &&
			(n.Name == "" || strings.EqualFold(n.Name, st.Name)) &&
			(!named || port == strconv.Itoa(int(st.Port))) {
			return st, true
		}
	}
	return agentcore.Status{}, false
}

// shareAgain gives a share the settings that were asked for now, and sees to it
// that it runs.
func (a *app) shareAgain(ctx context.Context, client *control.Client, st agentcore.Status, n agentcore.NewShare) (agentcore.Status, error) {
	changes := map[string]string{}
	for key, value := range n.Keys {
		if key != "port" && value != currently(st)[key] {
			changes[key] = value
		}
	}
	what := "this is shared already, as %s"
	var err error
	if len(changes) > 0 {
		what = "this was shared already, as %s: its settings are now as given"
		if st, err = client.Set(ctx, st.Name, changes); err != nil {
			return st, err
		}
	}
	if !isUp(st) {
		what = "this was shared already, as %s: it is started again"
		if st, err = client.Start(ctx, st.Name); err != nil {
			return st, err
		}
	}
	a.note(what, st.Name)
	return st, nil
}

// currently is what a status tells of a share's keys, which is not all of them.
func currently(st agentcore.Status) map[string]string {
	return map[string]string{"reach": string(st.Reach), "notify": strconv.FormatBool(st.Notify)}
}

// isUp reports whether a share answers its link, be it to say that its target
// is down.
func isUp(st agentcore.Status) bool {
	return st.State == supervise.Ready || st.State == supervise.Unhealthy
}

// advise tells what the user should know of a share that has just gone up.
func (a *app) advise(st agentcore.Status) {
	switch {
	case st.Trouble == supervise.TargetTrouble && st.Kind == share.Proxy:
		a.note("the app at %s does not answer yet: visitors see a page that waits for it", st.Target)
	case isTroubled(st):
		a.note("%s", st.LastError)
	}
	if len(st.URLs) > 1 {
		a.note("it can also be reached at %s", strings.Join(st.URLs[1:], " and "))
	}
}

// printLink prints the one line that scripts read.
func (a *app) printLink(st agentcore.Status) error {
	if len(st.URLs) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(a.Out, oneLine(st.URLs[0]))
	return err
}

// check finds what can never be right before an agent is started for it, and
// writes the target as the agent does.
func check(n *agentcore.NewShare, named bool) (err error) {
	kind := share.Kind(n.Kind)
	if n.Target, err = share.NormalizeTarget(kind, n.Target); err != nil {
		return err
	}
	if named {
		if _, err := share.ParseName(n.Name); err != nil {
			return err
		}
	}
	sh := share.Defaults(kind)
	for _, key := range slices.Sorted(maps.Keys(n.Keys)) {
		if err := sh.Set(key, n.Keys[key]); err != nil {
			return err
		}
	}
	return nil
}
