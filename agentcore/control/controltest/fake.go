// Package controltest has an agent that only pretends, for tests of what
// speaks to one.
package controltest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/history"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

var _ control.Agent = (*Agent)(nil)

// Agent keeps shares in memory and serves nothing. The zero value has none.
type Agent struct {
	// Hook, when set, is called by every method that waits, with its name and
	// the share's; its error is the method's.
	Hook func(ctx context.Context, method, name string) error

	Log       string          // the path that LogPath returns
	Past      []history.Entry // what History returns, of every share
	PastError error           // what it returns besides, if the share is there

	mu      sync.Mutex
	shares  []agentcore.Status
	readers map[chan agentcore.Event]bool
	quit    chan struct{}

	Left atomic.Bool // another agent takes over

	Drain chan struct{} // when set, the end waits until it is closed
}

// Dashboard returns an address that leads nowhere.
func (a *Agent) Dashboard(_ context.Context, path string) (string, error) {
	return "http://127.0.0.1:1/enter/TOKEN?to=" + path, nil
}

// Paths returns places for one agent, below a folder whose name is short enough
// for sockets.
func Paths(t testing.TB) agentcore.Paths {
	t.Helper()
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return agentcore.Paths{
		Shares: filepath.Join(dir, "config", "shares"), Settings: filepath.Join(dir, "config", "settings.toml"),
		State: filepath.Join(dir, "state"), Logs: filepath.Join(dir, "state", "logs"),
		Records: filepath.Join(dir, "state", "records"), History: filepath.Join(dir, "state", "history"),
		Links: filepath.Join(dir, "l"), Control: filepath.Join(dir, "control"), Lock: filepath.Join(dir, "lock"),
		Revive: filepath.Join(dir, "revive"), AgentLog: filepath.Join(dir, "state", "agent.log"),
	}
}

// Serve serves a until the test ends, it quits, or end is called, which waits.
func Serve(t testing.TB, a *Agent, paths agentcore.Paths) (end func()) {
	t.Helper()
	ln, err := platform.ListenControl(paths.Control)
	if err != nil {
		t.Fatal(err)
	}
	return ServeOn(t, a, ln)
}

// ServeOn is Serve on a listener.
func ServeOn(t testing.TB, a *Agent, ln net.Listener) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	quit := make(chan struct{})
	a.mu.Lock()
	a.quit = quit
	a.mu.Unlock()
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := control.Serve(ctx, ln, a); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	go func() {
		select {
		case <-quit:
			if a.Drain != nil {
				<-a.Drain
			}
		case <-ctx.Done():
		}
		cancel()
	}()
	end = func() {
		cancel()
		<-served
	}
	t.Cleanup(end)
	return end
}

// Status makes a share that is up.
func Status(name string, kind share.Kind, target string, port uint16) agentcore.Status {
	return agentcore.Status{
		Name: name, Kind: kind, Target: target, Reach: share.Local, Port: port, State: supervise.Ready, PID: 4711,
		URLs: []string{fmt.Sprintf("http://127.0.0.1:%d/", port)}, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Notify: true, StopGrace: "10s", File: "/config/shares/" + name + ".toml",
	}
}

// Put adds a share or replaces the one of that name, and tells the readers.
func (a *Agent) Put(st agentcore.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.put(st)
}

func (a *Agent) put(st agentcore.Status) {
	if i := a.index(st.Name); i >= 0 {
		a.shares[i] = st
	} else {
		a.shares = append(a.shares, st)
	}
	a.tell(agentcore.Event{Type: agentcore.Changed, Share: st})
}

// Tell sends an event to whoever listens.
func (a *Agent) Tell(e agentcore.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tell(e)
}

func (a *Agent) tell(e agentcore.Event) {
	for ch := range a.readers {
		ch <- e
	}
}

// Readers says how many listen to events.
func (a *Agent) Readers() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.readers)
}

// DropReaders closes the channels of all who listen, as if they were too slow,
// after change, which may do what they will have missed.
func (a *Agent) DropReaders(change func(shares []agentcore.Status) []agentcore.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shares = change(a.shares)
	for ch := range a.readers {
		delete(a.readers, ch)
		close(ch)
	}
}

func (a *Agent) index(name string) int {
	return slices.IndexFunc(a.shares, func(st agentcore.Status) bool { return st.Name == name })
}

func (a *Agent) hook(ctx context.Context, method, name string) error {
	if a.Hook == nil {
		return nil
	}
	return a.Hook(ctx, method, name)
}

// Info implements control.Agent.
func (a *Agent) Info() agentcore.Info { return agentcore.Info{Version: "v9", PID: os.Getpid()} }

// List implements control.Agent.
func (a *Agent) List() []agentcore.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.shares)
}

