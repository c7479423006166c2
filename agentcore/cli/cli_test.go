package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"sharetray/agentcore"
	"sharetray/agentcore/control/controltest"
	"sharetray/agentcore/history"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
)

// rig is a program with an agent that only pretends.
type rig struct {
	t     *testing.T
	agent *controltest.Agent
	env   Env
	paths agentcore.Paths
	end   func() // ends the agent
}

// newRig has two shares: docs, which is well, and shop, whose app is down.
func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, agent: &controltest.Agent{}, paths: controltest.Paths(t)}
	r.env = Env{
		Version: "v1.2.3",
		Exe:     filepath.Join(filepath.Dir(r.paths.Control), "no-such-program"),
		Paths:   func(string) (agentcore.Paths, error) { return r.paths, nil },
		RunAgent: func(context.Context, AgentRole) error {
			return problem.New(problem.Exists, "an agent is running already (pid 42)")
		},
		OpenURL: func(_ context.Context, url string) error { return errors.New("no display") },
	}
	r.agent.Put(controltest.Status("docs", share.Web, "/home/u/docs", 20001))
	shop := controltest.Status("shop", share.Proxy, "http://127.0.0.1:3000", 20002)
	shop.State, shop.Trouble, shop.LastError = supervise.Unhealthy, supervise.TargetTrouble, "nothing answers at 127.0.0.1:3000"
	r.agent.Put(shop)
	r.end = controltest.Serve(t, r.agent, r.paths)
	return r
}

// run runs a command and returns what came of it.
func (r *rig) run(args ...string) (code int, out, errs string) {
	r.t.Helper()
	var o, e strings.Builder
	code = Main(args, Streams{In: strings.NewReader(""), Out: &o, Err: &e}, r.env)
	return code, o.String(), e.String()
}

// want runs a command and checks all that came of it. Of what went to stderr,
// errs must be a part; nothing, if it is empty.
func (r *rig) want(code int, out, errs string, args ...string) {
	r.t.Helper()
	c, o, e := r.run(args...)
	if c != code || o != out || !strings.Contains(e, errs) || errs == "" && e != "" {
		r.t.Errorf("sharetray %s:\n exit code %d, want %d\n stdout %q\n   want %q\n stderr %q\n   want %q",
			strings.Join(args, " "), c, code, o, out, e, errs)
	}
	for _, line := range strings.Split(strings.TrimSuffix(e, "\n"), "\n") {
		if line != "" && !strings.HasPrefix(line, "sharetray: ") {
			r.t.Errorf("sharetray %s: stderr has more than sentences: %q", strings.Join(args, " "), line)
		}
	}
}

const table = `NAME  KIND   STATE      LINK                     TARGET
docs  web    ready      http://127.0.0.1:20001/  /home/u/docs
shop  proxy  unhealthy  http://127.0.0.1:20002/  http://127.0.0.1:3000
  nothing answers at 127.0.0.1:3000
`

const details = `name:         docs
kind:         web
target:       /home/u/docs
`

func TestCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want(0, table, "", "list")
	r.want(0, "", "", "stop", "docs")
	if st, _ := r.agent.Get("docs"); st.State != supervise.Stopped {
		t.Errorf("stop did not: %s", st.State)
	}
	r.want(0, "http://127.0.0.1:20001/\n", "", "start", "docs")
	r.want(0, "http://127.0.0.1:20001/\nhttp://127.0.0.1:20002/\n", "the app at http://127.0.0.1:3000 does not answer yet",
		"restart", "docs", "shop")
	r.want(0, "", "", "set", "docs", "reach=lan")
	r.want(0, "http://127.0.0.1:20002/\n", "", "set", "docs", "port=20002")
	r.want(2, "", "unknown key", "set", "docs", "colour=red")
	r.want(0, "removed docs: /home/u/docs is left as it is\n", "", "remove", "docs")
	r.want(3, "", `there is no share named "docs"`, "show", "docs")
	r.want(0, "sharetray v1.2.3\n", "", "version")
	r.want(0, "sharetray v1.2.3\n", "", "--version")
	r.want(0, "", "", "quit")
	r.want(4, "", "no agent is running: start one with `sharetray`", "list")
}

