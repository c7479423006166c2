package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/control/controltest"
	"sharetray/agentcore/history"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// agent serves a fake with two shares.
func agent(t *testing.T) (*controltest.Agent, *control.Client, agentcore.Paths) {
	t.Helper()
	a := &controltest.Agent{}
	a.Put(controltest.Status("docs", share.Web, "/home/u/docs", 20001))
	a.Put(controltest.Status("shop", share.Proxy, "http://127.0.0.1:3000", 20002))
	paths := controltest.Paths(t)
	controltest.Serve(t, a, paths)
	return a, control.Dial(paths), paths
}

func TestClientAndServer(t *testing.T) {
	t.Parallel()
	a, c, _ := agent(t)
	ctx := t.Context()

	info, err := c.Info(ctx)
	if err != nil || info.PID != os.Getpid() || info.Version != "v9" {
		t.Errorf("info: %+v, %v", info, err)
	}
	if list, err := c.List(ctx); err != nil || len(list) != 2 || list[0].Name != "docs" || list[1].Target != "http://127.0.0.1:3000" {
		t.Errorf("list: %+v, %v", list, err)
	}
	st, err := c.Add(ctx, agentcore.NewShare{Name: "new", Kind: "web", Target: "/x", Keys: map[string]string{"port": "8080"}})
	if err != nil || st.Port != 8080 || st.Target != "/x" {
		t.Errorf("add: %+v, %v", st, err)
	}
	if st, err := c.Set(ctx, "new", map[string]string{"reach": "lan"}); err != nil || st.Reach != share.LAN {
		t.Errorf("set: %+v, %v", st, err)
	}
	if st, err := c.Stop(ctx, "new"); err != nil || st.State != supervise.Stopped {
		t.Errorf("stop: %+v, %v", st, err)
	}
	if st, err := c.Start(ctx, "new"); err != nil || st.State != supervise.Ready {
		t.Errorf("start: %+v, %v", st, err)
	}
	if again, err := c.Restart(ctx, "new"); err != nil || again.PID != st.PID+1 {
		t.Errorf("restart: %+v, %v", again, err)
	}
	if err := c.Remove(ctx, "new"); err != nil {
		t.Errorf("remove: %v", err)
	}
	if _, err := c.Get(ctx, "new"); !problem.Is(err, problem.NotFound) {
		t.Errorf("get of what was removed: %v", err)
	}

	a.Log = filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(a.Log, []byte("one\ntwo\nthr\x00e"), 0o600); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := c.Log(ctx, "docs", 2, false, &b); err != nil || b.String() != "two\nthr\x00e" {
		t.Errorf("log: %q, %v", b.String(), err)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	a, c, paths := agent(t)
	for i := range 30 {
		a.Past = append(a.Past, history.Entry{Time: time.Unix(int64(i), 0).UTC(), What: history.Crashed, Cause: "it <was> killed", Restarts: i})
	}
	for _, n := range []int{0, 1, 20, 30, 100} {
		got, err := c.History(t.Context(), "docs", n)
		if want := a.Past[30-min(n, 30):]; err != nil || !slices.Equal(got, want) {
			t.Errorf("the last %d: %v, %v", n, got, err)
		}
	}
	if _, err := c.History(t.Context(), "nope", 1); !problem.Is(err, problem.NotFound) {
		t.Errorf("of no share: %v", err)
	}
	if _, err := c.History(t.Context(), "docs", -1); !problem.Is(err, problem.Invalid) || !strings.Contains(err.Error(), "entries must be from 0") {
		t.Errorf("a negative number: %v", err)
	}
	if status, body := raw(t, paths, "GET", "/v1/shares/docs/history", ""); status != 200 || strings.Count(body, `"restarts"`) != 20 {
		t.Errorf("without a number: %d %s", status, body)
	}
	if status, _ := raw(t, paths, "GET", "/v1/shares/docs/history?n=x", ""); status != 400 {
		t.Errorf("not a number: %d", status)
	}
	a.Past = nil
	if _, body := raw(t, paths, "GET", "/v1/shares/docs/history", ""); body != "[]\n" {
		t.Errorf("nothing has happened: %q", body)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	t.Parallel()
	a := &controltest.Agent{}
	paths := controltest.Paths(t)
	controltest.Serve(t, a, paths)
	if _, body := raw(t, paths, "GET", "/v1/shares", ""); body != "[]\n" {
		t.Errorf("no shares: %q", body)
	}
	a.Put(agentcore.Status{Name: "broken", State: supervise.Invalid})
	for _, path := range []string{"/v1/shares", "/v1/shares/broken"} {
		if _, body := raw(t, paths, "GET", path, ""); !strings.Contains(body, `"urls":[]`) {
			t.Errorf("%s: %q", path, body)
		}
	}
}

func TestProblemsKeepTheirCode(t *testing.T) {
	t.Parallel()
	a, c, paths := agent(t)
	statuses := map[problem.Code]int{
		problem.Invalid: 400, problem.NotFound: 404, problem.Exists: 409, problem.Conflict: 409,
		problem.Unavailable: 503, problem.Unsupported: 501, problem.Internal: 500,
	}
	for code, status := range statuses {
		a.Hook = func(context.Context, string, string) error { return problem.New(code, "it is %s", code) }
		for what, ask := range map[string]func() error{
			"add":     func() error { _, err := c.Add(t.Context(), agentcore.NewShare{}); return err },
			"set":     func() error { _, err := c.Set(t.Context(), "docs", map[string]string{"port": "1"}); return err },
			"start":   func() error { _, err := c.Start(t.Context(), "docs"); return err },
			"stop":    func() error { _, err := c.Stop(t.Context(), "docs"); return err },
			"restart": func() error { _, err := c.Restart(t.Context(), "docs"); return err },
			"remove":  func() error { return c.Remove(t.Context(), "docs") },
		} {
			if err := ask(); problem.CodeOf(err) != code || problem.Sentence(err) != "it is "+string(code) {
				t.Errorf("%s %s: %v (%s)", what, code, err, problem.CodeOf(err))
			}
		}
		if got, _ := raw(t, paths, "POST", "/v1/shares/docs/start", ""); got != status {
			t.Errorf("%s: HTTP status %d, want %d", code, got, status)
		}
	}
	a.Hook = func(context.Context, string, string) error { return errors.New("bare") }
	if _, err := c.Start(t.Context(), "docs"); !problem.Is(err, problem.Internal) || err.Error() != "bare" {
		t.Errorf("an error without a code: %v", err)
	}
}

func TestUnknownSharesAreNotFound(t *testing.T) {
	t.Parallel()
	_, c, _ := agent(t)
	ctx := t.Context()
	for _, name := range []string{"nope", ".", "..", "../docs", "a/b", "docs/start", "%2e%2e", "a b", "ö", "\x00", "?", "#x", "docs?n=1"} {
		for what, err := range map[string]error{
			"get":     second(c.Get(ctx, name)),
			"set":     second(c.Set(ctx, name, map[string]string{"port": "1"})),
			"start":   second(c.Start(ctx, name)),
			"stop":    second(c.Stop(ctx, name)),
			"restart": second(c.Restart(ctx, name)),
			"remove":  c.Remove(ctx, name),
			"log":     c.Log(ctx, name, 1, false, io.Discard),
		} {
			if !problem.Is(err, problem.NotFound) {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
	if _, err := c.Get(ctx, ""); !problem.Is(err, problem.Invalid) {
		t.Errorf("empty name: %v", err)
	}
}

func TestOddNamesWork(t *testing.T) {
	t.Parallel()
	a, c, _ := agent(t)
	for _, name := range []string{"my photos", "Ünïcödé 日本", "100%", "%41", "a+b&c=d", "q?x#y", "a;b", ".."} {
		a.Put(controltest.Status(name, share.Web, "/x", 20005))
		if st, err := c.Get(t.Context(), name); err != nil || st.Name != name {
			t.Errorf("get %q: %q, %v", name, st.Name, err)
		}
		if st, err := c.Stop(t.Context(), name); err != nil || st.Name != name {
			t.Errorf("stop %q: %q, %v", name, st.Name, err)
		}
		if err := c.Remove(t.Context(), name); err != nil {
			t.Errorf("remove %q: %v", name, err)
		}
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	a, _, paths := agent(t)
	a.Hook = func(_ context.Context, method, _ string) error {
		t.Errorf("%s reached the agent", method)
		return nil
	}
	large := `{"name":"` + strings.Repeat("x", 65<<10) + `"}`
	for _, c := range []struct {
		method, path, body string
		status             int
		sentence           string
	}{
		{"POST", "/v1/shares", ``, 400, "not understood"},
		{"POST", "/v1/shares", `{`, 400, "not understood"},
		{"POST", "/v1/shares", `[]`, 400, "not understood"},
		{"POST", "/v1/shares", `{"nmae":"x"}`, 400, "nmae"},
		{"POST", "/v1/shares", `{"name":"x"} {}`, 400, "more than one"},
		{"POST", "/v1/shares", large, 400, "larger than"},
		{"PATCH", "/v1/shares/docs", `{}`, 400, "what to change"},
		{"PATCH", "/v1/shares/docs", `null`, 400, "what to change"},
		{"PATCH", "/v1/shares/docs", `{"port":80}`, 400, "not understood"},
		{"PATCH", "/v1/shares/docs", large, 400, "larger than"},
		{"GET", "/v1/shares/docs/log?n=x", "", 400, "lines"},
		{"GET", "/v1/shares/docs/log?n=-1", "", 400, "lines"},
		{"GET", "/v1/shares/docs/log?n=99999999999", "", 400, "lines"},
		{"GET", "/", "", 404, "does not know"},
		{"GET", "/v1/shares/", "", 404, "does not know"},
		{"GET", "/v1/shares/docs/upgrade", "", 404, "does not know"},
		{"GET", "/v2/shares", "", 404, "does not know"},
		{"POST", "/v1/agent", "", 405, "does not know"},
		{"GET", "/v1/quit", "", 405, "does not know"},
		{"PUT", "/v1/shares/docs", "{}", 405, "does not know"},
	} {
		status, body := raw(t, paths, c.method, c.path, c.body)
		var f struct{ Code, Sentence string }
		if err := json.Unmarshal([]byte(body), &f); err != nil || f.Code == "" || f.Sentence == "" {
			t.Errorf("%s %s %.40q: not a problem: %.100q", c.method, c.path, c.body, body)
		}
		if status != c.status || !strings.Contains(f.Sentence, c.sentence) {
			t.Errorf("%s %s %.40q: %d %+v", c.method, c.path, c.body, status, f)
		}
	}
}

func TestNoAgent(t *testing.T) {
	t.Parallel()
	paths := controltest.Paths(t)
	c := control.Dial(paths)
	for range 2 {
		_, err := c.List(t.Context())
		if !problem.Is(err, problem.Unavailable) || !strings.Contains(err.Error(), "no agent is running: start one with `sharetray`") {
			t.Errorf("no agent: %v", err)
		}
		if !platform.IsNobodyThere(err) {
			t.Errorf("the cause is lost: %v", err)
		}
		// And the same with the socket file of an agent that was killed.
		ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: paths.Control, Net: "unix"})
		if err != nil {
			return // the second time
		}
		ln.SetUnlinkOnClose(false)
		ln.Close()
	}
}

func TestAnotherProgramOnTheSocket(t *testing.T) {
	t.Parallel()
	paths := controltest.Paths(t)
	ln, err := net.Listen("unix", paths.Control)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		panic(http.ErrAbortHandler)
	})}
	go srv.Serve(ln)
	defer srv.Close()
	c := control.Dial(paths)
	if _, err := c.List(t.Context()); !problem.Is(err, problem.Internal) {
		t.Errorf("nonsense: %v", err)
	}
	if _, err := c.Start(t.Context(), "x"); !problem.Is(err, problem.Unavailable) || !strings.Contains(err.Error(), "went away") {
		t.Errorf("hung up: %v", err)
	}
}

func TestClientThatHangsUp(t *testing.T) {
	t.Parallel()
	a, c, _ := agent(t)
	entered, left := make(chan struct{}), make(chan error)
	a.Hook = func(ctx context.Context, _, _ string) error {
		entered <- struct{}{}
		<-ctx.Done()
		left <- ctx.Err()
		return ctx.Err()
	}
	for what, ask := range map[string]func(context.Context) error{
		"add":   func(ctx context.Context) error { _, err := c.Add(ctx, agentcore.NewShare{Name: "n"}); return err },
		"start": func(ctx context.Context) error { _, err := c.Start(ctx, "docs"); return err },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		asked := make(chan error)
		go func() { asked <- ask(ctx) }()
		<-entered
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the agent was told %v", what, err)
		}
		if err := <-asked; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the client was told %v", what, err)
		}
	}
}

