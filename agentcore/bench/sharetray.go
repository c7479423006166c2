package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sharetray is the program itself, known by its commands only.
type sharetray struct{ binary string }

func findSharetray(binary string) (sharetray, error) {
	path, err := filepath.Abs(binary)
	return sharetray{path}, err
}

func (sharetray) name() string { return "Sharetray" }

func (s sharetray) missing() string {
	if _, err := exec.LookPath(s.binary); err != nil {
		return "not there: build it first"
	}
	return ""
}

func (s sharetray) version() string {
	out, err := exec.Command(s.binary, "version").Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || line == "" {
		line = "version not known"
	}
	return strings.TrimPrefix(line, "sharetray ") + ", with Caddy " + caddyIn(s.binary)
}

// agent is a running agent with folders of its own.
type agent struct {
	*process
	place  *place
	binary string
}

// home makes the folders of an agent that is not started yet.
func (s sharetray) home(r *rig) (*agent, error) {
	p, err := r.newPlace("st")
	return &agent{place: p, binary: s.binary}, err
}

// start starts the agent without waiting for it.
func (a *agent) start() (err error) {
	a.process, err = a.place.start(a.binary, "agent", "--no-tray")
	return err
}

// awaitControl waits until the agent answers commands.
func (a *agent) awaitControl(ctx context.Context) error {
	return poll(ctx, "the agent answers", 20*time.Millisecond, func() (bool, error) {
		select {
		case <-a.done:
			text, _ := os.ReadFile(a.log)
			return false, fmt.Errorf("the agent ended: %s", lastOf(string(text)))
		default:
		}
		_, err := a.list(ctx)
		return err == nil, nil
	})
}

func (a *agent) run(ctx context.Context, args ...string) (string, error) {
	return a.place.run(ctx, a.binary, args...)
}

// status is what of `list --json` is needed here.
type status struct {
	Name     string   `json:"name"`
	State    string   `json:"state"`
	PID      int      `json:"pid"`
	URLs     []string `json:"urls"`
	Restarts int      `json:"restarts"`
	Error    string   `json:"last_error"`
}

func (a *agent) list(ctx context.Context) ([]status, error) {
	out, err := a.run(ctx, "list", "--json")
	if err != nil {
		return nil, err
	}
	var all []status
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, fmt.Errorf("list --json: %w", err)
	}
	return all, nil
}

// share shares the site; when it returns, the share is ready.
func (a *agent) share(ctx context.Context, name string, port int) error {
	out, err := a.run(ctx, "share", "web", a.place.rig.site, "--name", name, "--port", strconv.Itoa(port))
	if err != nil {
		return err
	}
	if !strings.Contains(out, ":"+strconv.Itoa(port)) {
		return fmt.Errorf("share printed no link with port %d: %s", port, lastOf(out))
	}
	return nil
}

// occurrence is what of the history in `show --json` is needed here.
type occurrence struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`
}

// lastly returns when something happened to a share last.
func (a *agent) lastly(ctx context.Context, name, what string) (last time.Time, err error) {
	out, err := a.run(ctx, "show", name, "--json")
	if err != nil {
		return last, err
	}
	var st struct {
		History []occurrence `json:"history"`
	}
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		return last, fmt.Errorf("show --json: %w", err)
	}
	for _, m := range st.History {
		if m.What == what {
			last = m.Time
		}
	}
	return last, nil
}

// lockHolder is the process that is the agent now: its lock file says it.
func (a *agent) lockHolder() (int, error) {
	text, err := os.ReadFile(a.place.path("run", "sharetray", "lock"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// stop ends the agent and its shares.
func (a *agent) stop() {
	if a.process != nil {
		a.run(context.Background(), "quit")
		select {
		case <-a.done:
		case <-time.After(10 * time.Second):
			a.end(nil)
		}
	}
	a.place.rig.sweep(a.place.label, 5*time.Second)
}

// processes are the agent, its share processes and its standby.
func (a *agent) processes() []int { return family(a.Pid) }

// site is the name of the one share of an agent that is measured as a supervisor.
const site = "site"

// one is an agent with one share.
type one struct{ *agent }

func (s sharetray) serve(ctx context.Context, r *rig, port int) (service, error) {
	return s.one(ctx, r, port)
}

func (s sharetray) one(ctx context.Context, r *rig, port int) (*one, error) {
	a, err := s.home(r)
	if err != nil {
		return nil, err
	}
	if err := a.start(); err != nil {
		return nil, err
	}
	err = a.awaitControl(ctx)
	if err == nil {
		err = a.share(ctx, site, port)
	}
	if err != nil {
		a.stop()
		return nil, err
	}
	return &one{a}, nil
}

func (o *one) pid(ctx context.Context) (int, error) {
	all, err := o.list(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		if s.Name == site {
			return s.PID, nil
		}
	}
	return 0, fmt.Errorf("list --json: no share named %s", site)
}

func (o *one) restart(ctx context.Context) error {
	_, err := o.run(ctx, "restart", site)
	return err
}

func (o *one) set(ctx context.Context, key, value string) error {
	_, err := o.run(ctx, "set", site, key+"="+value)
	return err
}

// shareFile is the file that declares a share of the site.
func shareFile(dir string, port int) string {
	return fmt.Sprintf("version = 1\nkind = \"web\"\ntarget = %q\nport = %d\nreach = \"local\"\n", dir, port)
}

// declare writes the files of many shares, as a user may by hand.
func (a *agent) declare(ports []int) error {
	dir := a.place.path("config", "sharetray", "shares")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i, port := range ports {
		path := filepath.Join(dir, shareOf(i)+".toml")
		if err := os.WriteFile(path, []byte(shareFile(a.place.rig.site, port)), 0o600); err != nil {
			return err
		}
	}
	return nil
}