func TestShow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, out, _ := r.run("show", "docs")
	if code != 0 || !strings.HasPrefix(out, details) || !strings.Contains(out, "link:         http://127.0.0.1:20001/\n") {
		t.Errorf("%d\n%s", code, out)
	}
	code, out, _ = r.run("show", "shop", "--json")
	var st agentcore.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil || code != 0 || st.Name != "shop" || st.Trouble != supervise.TargetTrouble {
		t.Errorf("%d %v\n%s", code, err, out)
	}
}

func TestShowHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, out, errs := r.run("show", "docs"); strings.Contains(out, "history") || errs != "" {
		t.Errorf("without a history: %q %q", out, errs)
	}
	if _, out, _ := r.run("show", "docs", "--json"); !strings.Contains(out, "\"history\": []\n") {
		t.Errorf("without a history: %s", out)
	}
	at := time.Date(2026, 11, 22, 23, 41, 7, 0, time.Local)
	happened := func(what history.What, e history.Entry) {
		e.Time, e.What = at.Add(time.Duration(len(r.agent.Past))*time.Second), what
		r.agent.Past = append(r.agent.Past, e)
	}
	happened(history.Recovered, history.Entry{Downtime: 1500 * time.Millisecond})
	happened(history.Crashed, history.Entry{Cause: "it was killed by SIGKILL"})
	happened(history.Recovered, history.Entry{Cause: "it was killed by SIGKILL", Downtime: 4200 * time.Microsecond})
	happened(history.Upgraded, history.Entry{Version: "v2"})
	happened(history.Crashed, history.Entry{Cause: "it\nexited with \x1b[31mcode 1"})
	happened(history.Failed, history.Entry{Cause: "10 starts in a row"})
	happened("teleported", history.Entry{Cause: "to the moon"})
	happened(history.Stopped, history.Entry{})
	const want = `history:
  2026-11-22 23:41:07  recovered, after 1.5 s
  2026-11-22 23:41:08  crashed: it was killed by SIGKILL; back after 4 ms
  2026-11-22 23:41:10  upgraded to v2
  2026-11-22 23:41:11  crashed: it exited with \ufffd[31mcode 1
  2026-11-22 23:41:12  failed: 10 starts in a row
  2026-11-22 23:41:13  teleported: to the moon
  2026-11-22 23:41:14  stopped
`
	if _, out, _ := r.run("show", "docs"); !strings.HasSuffix(out, "docs.toml\n"+strings.ReplaceAll(want, `\ufffd`, "\ufffd")) {
		t.Errorf("%s\nwant\n%s", out, want)
	}
	for range 30 {
		happened(history.Ready, history.Entry{})
	}
	if _, out, _ := r.run("show", "docs"); strings.Count(out, "  ready\n") != showLines {
		t.Errorf("not the last %d: %s", showLines, out)
	}
	_, out, _ := r.run("show", "docs", "--json")
	var both struct {
		agentcore.Status
		History []history.Entry
	}
	if err := json.Unmarshal([]byte(out), &both); err != nil || both.Name != "docs" || len(both.URLs) != 1 || len(both.History) != showEntries {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestShowWithoutHistory: an agent that can't tell the history tells the rest.
func TestShowWithoutHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.agent.PastError = problem.New(problem.Internal, "the disk is gone")
	const note = "the history of docs can't be had: the disk is gone"
	if code, out, errs := r.run("show", "docs"); code != 0 || !strings.HasPrefix(out, details) || !strings.Contains(errs, note) {
		t.Errorf("%d %q %q", code, out, errs)
	}
	if code, out, errs := r.run("show", "docs", "--json"); code != 0 || !strings.Contains(out, `"history": []`) || !strings.Contains(errs, note) {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

func TestBriefly(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "less than 1 ms", 999 * time.Microsecond: "less than 1 ms", 4 * time.Millisecond: "4 ms",
		999 * time.Millisecond: "999 ms", time.Second: "1.0 s", 59 * time.Second: "59.0 s", 61200 * time.Millisecond: "1m1s", 3 * time.Hour: "3h0m0s",
	} {
		if got := briefly(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var asked, run string
	r.env.Paths = func(profile string) (agentcore.Paths, error) { asked = profile; return r.paths, nil }
	r.env.RunAgent = func(_ context.Context, role AgentRole) error { run = role.Profile; return nil }
	for _, c := range []struct{ line, want string }{
		{"list", ""}, {"list --profile work", "work"}, {"--profile work list", "work"}, {"--profile=Work list", "work"},
		{"--profile default list", ""}, {"__complete --profile work start ", "work"},
	} {
		asked = "nothing"
		if code, _, errs := r.run(strings.Split(c.line, " ")...); code != 0 || asked != c.want {
			t.Errorf("%s: %d, profile %q, want %q: %s", c.line, code, asked, c.want, errs)
		}
	}
	for _, line := range []string{"--profile work", "agent --no-tray --profile WORK"} {
		run = "nothing"
		if r.want(0, "", "", strings.Fields(line)...); run != "work" {
			t.Errorf("%s: an agent for %q", line, run)
		}
	}
	for _, name := range []string{"", ".x", "-x", "a/b", "a b", "ä", "con", strings.Repeat("x", 33)} {
		for _, args := range [][]string{{"list"}, {"version"}, {}} {
			r.want(2, "", "--profile", append(args, "--profile", name)...)
		}
	}
	r.want(2, "", "flag needs an argument: --profile", "list", "--profile")
	if code, out, _ := r.run("__complete", "list", "--profile", ""); code != 0 || !strings.HasPrefix(out, "default\n") {
		t.Errorf("completion: %d %q", code, out)
	}
	r.end()
	r.want(4, "", "start one with `sharetray --profile work`, or", "--profile", "work", "list")
	r.want(4, "", "start one with `sharetray`, or", "list")
}

func TestListJSON(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, out, _ := r.run("list", "--json")
	var list []map[string]any
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, key := range []string{"name", "kind", "target", "reach", "state", "pid", "urls", "restarts", "since", "last_error"} {
		if _, ok := list[0][key]; !ok {
			t.Errorf("%s is missing: %s", key, out)
		}
	}
	r.run("remove", "docs", "shop")
	r.want(0, "[]\n", "", "list", "--json")
	r.want(0, "", "nothing is shared yet", "list")
}

func TestSeveralNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	code, out, errs := r.run("stop", "nope", "docs", "docs", "also-not")
	if st, _ := r.agent.Get("docs"); st.State != supervise.Stopped {
		t.Errorf("a name that is wrong kept the others from being tried")
	}
	if code != 3 || out != "" || strings.Count(errs, "\n") != 2 || !strings.Contains(errs, "nope") || !strings.Contains(errs, "also-not") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	r.agent.Hook = func(context.Context, string, string) error { return problem.New(problem.Conflict, "port 80 is taken") }
	r.want(3, "", "port 80 is taken", "start", "docs", "nope")
	r.want(1, "", "port 80 is taken", "start", "docs")
	r.end()
	if code, _, errs := r.run("stop", "a", "b"); code != 4 || strings.Count(errs, "\n") != 1 {
		t.Errorf("without an agent: %d %q", code, errs)
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.end() // no agent is asked, and none is started
	for _, c := range []struct{ line, errs string }{
		{"nonsense", `there is no command "nonsense" (see ` + "`sharetray --help`)"},
		{"lst", `did you mean "list"?`},
		{"drive /tmp", `there is no command "drive"`},
		{"dashboard a b", "one word too many"},
		{"heal", "there is no command"},
		{"upgrade a b", "one word too many"},
		{"autostart", "something is missing: try `sharetray autostart on`"},
		{"autostart yes", `"yes" is none of on, off and status`},
		{"edit", "something is missing"},
		{"--nonsense", "unknown flag: --nonsense"},
		{"list --nonsense", "(see `sharetray list --help`)"},
		{"list extra", `takes no "extra"`},
		{"share", "say what to share"},
		{"share drive", "something is missing"},
		{"share tcp 0", "has no port: write it as HOST:PORT"},
		{"share tcp a:b:c", "is not an address"},
		{"share udp x y", "one word too many"},
		{"share socks x", `takes no "x"`},
		{"share socks --to x@y", "is no destination"},
		{"share command", "something is missing"},
		{"share command --ready line -- x", "no line is given: give ready_line too"},
		{"share command --ready-line ( -- x", "is not a regular expression"},
		{"share command --env A -- x", "is not of the form NAME=VALUE"},
		{"share caddy", "something is missing"},
		{"share web /tmp --expires soon", `a time to go such as "2h"`},
		{"share web /tmp --allow lan", `but "lan" is none`},
		{"share web /tmp --tls on", `tls must be "off" or "local" or "own"`},
		{"share web /tmp --tls own", "needs a certificate"},
		{"share web /tmp --user ann", "--user goes with --password"},
		{"share web /tmp --password --user a:b", "can't be used: give one without a colon"},
		{"share web /tmp --password", "there is no password in standard input"},
		{"share tcp 1 --password", "unknown flag"},
		{"set x --password --no-password", "can't both be meant"},
		{"share ftp /tmp", `there is no kind of share "ftp"`},
		{"share web", "something is missing: try `sharetray share web DIR`"},
		{"share web a b", `"b" is one word too many`},
		{"share web /tmp --writable", "unknown flag: --writable"},
		{"share web /tmp --no-verify-tls", "unknown flag: --no-verify-tls"},
		{"share web /tmp --port x", "port"},
		{"share web /tmp --port 70000", "port"},
		{"share web /tmp --name a/b", "name"},
		{"share proxy", "try `sharetray share proxy 3000`"},
		{"share proxy 99999", "port"},
		{"show", "something is missing"},
		{"show a b", "one word too many"},
		{"logs x -n many", "it must be a number, 0 or more"},
		{"logs x -n -1", "it must be a number, 0 or more"},
		{"start", "something is missing"},
		{"set x", "something is missing"},
		{"set x port", `"port" is not of the form KEY=VALUE`},
		{"set x =1", "is not of the form"},
		{"set x port=1 port=2", "port is given twice"},
		{"open", "something is missing"},
		{"quit now", `takes no "now"`},
		{"completion", "something is missing"},
		{"completion tcsh", "the shells are bash, zsh, fish and powershell"},
		{"help nonsense", `there is no command "nonsense"`},
		{"agent --background=maybe", "invalid"},
		{"list --profile a/b", `"a/b" can't name a profile: write 1 to 32`},
	} {
		r.want(2, "", c.errs, strings.Fields(c.line)...)
	}
	r.want(2, "", "the folder's name is empty", "share", "web", "")
	r.want(2, "", "empty", "share", "web", "/tmp", "--name", "")
	r.want(2, "", "port", "share", "web", "/tmp", "--port", "")
	if _, err := os.Stat(r.paths.State); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was started: %v", err)
	}
}

func TestNoAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.end()
	for _, line := range []string{"list", "list --json", "list --watch", "show x", "logs x", "logs x -f", "start x", "stop x", "restart x",
		"remove x", "set x port=1", "open x", "quit"} {
		r.want(4, "", "no agent is running", strings.Fields(line)...)
	}
}

func TestAgentThatRunsAlready(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var opened string
	r.env.OpenURL = func(_ context.Context, url string) error {
		opened = url
		return nil
	}
	r.want(0, "", "")
	if opened != "http://127.0.0.1:1/enter/TOKEN?to=/" {
		t.Errorf("opened %q", opened)
	}
	r.env.OpenURL = func(context.Context, string) error { return errors.New("no browser here") }
	if code, out, errs := r.run(); code != 0 || out != "http://127.0.0.1:1/enter/TOKEN?to=/\n" || !strings.Contains(errs, "open this address within a minute") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	r.want(1, "", "sharetray: an agent is running already (pid 42)\n", "agent")
	r.want(75, "", "", "agent", "--background")
}

func TestAgentRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var trays []bool
	r.env.RunAgent = func(_ context.Context, role AgentRole) error { trays = append(trays, role.Tray); return nil }
	r.want(0, "", "")
	r.want(0, "", "", "agent")
	r.want(0, "", "", "agent", "--no-tray")
	if len(trays) != 3 || !trays[0] || !trays[1] || trays[2] {
		t.Errorf("%v", trays)
	}
	r.env.RunAgent = func(context.Context, AgentRole) error { return problem.New(problem.Internal, "the disk is gone") }
	r.want(1, "", "sharetray: the disk is gone\n", "agent")
	r.want(1, "", "sharetray: the disk is gone\n")
}

func TestOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.want(1, "", "open http://127.0.0.1:20001/ yourself", "open", "docs")
	var opened string
	r.env.OpenURL = func(_ context.Context, url string) error { opened = url; return nil }
	r.want(0, "", "", "open", "docs")
	if opened != "http://127.0.0.1:20001/" {
		t.Errorf("opened %q", opened)
	}
	r.run("stop", "docs")
	r.want(1, "", "docs can't be opened, as it is stopped: `sharetray start docs` starts it", "open", "docs")
	r.want(3, "", "no share", "open", "nope")
}

func TestHarmfulCharactersAreNotPrinted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	evil := controltest.Status("a\x1b[31mb\u202ec", "ki\x07nd", "/x\ny\x9b", 20009)
	evil.State, evil.LastError, evil.URLs = supervise.Failed, "boom\r\n\x1b]0;title\x07\u2028x", []string{"http://\x1b[2J/"}
	r.agent.Put(evil)
	for _, args := range [][]string{{"list"}, {"show", evil.Name}, {"restart", evil.Name}, {"stop", "\x1b[31mx"}, {"remove", evil.Name}, {"no\x1bcommand"}} {
		_, out, errs := r.run(args...)
		if strings.ContainsFunc(out+errs, func(c rune) bool { return c != '\n' && isHarmful(c) }) {
			t.Errorf("%q:\n%q\n%q", args, out, errs)
		}
	}
}