// TestStopGoesOn checks that what must not be left half done is not.
func TestStopGoesOn(t *testing.T) {
	t.Parallel()
	a := &controltest.Agent{}
	a.Put(controltest.Status("docs", share.Web, "/x", 20001))
	paths := controltest.Paths(t)
	end := controltest.Serve(t, a, paths)
	c := control.Dial(paths)
	entered, left := make(chan struct{}), make(chan struct{})
	a.Hook = func(ctx context.Context, _, _ string) error {
		close(entered)
		<-ctx.Done()
		close(left)
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error)
	go func() { _, err := c.Stop(ctx, "docs"); asked <- err }()
	<-entered
	cancel()
	<-asked
	if _, err := c.Info(t.Context()); err != nil { // the server has had its time to notice
		t.Fatal(err)
	}
	select {
	case <-left:
		t.Error("a client that hung up broke off a stop")
	default:
	}
	end()
	<-left
}

func TestQuit(t *testing.T) {
	t.Parallel()
	_, c, paths := agent(t)
	if err := c.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Info(t.Context()); !platform.IsNobodyThere(err) {
		t.Errorf("after quit: %v", err)
	}
	if _, err := os.Stat(paths.Control); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if err := c.Quit(t.Context()); !problem.Is(err, problem.Unavailable) {
		t.Errorf("quit without an agent: %v", err)
	}
}

