package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/control/controltest"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
)

func TestShare(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r.want(0, "http://127.0.0.1:20002/\n", "", "share", "web", ".", "--name", "here")
	if st, _ := r.agent.Get("here"); st.Target != cwd {
		t.Errorf("the folder was not made absolute: %q", st.Target)
	}
	r.want(0, "http://127.0.0.1:8080/\n", "", "share", "web", "testdata/../..", "--port", "8080", "--name=up")
	if st, _ := r.agent.Get("up"); st.Target != filepath.Dir(cwd) {
		t.Errorf("the folder was not made clean: %q", st.Target)
	}
	r.want(1, "", "exists", "share", "web", "/elsewhere", "--name", "docs")
	code, out, errs := r.run("share", "proxy", "4000", "--json", "--name", "api")
	var st agentcore.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil || code != 0 || st.Target != "http://127.0.0.1:4000" || errs != "" {
		t.Errorf("%d %v %q %q", code, err, out, errs)
	}
	r.agent.Hook = func(context.Context, string, string) error {
		return problem.New(problem.Conflict, "there is no folder /nope")
	}
	r.want(1, "", "sharetray: there is no folder /nope\n", "share", "web", "/nope")
}

func TestShareFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want map[string]string
	}{
		{"share web /d", map[string]string{}},
		{"share web /d --hidden-files --no-listing --reach lan --notify=false",
			map[string]string{"hidden_files": "true", "listing": "false", "reach": "lan", "notify": "false"}},
		{"share web /d --hidden-files=false --notify", map[string]string{"notify": "true"}},
		{"share proxy 1 --no-verify-tls --port 80", map[string]string{"verify_tls": "false", "port": "80"}},
		{"share web /d --upload --max-upload 1GB --downloads 3 --expires 2h --allow 10.0.0.0/8 --allow ::1 --secret",
			map[string]string{"upload": "true", "max_upload": "1GB", "downloads": "3", "expires": "2h", "networks": "10.0.0.0/8,::1", "secret": "new"}},
		{"share drive /d --writable --tls own --tls-cert /c --tls-key /k --host a.org --no-access-log",
			map[string]string{"writable": "true", "tls": "own", "tls_cert": "/c", "tls_key": "/k", "hosts": "a.org", "access_log": "false"}},
		{"share caddy /f", map[string]string{}},
		{"share tcp 5432 --idle 1h --memory 1GiB", map[string]string{"idle": "1h", "memory": "1GiB"}},
		{"share udp 53 --sessions 9", map[string]string{"sessions": "9"}},
		{"share socks --to a.org:443 --to b.org", map[string]string{"destinations": "a.org:443,b.org"}},
		{"share command --ready started --env A=1,2 --watch **/*.go --dir /w -- ssh -R 80:localhost:3000 a.org",
			map[string]string{"ready": "started", "env": `["A=1,2"]`, "watch": "**/*.go", "dir": "/w"}},
	} {
		root := (&app{}).root()
		cmd, rest, err := root.Find(strings.Fields(c.line))
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(kindCommands, func(k kindCommand) bool { return string(k.kind) == cmd.Name() })
		f := shareFlags{kind: kindCommands[i]}
		cmd.ResetFlags()
		f.add(cmd)
		if err := cmd.ParseFlags(rest); err != nil {
			t.Fatal(err)
		}
		got, err := f.newShare(cmd, "/d", map[string]string{})
		if err != nil || fmt.Sprint(got.Keys) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, %v, want %v", c.line, got.Keys, err, c.want)
		}
	}
}

func TestShareAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	count := func(n int) {
		t.Helper()
		if got := len(r.agent.List()); got != n {
			t.Errorf("%d shares, want %d", got, n)
		}
	}
	r.want(0, "http://127.0.0.1:20001/\n", "this is shared already, as docs", "share", "web", "/home/u/docs/")
	r.want(0, "http://127.0.0.1:20001/\n", "this is shared already, as docs", "share", "web", "/home/u/docs", "--name", "docs", "--port", "20001")
	r.want(0, "http://127.0.0.1:20002/\n", "this is shared already, as shop", "share", "proxy", "3000")
	count(2)

	r.want(0, "http://127.0.0.1:20001/\n", "settings are now as given", "share", "web", "/home/u/docs", "--reach", "lan")
	if st, _ := r.agent.Get("docs"); st.Reach != "lan" {
		t.Errorf("reach: %s", st.Reach)
	}
	r.run("stop", "docs")
	r.want(0, "http://127.0.0.1:20001/\n", "it is started again", "share", "web", "/home/u/docs")
	if st, _ := r.agent.Get("docs"); st.State != supervise.Ready {
		t.Errorf("state: %s", st.State)
	}
	count(2)

	r.want(0, "http://127.0.0.1:9999/\n", "", "share", "web", "/home/u/docs", "--port", "9999", "--name", "second")
	r.want(0, "http://127.0.0.1:20003/\n", "", "share", "web", "/home/u/docs", "--name", "third")
	count(4)
}

