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
	"sync"
	"testing"

	"sharetray/agentcore"
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
			a.set(shares)
			if n == 0 {
				close(first)
			}
		}
	}()
	<-first
	err := Run(ctx, a, Options{
		Version: "1.2.3",
		Log:     slog.New(slog.NewTextHandler(os.Stdout, nil)),
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
	subs   map[chan agentcore.Event]bool
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