// TestAnAgentThatIsEnding tells about its shares, and does nothing for them.
func TestAnAgentThatIsEnding(t *testing.T) {
	t.Parallel()
	a := &controltest.Agent{Drain: make(chan struct{})}
	a.Put(controltest.Status("docs", share.Web, "/x", 20001))
	paths := controltest.Paths(t)
	controltest.Serve(t, a, paths)
	c := control.Dial(paths)
	ctx := t.Context()
	entered := make(chan struct{})
	a.Hook = func(context.Context, string, string) error {
		close(entered)
		<-a.Quitting()
		return problem.New(problem.NotFound, "it is gone")
	}
	begun := make(chan error, 1)
	go func() { _, err := c.Restart(ctx, "docs"); begun <- err }()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- c.Quit(ctx) }()
	if err := <-begun; !errors.Is(err, control.ErrEnding) {
		t.Errorf("what had begun: %v", err)
	}
	for what, err := range map[string]error{
		"info": second(c.Info(ctx)), "start": second(c.Start(ctx, "docs")), "add": second(c.Add(ctx, agentcore.NewShare{})),
		"set": second(c.Set(ctx, "docs", map[string]string{"port": "1"})), "remove": c.Remove(ctx, "docs"),
	} {
		if !errors.Is(err, control.ErrEnding) || !problem.Is(err, problem.Unavailable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if list, err := c.List(ctx); err != nil || len(list) != 1 {
		t.Errorf("list: %v, %v", list, err)
	}
	select {
	case err := <-ended:
		t.Errorf("quit did not wait: %v", err)
	default:
	}
	close(a.Drain)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestServeEndsWithRequestsUnderWay checks that nobody's waiting keeps an agent alive.
func TestServeEndsWithRequestsUnderWay(t *testing.T) {
	t.Parallel()
	a := &controltest.Agent{}
	a.Put(controltest.Status("docs", share.Web, "/x", 20001))
	paths := controltest.Paths(t)
	end := controltest.Serve(t, a, paths)
	c := control.Dial(paths)
	_, events, err := c.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entered, answered := make(chan struct{}), make(chan error)
	a.Hook = func(ctx context.Context, _, _ string) error {
		close(entered)
		<-ctx.Done()
		return problem.New(problem.Unavailable, "the agent is ending")
	}
	go func() { _, err := c.Start(t.Context(), "docs"); answered <- err }()
	<-entered
	began := time.Now()
	end()
	if err := <-answered; !problem.Is(err, problem.Unavailable) {
		t.Errorf("the one who waited: %v", err)
	}
	for range events {
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

func second[T any](_ T, err error) error { return err }

// raw asks as no client of ours would.
func raw(t *testing.T, paths agentcore.Paths, method, path, body string) (status int, answer string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return platform.DialControl(ctx, paths.Control)
		}}}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}
