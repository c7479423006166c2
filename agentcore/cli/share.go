package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
)

func (a *app) shareCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "share",
		Short: "Shares something and prints its link",
		Long: `Shares something of this computer, waits until the link works, and prints it. An
agent is started in the background when none runs. What is shared stays shared,
over logins and restarts, until ` + "`sharetray remove`" + `.`,
		Example: `  sharetray share web ~/Pictures
  sharetray share proxy 3000`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misusef("say what to share: %s", kindsInUse())
			}
			return misusef("there is no kind of share %q: it is %s", args[0], kindsInUse())
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args refuses everything
	}
	for _, k := range kindCommands {
		cmd.AddCommand(a.kindCommand(k))
	}
	return cmd
}

// shareFlags are the flags of a kind.
type shareFlags struct {
	kind              kindCommand
	name, port, reach string
	user              string
	notify, json, qr  bool
	password          bool
	on                []flagSetting
	values            map[string]flagText // by key
	lists             map[string]flagList
}

// flagText and flagList are flags that carry a key's value.
type (
	flagText struct {
		flag  string
		value *string
	}
	flagList struct {
		flag   string
		values *[]string
	}
)

// limitFlags are the limits of a share: flag, key, and what it is for.
var limitFlags = [][3]string{
	{"memory", "memory", "the most memory that its process may take, such as 256MiB"},
	{"cpu", "cpu", "how many processors it may keep busy, such as 0.5"},
	{"open-files", "open_files", "how many files and connections it may have open"},
	{"processes", "processes", "how many processes and threads it may have"},
	{"connections", "connections", "how many connections are served at the same time; others wait"},
	{"bandwidth", "bandwidth", "how much all visitors get in a second, such as 2MB/s"},
}

// flagSetting is a flag that stands for a key and one value of it.
type flagSetting struct{ flag, key, value string }

func (f *shareFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	k := f.kind
	fl.StringVar(&f.name, "name", "", "what to call it (default: made from what is shared)")
	fl.StringVar(&f.port, "port", "", "the port of its link (default: a free one, kept for life)")
	fl.StringVar(&f.reach, "reach", string(share.Local), "who can open it: local, this computer; lan, its networks too")
	fl.BoolVar(&f.notify, "notify", true, "say on the desktop when something happens to it")
	fl.BoolVar(&f.json, "json", false, "print the whole share as JSON, not only its link")
	fl.BoolVar(&f.qr, "qr", false, "print the link as a QR code, too")
	values := append(limitFlags[:len(limitFlags):len(limitFlags)], k.values...)
	values = append(values, [3]string{"expires", "expires", "when it ends: 2h, 3d, or \"2026-12-31 18:00\""})
	lists := append([][3]string{{"allow", "networks", "a `NETWORK` that may reach it, else all can (repeatable)"}}, k.lists...)
	on := k.on
	if k.kind.IsHTTP() {
		on, lists = append(on[:len(on):len(on)], httpOn...), append(lists, httpLists...)
		if k.kind != share.Caddy {
			values = append(values, tlsValues...)
		}
	}
	if k.kind.IsHTTP() || k.kind == share.SOCKS {
		fl.BoolVar(&f.password, "password", false, "ask for a password (no terminal: a line of input)")
		fl.StringVar(&f.user, "user", defaultUser, "the user's name that goes with the password")
	}
	for _, o := range on {
		fl.Bool(o[0], false, o[3])
		f.on = append(f.on, flagSetting{o[0], o[1], o[2]})
	}
	f.values = map[string]flagText{}
	for _, v := range values {
		f.values[v[1]] = flagText{v[0], fl.String(v[0], "", v[2])}
	}
	f.lists = map[string]flagList{}
	for _, l := range lists {
		f.lists[l[1]] = flagList{l[0], fl.StringArray(l[0], nil, l[2])}
	}
	fl.VisitAll(func(flag *pflag.Flag) {
		if flag.Value.Type() != "bool" && flag.Name != "reach" {
			_ = cmd.RegisterFlagCompletionFunc(flag.Name, cobra.NoFileCompletions)
		}
	})
	_ = cmd.RegisterFlagCompletionFunc("reach", cobra.FixedCompletions(
		[]string{string(share.Local), string(share.LAN)}, cobra.ShellCompDirectiveNoFileComp))
}

