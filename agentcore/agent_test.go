package agentcore_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/process"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

// TestMain lets this binary be a share process, as the program itself can.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == agentcore.ShareProcessRole {
		os.Exit(process.Main(os.Args[2], "test"))
	}
	if len(os.Args) == 3 && os.Args[1] == ordinaryRole {
		ordinary(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for an event before it gives up.
const patience = 30 * time.Second

// rig is an agent in folders of its own, with a client that asks its shares.
type rig struct {
	*agentcore.Agent
	t     *testing.T
	paths agentcore.Paths
	log   *os.File
}

// quickSettings make checks frequent, so that tests need not wait for them.
const quickSettings = `
[restart]
min_ready = "20ms"
backoff_min = "10ms"
backoff_max = "100ms"
[health]
ping_every = "50ms"
ping_timeout = "500ms"
probe_every = "200ms"
probe_timeout = "5s"
`

func newRig(t *testing.T, settings string) *rig {
	t.Helper()
	dir, err := os.MkdirTemp("", "st") // short: Unix sockets lie in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rig{t: t, paths: agentcore.Paths{
		Shares: filepath.Join(dir, "config/shares"), Settings: filepath.Join(dir, "config/settings.toml"),
		State: filepath.Join(dir, "state"), Logs: filepath.Join(dir, "state/logs"), Records: filepath.Join(dir, "state/records"), History: filepath.Join(dir, "state/history"), Revive: filepath.Join(dir, "run/revive"), Links: filepath.Join(dir, "run/l"),
		Control: filepath.Join(dir, "run/control"), Lock: filepath.Join(dir, "run/lock"), AgentLog: filepath.Join(dir, "agent.log"),
	}}
	if err := os.MkdirAll(r.paths.Shares, 0o700); err != nil {
		t.Fatal(err)
	}
	if settings != "" {
		r.write(r.paths.Settings, settings)
	}
	if r.log, err = os.OpenFile(r.paths.AgentLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(r.log.Name())
			t.Logf("the agent's log:\n%s", b[max(0, len(b)-8<<10):])
		}
		r.log.Close()
	})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.start(exe)
	return r
}

// start starts an agent in the rig's folders, and ends it with the test.
func (r *rig) start(exe string) {
	r.t.Helper()
	a, err := agentcore.Start(r.t.Context(), r.paths, agentcore.Options{
		Version: "test", Exe: exe, Log: slog.New(slog.NewTextHandler(r.log, nil)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Agent = a
	r.t.Cleanup(func() {
		a.Quit()
		select {
		case <-a.Done():
			a.Release()
		case <-time.After(patience):
			r.t.Error("the agent did not end")
		}
	})
}

// end ends the agent, so that another can be started.
func (r *rig) end() {
	r.t.Helper()
	r.Quit()
	<-r.Done()
	r.Release()
}

func (r *rig) write(path, content string) {
	r.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// folder makes a folder with one file, a.txt, that says content.
func (r *rig) folder(content string) string {
	r.t.Helper()
	dir := r.t.TempDir()
	r.write(filepath.Join(dir, "a.txt"), content)
	return dir
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	r.t.Cleanup(cancel)
	return ctx
}

// ownPort counts what portOfItsOwn gave away.
var ownPort atomic.Uint32

// portOfItsOwn returns a port that no other test of this package gets, not even
// later: clients of a share that was stopped must not meet another test's. None
// is one that shares get by themselves, in the tests of other packages.
func portOfItsOwn() string { return strconv.Itoa(17000 + int(ownPort.Add(1))%2700) }

// share adds a share of dir, on a port of its own, and returns its status.
func (r *rig) share(name, dir string, keys ...string) agentcore.Status {
	r.t.Helper()
	n := agentcore.NewShare{Name: name, Kind: "web", Target: dir, Keys: map[string]string{"port": portOfItsOwn()}}
	for i := 0; i < len(keys); i += 2 {
		n.Keys[keys[i]] = keys[i+1]
	}
	st, err := r.Add(r.ctx(), n)
	if err != nil {
		r.t.Fatalf("share %s: %v", dir, err)
	}
	return st
}

// until waits for a status of the share that satisfies ok.
func (r *rig) until(name, what string, ok func(agentcore.Status) bool) agentcore.Status {
	r.t.Helper()
	now, events, cancel := r.Subscribe()
	defer cancel()
	for _, st := range now {
		if st.Name == name && ok(st) {
			return st
		}
	}
	var last agentcore.Status
	timeout := time.After(patience)
	for {
		select {
		case e, open := <-events:
			if !open {
				r.t.Fatalf("waiting for %s to be %s: the events ended", name, what)
			}
			if e.Share.Name == name {
				if last = e.Share; ok(last) {
					return last
				}
			}
		case <-timeout:
			r.t.Fatalf("%s never was %s; at last it was %+v", name, what, last)
		}
	}
}

func (r *rig) untilState(name string, phase supervise.Phase) agentcore.Status {
	r.t.Helper()
	return r.until(name, string(phase), func(st agentcore.Status) bool { return st.State == phase })
}

var discard = slog.New(slog.DiscardHandler)

// get fetches a URL on a connection of its own.
func get(url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s: %s", resp.Status, b)
	}
	return string(b), err
}

func (r *rig) mustGet(url, want string) {
	r.t.Helper()
	if got, err := get(url); err != nil || got != want {
		r.t.Fatalf("GET %s: %q, %v; want %q", url, got, err, want)
	}
}

// mustGetAfterKill is mustGet for the instant after a kill: a thread that runs
// on another processor at that instant may still accept a connection, which
// then dies with it. Being refused is never right.
func (r *rig) mustGetAfterKill(url, want string) {
	r.t.Helper()
	for range 3 {
		got, err := get(url)
		if err == nil && got == want {
			return
		}
		if err == nil || platform.IsConnRefused(err) {
			r.t.Fatalf("GET %s: %q, %v; want %q", url, got, err, want)
		}
	}
	r.t.Fatalf("GET %s: cut again and again", url)
}

func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatalf("kill %d: %v", pid, err)
	}
}

// freePort returns a port that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}