// agentScript is a program that stands for one which can't be an agent.
func (r *rig) agentScript(script string) {
	r.t.Helper()
	if runtime.GOOS == "windows" {
		r.t.Skip("needs /bin/sh")
	}
	if err := os.WriteFile(r.env.Exe, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func TestAgentThatDoesNotStart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.end()
	r.want(1, "", "the agent can't be started", "share", "web", "/x") // there is no such program

	if err := os.MkdirAll(r.paths.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.paths.AgentLog, []byte("sharetray: an old story\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.agentScript("exit 3")
	r.want(1, "", "the agent did not start: what it says is in "+r.paths.AgentLog, "share", "web", "/x")
	r.agentScript(`echo time=now level=INFO >&2; echo "sharetray: the disk is full: $*" >&2; exit 1`)
	r.want(1, "", "sharetray: the agent did not start: the disk is full: agent --background --profile default\n", "share", "web", "/x")
	fi, err := os.Stat(r.paths.AgentLog)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("log: %v %v", fi.Mode(), err)
	}
}

// TestTwoAgentsAtOnce has the agent that `share` starts find that another one
// was faster.
func TestTwoAgentsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.end()
	started := filepath.Join(filepath.Dir(r.paths.Control), "started")
	r.agentScript("echo x >> " + started + "; exit 75")
	go func() {
		for {
			if _, err := os.Stat(started); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		controltest.Serve(t, r.agent, r.paths)
	}()
	r.want(0, "http://127.0.0.1:20001/\n", "shared already", "share", "web", "/home/u/docs")
}

func TestLogOfTheAgentIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "agent.log")
	if err := os.WriteFile(path, make([]byte, agentLogLimit+1), 0o600); err != nil {
		t.Fatal(err)
	}
	f, size, err := openLog(path)
	if err != nil || size != 0 {
		t.Fatalf("%d, %v", size, err)
	}
	f.Close()
	if fi, err := os.Stat(path + ".old"); err != nil || fi.Size() != agentLogLimit+1 {
		t.Errorf("the old log is lost: %v", err)
	}
}

func TestAlreadyShared(t *testing.T) {
	t.Parallel()
	list := []agentcore.Status{
		{Name: "docs", Kind: share.Web, Target: "/docs", Port: 1},
		{Name: "npm", Kind: share.Command, Target: "npm run dev", Dir: "/a", Port: 2},
		{Name: "socks", Kind: share.SOCKS, Port: 3},
		{Name: "bad", Kind: share.Web, Target: "/bad", State: supervise.Invalid},
	}
	for _, c := range []struct {
		n    agentcore.NewShare
		want string
	}{
		{agentcore.NewShare{Kind: "web", Target: "/docs"}, "docs"},
		{agentcore.NewShare{Kind: "drive", Target: "/docs"}, ""},
		{agentcore.NewShare{Kind: "web", Target: "/docs", Name: "other"}, ""},
		{agentcore.NewShare{Kind: "web", Target: "/docs", Keys: map[string]string{"port": "9"}}, ""},
		{agentcore.NewShare{Kind: "web", Target: "/bad"}, ""},
		{agentcore.NewShare{Kind: "command", Target: "npm run dev", Keys: map[string]string{"dir": "/a"}}, "npm"},
		{agentcore.NewShare{Kind: "command", Target: "npm run dev", Keys: map[string]string{"dir": "/b"}}, ""},
		{agentcore.NewShare{Kind: "socks"}, ""},
		{agentcore.NewShare{Kind: "socks", Name: "socks"}, "socks"},
	} {
		st, ok := alreadyShared(list, c.n)
		if st.Name != c.want || ok != (c.want != "") {
			t.Errorf("%+v: %s", c.n, st.Name)
		}
	}
}
