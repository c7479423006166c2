//go:build linux

package tray

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

const helperEnv = "SHARETRAY_TEST_TRAY"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		helper() // on the main goroutine, as in the program
		return
	}
	os.Exit(m.Run())
}

// helper is a whole tray. Its standard input says which shares its agent has, and
// its end ends it; its output says what was asked of the agent.
func helper() {
	ctx, cancel := context.WithCancel(context.Background())
	a := &playedAgent{}
	first := make(chan struct{})
	go func() {
		defer cancel()
		in := bufio.NewScanner(os.Stdin)
		in.Buffer(nil, 10<<20)
		for n := 0; in.Scan(); n++ {
			var shares []agentcore.Status
			if err := json.Unmarshal(in.Bytes(), &shares); err != nil {
				fmt.Println("bad input:", err)
				return
			}
			shares = slices.DeleteFunc(shares, func(s agentcore.Status) bool {
				key, value, ok := strings.Cut(s.Name, "=")
				if ok {
					a.tell(key, value)
				}
				if key == "storm" {
					a.storm()
				}
				return ok
			})
			a.set(shares)
			if n == 0 {
				close(first)
			}
		}
	}()
	<-first
	err := Run(ctx, a, Options{
		Version:   "1.2.3",
		Log:       slog.New(slog.NewTextHandler(os.Stdout, nil)),
		Dashboard: func(_ context.Context, path string) error { fmt.Println("agent: page", path); return nil },
		ChooseFolder: func(context.Context, string) (string, error) {
			choice := a.told("choose")
			fmt.Printf("agent: chose %q\n", choice)
			switch choice {
			case "":
				return "", platform.ErrCanceled
			case "none":
				return "", platform.ErrNoChooser
			default:
				return choice, nil
			}
		},
		Ports:     func(context.Context) ([]Port, error) { return []Port{{3000, "node"}, {5432, ""}}, nil },
		Autostart: func() (bool, error) { return a.told("autostart") == "true", nil },
		SetAutostart: func(on bool) error {
			fmt.Println("agent: autostart", on)
			a.tell("autostart", fmt.Sprint(on))
			return nil
		},
		Notifications: func() bool { return a.told("notifications") != "false" },
		SetNotifications: func(on bool) error {
			fmt.Println("agent: notifications", on)
			a.tell("notifications", fmt.Sprint(on))
			return errors.New("the disk is full")
		},
		openURL: func(_ context.Context, u string) error { fmt.Println("agent: browse", u); return nil },
		copy: func(_ context.Context, s string) error {
			fmt.Println("agent: copy", s)
			return errors.New("no clipboard here")
		},
		notify: func(_ context.Context, n platform.Note) error {
			fmt.Printf("agent: notify %q %q\n", n.Title, n.Body)
			return nil
		},
	})
	fmt.Println("run returned:", err)
}

// playedAgent is an agent whose shares are what it was told, and which prints
// what it is asked.
type playedAgent struct {
	mu     sync.Mutex
	shares []agentcore.Status
	facts  map[string]string // what else it was told
	subs   map[chan agentcore.Event]bool
}

const (
	stormTime = 3 * time.Second
	stormRate = 1000 // changes a second
)

// storm changes the state of shares a thousand times a second, and says what that has
// cost this process.
func (a *playedAgent) storm() {
	shares := []agentcore.Status{up("s0"), up("s1"), up("s2"), up("s3"), up("s4")}
	before := cpuTime()
	tick := time.NewTicker(time.Second / 100)
	defer tick.Stop()
	begun, n := time.Now(), 0
	for ; time.Since(begun) < stormTime; <-tick.C {
		for range stormRate / 100 {
			n++
			next := slices.Clone(shares)
			st := &next[n%len(next)]
			st.State = supervise.Phases[n%len(supervise.Phases)]
			a.set(next)
		}
	}
	fmt.Printf("agent: storm of %d cost %.4f\n", n, (cpuTime()-before).Seconds()/time.Since(begun).Seconds())
}

// cpuTime is what this process has had of the processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// told is what a test has said of something, by a share whose name is KEY=VALUE.
func (a *playedAgent) told(key string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.facts[key]
}

func (a *playedAgent) tell(key, value string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.facts == nil {
		a.facts = map[string]string{}
	}
	a.facts[key] = value
}

func (a *playedAgent) set(shares []agentcore.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shares = shares
	for ch := range a.subs {
		select {
		case ch <- agentcore.Event{Type: agentcore.Changed}:
		default: // full: it will look anyway
		}
	}
}

func (a *playedAgent) List() []agentcore.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shares
}

func (a *playedAgent) Subscribe() ([]agentcore.Status, <-chan agentcore.Event, func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ch := make(chan agentcore.Event, 8)
	if a.subs == nil {
		a.subs = map[chan agentcore.Event]bool{}
	}
	a.subs[ch] = true
	return a.shares, ch, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.subs, ch)
	}
}

func (a *playedAgent) Start(_ context.Context, name string) (s agentcore.Status, err error) {
	fmt.Println("agent: start", name)
	return s, nil
}

func (a *playedAgent) Stop(ctx context.Context, name string) (s agentcore.Status, err error) {
	fmt.Println("agent: stop", name)
	if name == "Slow" {
		<-ctx.Done() // for ever: other clicks must not wait for it
	}
	return s, nil
}

func (a *playedAgent) Restart(_ context.Context, name string) (s agentcore.Status, err error) {
	fmt.Println("agent: restart", name)
	return s, errors.New("the folder is gone")
}

func (a *playedAgent) Add(_ context.Context, n agentcore.NewShare) (s agentcore.Status, err error) {
	fmt.Println("agent: add", n.Kind, n.Target)
	if n.Target == "/gone" {
		return s, problem.New(problem.Conflict, "there is no folder /gone: check the spelling")
	}
	return agentcore.Status{Name: "new", URLs: []string{"http://127.0.0.1:8080/new"}}, nil
}

func (a *playedAgent) Remove(_ context.Context, name string) error {
	fmt.Println("agent: remove", name)
	return nil
}

// Info is that of an agent whose program was replaced once a share is named so.
func (a *playedAgent) Info() agentcore.Info {
	a.mu.Lock()
	defer a.mu.Unlock()
	return agentcore.Info{Outdated: slices.ContainsFunc(a.shares, func(s agentcore.Status) bool { return s.Name == "Outdated" })}
}

func (a *playedAgent) Upgrade(exe string) (u agentcore.Upgrade, err error) {
	fmt.Printf("agent: upgrade %q\n", exe)
	return u, errors.New("it is for another processor")
}

func (a *playedAgent) Quit() { fmt.Println("agent: quit") }
