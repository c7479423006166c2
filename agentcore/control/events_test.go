package control_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/control/controltest"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	a, c, _ := agent(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	now, events, err := c.Watch(ctx)
	if err != nil || len(now) != 2 {
		t.Fatalf("%+v, %v", now, err)
	}
	docs := now[0]
	docs.State, docs.LastError = supervise.Failed, "line one\nline two <&> \u2028"
	a.Put(docs)
	if e := <-events; e.Type != agentcore.Changed || e.Share.LastError != docs.LastError {
		t.Errorf("%+v", e)
	}
	a.Tell(agentcore.Event{Type: agentcore.Recovered, Share: docs, Cause: "killed", Downtime: 5 * time.Millisecond})
	if e := <-events; e.Type != agentcore.Recovered || e.Downtime != 5*time.Millisecond || e.Cause != "killed" {
		t.Errorf("%+v", e)
	}
	if err := c.Remove(ctx, "docs"); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Type != agentcore.Removed || e.Share.Name != "docs" {
		t.Errorf("%+v", e)
	}
	cancel()
	for range events {
	}
	waitFor(t, "the subscription to be given back", func() bool { return a.Readers() == 0 })
}

// TestWatchMakesUpForWhatWasMissed has the agent drop a slow reader.
func TestWatchMakesUpForWhatWasMissed(t *testing.T) {
	t.Parallel()
	a, c, _ := agent(t)
	now, events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		a.Put(now[1]) // after something was heard, an end is not the last one
		if e := <-events; e.Share.Name != "shop" {
			t.Fatalf("round %d: %+v", round, e)
		}
		name := string(rune('a' + round))
		a.DropReaders(func(shares []agentcore.Status) []agentcore.Status {
			shares = slices.Clone(shares)
			old := shares[0]
			shares[0] = controltest.Status(name, share.Web, "/x", 20003)
			return slices.DeleteFunc(shares, func(st agentcore.Status) bool { return st.Name == old.Name })
		})
		if e := <-events; e.Type != agentcore.Changed || e.Share.Name != name {
			t.Errorf("round %d: %+v", round, e)
		}
		if e := <-events; e.Type != agentcore.Removed || e.Share.Name == name || e.Share.Name == "shop" {
			t.Errorf("round %d: %+v", round, e)
		}
	}
}

func TestWatchEndsWithTheAgent(t *testing.T) {
	t.Parallel()
	_, c, _ := agent(t)
	_, events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range events {
	}
	if _, _, err := c.Watch(t.Context()); !problem.Is(err, problem.Unavailable) {
		t.Errorf("watch without an agent: %v", err)
	}
}

// TestWatchSurvivesANewAgent ends one agent and has another take its place, as
// an upgrade does.
func TestWatchSurvivesANewAgent(t *testing.T) {
	t.Parallel()
	paths := controltest.Paths(t)
	ln, err := net.Listen("unix", paths.Control)
	if err != nil {
		t.Fatal(err)
	}
	feed := make(chan net.Conn)
	go func() {
		c, _ := ln.Accept()
		feed <- c
	}()
	type watched struct {
		now    []agentcore.Status
		events <-chan agentcore.Event
		err    error
	}
	got := make(chan watched)
	go func() {
		now, events, err := control.Dial(paths).Watch(t.Context())
		got <- watched{now, events, err}
	}()
	conn := <-feed
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	body := `{"snapshot":[]}` + "\n" + `{"event":{"type":"changed","share":{"name":"docs"}}}` + "\n"
	if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\n\r\n" + body)); err != nil {
		t.Fatal(err)
	}
	w := <-got
	if w.err != nil {
		t.Fatal(w.err)
	}
	if e := <-w.events; e.Share.Name != "docs" {
		t.Fatalf("%+v", e)
	}
	a := &controltest.Agent{}
	a.Put(controltest.Status("other", share.Web, "/x", 20001))
	controltest.ServeOn(t, a, ln) // it waits in the queue until the old one hangs up
	conn.Close()
	if e := <-w.events; e.Type != agentcore.Changed || e.Share.Name != "other" {
		t.Errorf("%+v", e)
	}
	if e := <-w.events; e.Type != agentcore.Removed || e.Share.Name != "docs" {
		t.Errorf("%+v", e)
	}
}

func TestFollowLog(t *testing.T) {
	t.Parallel()
	a, c, _ := agent(t)
	a.Log = filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(a.Log, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &lines{got: make(chan string, 10)}
	ended := make(chan error, 1)
	go func() { ended <- c.Log(ctx, "docs", 1, true, out) }()
	if l := <-out.got; l != "two" {
		t.Errorf("old line: %q", l)
	}
	f, err := os.OpenFile(a.Log, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("three\n"); err != nil {
		t.Fatal(err)
	}
	if l := <-out.got; l != "three" {
		t.Errorf("new line: %q", l)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("end: %v", err)
	}
}

func TestLogWriterThatFails(t *testing.T) {
	t.Parallel()
	a, c, _ := agent(t)
	a.Log = filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(a.Log, []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := errors.New("the pipe is broken")
	if err := c.Log(t.Context(), "docs", 1, false, failing{want}); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// lines passes whole lines on.
type lines struct {
	buf bytes.Buffer
	got chan string
}

func (l *lines) Write(p []byte) (int, error) {
	l.buf.Write(p)
	for {
		line, err := l.buf.ReadString('\n')
		if err != nil {
			l.buf.WriteString(line)
			return len(p), nil
		}
		l.got <- strings.TrimSuffix(line, "\n")
	}
}

// waitFor waits for what has no event to wait for.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