// Get implements control.Agent.
func (a *Agent) Get(name string) (agentcore.Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := a.index(name); i >= 0 {
		return a.shares[i], nil
	}
	return agentcore.Status{}, problem.New(problem.NotFound, "there is no share named %q", name)
}

// Add implements control.Agent.
func (a *Agent) Add(ctx context.Context, n agentcore.NewShare) (agentcore.Status, error) {
	if err := a.hook(ctx, "add", n.Name); err != nil {
		return agentcore.Status{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if n.Name == "" {
		n.Name = strings.Trim(filepath.Base(n.Target), "/")
	}
	if a.index(n.Name) >= 0 {
		return agentcore.Status{}, problem.New(problem.Exists, "a share named %q exists", n.Name)
	}
	port := uint16(20000 + len(a.shares))
	if p, err := strconv.ParseUint(n.Keys["port"], 10, 16); err == nil {
		port = uint16(p)
	}
	st := Status(n.Name, share.Kind(n.Kind), n.Target, port)
	a.put(st)
	return st, nil
}

// Set implements control.Agent: it knows port and reach.
func (a *Agent) Set(ctx context.Context, name string, changes map[string]string) (agentcore.Status, error) {
	return a.change(ctx, "set", name, func(st *agentcore.Status) error {
		for key, value := range changes {
			switch key {
			case "port":
				*st = Status(name, st.Kind, st.Target, st.Port+1)
			case "reach":
				st.Reach = share.Reach(value)
			default:
				return problem.New(problem.Invalid, "unknown key %q", key)
			}
		}
		return nil
	})
}

// Start implements control.Agent.
func (a *Agent) Start(ctx context.Context, name string) (agentcore.Status, error) {
	return a.change(ctx, "start", name, func(st *agentcore.Status) error {
		st.State = supervise.Ready
		return nil
	})
}

// Stop implements control.Agent.
func (a *Agent) Stop(ctx context.Context, name string) (agentcore.Status, error) {
	return a.change(ctx, "stop", name, func(st *agentcore.Status) error {
		st.State = supervise.Stopped
		return nil
	})
}

// Restart implements control.Agent.
func (a *Agent) Restart(ctx context.Context, name string) (agentcore.Status, error) {
	return a.change(ctx, "restart", name, func(st *agentcore.Status) error {
		st.PID++
		return nil
	})
}

func (a *Agent) change(ctx context.Context, method, name string, f func(*agentcore.Status) error) (agentcore.Status, error) {
	st, err := a.Get(name)
	if err == nil {
		err = a.hook(ctx, method, name)
	}
	if err == nil {
		err = f(&st)
	}
	if err != nil {
		return agentcore.Status{}, err
	}
	a.Put(st)
	return st, nil
}

// Remove implements control.Agent.
func (a *Agent) Remove(ctx context.Context, name string) error {
	st, err := a.Get(name)
	if err == nil {
		err = a.hook(ctx, "remove", name)
	}
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	i := a.index(name)
	a.shares = slices.Delete(a.shares, i, i+1)
	a.tell(agentcore.Event{Type: agentcore.Removed, Share: st})
	return nil
}

// LogPath implements control.Agent.
func (a *Agent) LogPath(name string) (string, error) {
	_, err := a.Get(name)
	return a.Log, err
}

// History implements control.Agent.
func (a *Agent) History(name string, n int) ([]history.Entry, error) {
	if _, err := a.Get(name); err != nil {
		return nil, err
	}
	return a.Past[max(0, len(a.Past)-n):], a.PastError
}

// Subscribe implements control.Agent.
func (a *Agent) Subscribe() ([]agentcore.Status, <-chan agentcore.Event, func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ch := make(chan agentcore.Event, 1000)
	if a.readers == nil {
		a.readers = map[chan agentcore.Event]bool{}
	}
	a.readers[ch] = true
	return slices.Clone(a.shares), ch, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.readers, ch)
	}
}

// Quit implements control.Agent.
func (a *Agent) Upgrade(exe string) (agentcore.Upgrade, error) {
	if a.Hook != nil {
		if err := a.Hook(context.Background(), "upgrade", exe); err != nil {
			return agentcore.Upgrade{}, err
		}
	}
	return agentcore.Upgrade{State: agentcore.UpgradeNeedless, From: "v1.2.3", To: "v1.2.3"}, nil
}

func (a *Agent) Leaving() bool { return a.Left.Load() }

func (a *Agent) Quit() {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.quit:
	default:
		close(a.quit)
	}
}

// Quitting implements control.Agent.
func (a *Agent) Quitting() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.quit
}

// Look is Get: nobody visits.
func (a *Agent) Look(_ context.Context, name string) (agentcore.Status, error) { return a.Get(name) }