// newShare carries what was given; the agent knows what is assumed otherwise.
func (f *shareFlags) newShare(cmd *cobra.Command, target string, keys map[string]string) (agentcore.NewShare, error) {
	given := cmd.Flags().Changed
	for key, value := range map[string]string{"port": f.port, "reach": f.reach, "notify": strconv.FormatBool(f.notify)} {
		if given(key) {
			keys[key] = value
		}
	}
	for key, v := range f.values {
		if given(v.flag) {
			keys[key] = *v.value
		}
	}
	for key, l := range f.lists {
		if given(l.flag) {
			keys[key] = share.ListText(*l.values...)
		}
	}
	for _, s := range f.on {
		if on, err := cmd.Flags().GetBool(s.flag); err == nil && on {
			keys[s.key] = s.value
		}
	}
	return agentcore.NewShare{Name: f.name, Kind: string(f.kind.kind), Target: target, Keys: keys},
		absolutePaths(f.kind.kind, keys)
}

// share makes a share, or finds that it is there already, and prints its link.
func (a *app) share(cmd *cobra.Command, f *shareFlags, target string, keys map[string]string) error {
	ctx := cmd.Context()
	n, err := f.newShare(cmd, target, keys)
	if err != nil {
		return err
	}
	if err := check(&n, cmd.Flags().Changed("name")); err != nil {
		return err
	}
	if f.password {
		if n.Keys[agentcore.PasswordKey], err = a.askPassword(f.user); err != nil {
			return err
		}
	} else if cmd.Flags().Changed("user") {
		return misusef("--user goes with --password")
	}
	st, err := a.shareNow(ctx, n)
	if needsAgent(err) { // it has ended in between
		st, err = a.shareNow(ctx, n)
	}
	if err != nil {
		return err
	}
	if st.Kind == share.Command {
		st = a.awaitProgram(ctx, st, n.Keys["ready"] == string(share.ReadyStarted))
	}
	a.advise(st)
	if f.json {
		return a.printJSON(st)
	}
	if err := a.printLink(st); err != nil || !f.qr {
		return err
	}
	return a.printQR(st)
}

// How long `share` waits for a program, and for the link that it makes itself.
const (
	programPatience = time.Minute
	linkPatience    = 15 * time.Second
	programLook     = 100 * time.Millisecond
)

// awaitProgram waits until the program of a share can be visited, or it is known
// why it can't, or until it has told its own link.
func (a *app) awaitProgram(ctx context.Context, st agentcore.Status, ownLink bool) agentcore.Status {
	client, err := a.client()
	if err != nil {
		return st
	}
	patience := programPatience
	if ownLink {
		patience = linkPatience
	}
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; {
		isStarting := st.Trouble == supervise.TargetTrouble && strings.HasSuffix(st.LastError, "is starting")
		if !isStarting && (!ownLink || len(st.URLs) > 1 || isTroubled(st)) {
			break
		}
		time.Sleep(programLook)
		now, err := client.Get(ctx, st.Name)
		if err != nil {
			break
		}
		st = now
	}
	return st
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
		// What has no target, or one that means another thing elsewhere, is not the
		// same because it is called alike.
		same := st.Target == n.Target && (n.Kind != string(share.SOCKS) || n.Name != "") && (n.Keys["dir"] == "" || n.Keys["dir"] == st.Dir)
		if string(st.Kind) == n.Kind && same && st.State != supervise.Invalid &&
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
		if key == "secret" && value == "new" && slices.ContainsFunc(st.URLs, func(u string) bool { return strings.Contains(u, "/s/") }) {
			continue // it has one, and its link stays
		}
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
	return map[string]string{"reach": string(st.Reach), "notify": strconv.FormatBool(st.Notify), "dir": st.Dir}
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
	keys, err := agentcore.Resolve(sh, n.Keys, time.Now())
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if err := sh.Set(key, keys[key]); err != nil {
			return err
		}
	}
	sh.Name, sh.Target = share.Suggest(kind, n.Target, func(string) bool { return false }), n.Target
	return sh.Validate()
}