func TestExamplesAreTrue(t *testing.T) {
	t.Parallel()
	a := &app{}
	root := a.root()
	var check func(*cobra.Command)
	check = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s: no help", cmd.CommandPath())
		}
		for _, line := range strings.Split(cmd.Example, "\n") {
			line, _, _ = strings.Cut(line, " > ")
			words := strings.Fields(line)
			if words[0] != "sharetray" {
				t.Errorf("%s: example %q", cmd.CommandPath(), line)
				continue
			}
			fresh := (&app{}).root()
			found, rest, err := fresh.Find(words[1:])
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err == nil {
				err = found.ValidateArgs(found.Flags().Args())
			}
			if err != nil || cmd != root && found.CommandPath() != cmd.CommandPath() && !strings.HasPrefix(found.CommandPath(), cmd.CommandPath()+" ") {
				t.Errorf("%s: example %q is of %s: %v", cmd.CommandPath(), line, found.CommandPath(), err)
			}
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(root)
}

func TestHelp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, args := range [][]string{{"--help"}, {"help"}, {"help", "share", "web"}, {"share", "proxy", "--help"}, {"list", "-h"}} {
		code, out, errs := r.run(args...)
		if code != 0 || errs != "" || !strings.Contains(out, "Examples:") {
			t.Errorf("%q: %d %q %q", args, code, out, errs)
		}
		for _, line := range strings.Split(out, "\n") {
			if width(line) > 110 {
				t.Errorf("%q: a long line: %q", args, line)
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, out, errs := r.run("completion", shell); code != 0 || !strings.Contains(out, "sharetray") || errs != "" {
			t.Errorf("%s: %d %q", shell, code, errs)
		}
	}
	for _, c := range []struct{ line, want, not string }{
		{"start", "docs\t/home/u/docs\nshop\t", ""},
		{"start docs", "shop\t", "docs"},
		{"show", "docs\t", ""},
		{"show docs", ":4", "shop"},
		{"logs", "shop\t", ""},
		{"completion", "bash\n", ""},
		{"set", "docs\t", ""},
		{"set docs", "hidden_files=\t", "verify_tls"},
		{"set docs port=1", "reach=\t", "kind"},
		{"share", "web\t", "ftp"},
		{"share web", ":16", ""},
		{"share web x --reach", "local\nlan\n", ""},
	} {
		code, out, _ := r.run(append(append([]string{"__complete"}, strings.Fields(c.line)...), "")...)
		if code != 0 || !strings.Contains(out, c.want) || c.not != "" && strings.Contains(out, c.not) {
			t.Errorf("%s: %d %q", c.line, code, out)
		}
	}
	r.end()
	if code, out, _ := r.run("__complete", "start", ""); code != 0 || out != ":4\n" {
		t.Errorf("without an agent: %d %q", code, out)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if v := Version("v7"); v != "v7" {
		t.Error(v)
	}
	if v := Version(""); v == "" {
		t.Error("no version")
	}
	r := newRig(t)
	_, out, _ := r.run("version", "--json")
	var v struct{ Version, System string }
	if err := json.Unmarshal([]byte(out), &v); err != nil || v.Version != "v1.2.3" || !strings.HasPrefix(v.System, runtime.GOOS) {
		t.Errorf("%v %q", err, out)
	}
}
