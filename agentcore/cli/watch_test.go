package cli

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/control/controltest"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
)

// watching runs a command whose output is read line by line.
func (r *rig) watching(args ...string) (next func() string, end func() (int, string)) {
	r.t.Helper()
	pr, pw := io.Pipe()
	var errs strings.Builder
	code := make(chan int, 1)
	go func() {
		code <- Main(args, Streams{In: strings.NewReader(""), Out: pw, Err: &errs}, r.env)
		pw.Close()
	}()
	in := bufio.NewReader(pr)
	next = func() string {
		line, err := in.ReadString('\n')
		if err != nil {
			r.t.Fatalf("%v after %q: %s", err, line, errs.String())
		}
		return strings.TrimSuffix(line, "\n")
	}
	return next, func() (int, string) {
		_, _ = io.Copy(io.Discard, in)
		return <-code, errs.String()
	}
}

func TestWatchLines(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	next, end := r.watching("list", "--watch")
	want := func(text string) {
		t.Helper()
		got := next()
		if _, err := time.Parse(time.TimeOnly, got[:8]); err != nil || got[8:] != "  "+text {
			t.Errorf("%q, want %q", got, text)
		}
	}
	want("docs  ready  http://127.0.0.1:20001/")
	want("shop  unhealthy  http://127.0.0.1:20002/  nothing answers at 127.0.0.1:3000")
	docs, _ := r.agent.Get("docs")
	r.agent.Put(docs) // no change, no line
	docs.State, docs.LastError = supervise.Backoff, "it was killed by SIGKILL"
	r.agent.Tell(agentcore.Event{Type: agentcore.Crashed, Share: docs})
	r.agent.Put(docs)
	want("docs  backoff  http://127.0.0.1:20001/  it was killed by SIGKILL")
	r.agent.Put(controltest.Status("new", share.Web, "/n", 20005))
	want("new  ready  http://127.0.0.1:20005/")
	r.run("remove", "shop")
	want("shop  removed  -")
	r.run("quit")
	if code, errs := end(); code != 4 || errs != "sharetray: the agent has ended: `sharetray` starts another one\n" {
		t.Errorf("%d %q", code, errs)
	}
}

func TestWatchJSON(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	next, end := r.watching("list", "--watch", "--json")
	want := func(name string, state supervise.Phase) {
		t.Helper()
		line := next()
		var st agentcore.Status
		if err := json.Unmarshal([]byte(line), &st); err != nil || st.Name != name || st.State != state || st.URLs == nil {
			t.Errorf("%v: %s", err, line)
		}
	}
	want("docs", supervise.Ready)
	want("shop", supervise.Unhealthy)
	r.run("stop", "docs")
	want("docs", supervise.Stopped)
	r.run("remove", "docs")
	want("docs", gone)
	r.end()
	if code, _ := end(); code != 4 {
		t.Errorf("exit code %d", code)
	}
}

func TestScreen(t *testing.T) {
	t.Parallel()
	pr, pw, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan agentcore.Event)
	ended := make(chan error, 1)
	go func() {
		ended <- watchScreen(pw, []agentcore.Status{controltest.Status("b", share.Web, strings.Repeat("/long", 40), 20001)}, events)
		pw.Close()
	}()
	in := bufio.NewReader(pr)
	read := func() string {
		frame, err := in.ReadString('.') // the last line's
		for err == nil && !strings.HasSuffix(frame, "stay up.") {
			var more string
			more, err = in.ReadString('.')
			frame += more
		}
		if err != nil {
			t.Fatal(err)
		}
		return frame
	}
	first := read()
	for _, line := range strings.Split(first, "\n") {
		if w := width(strings.NewReplacer("\x1b[?1049h", "", "\x1b[?25l", "", "\x1b[H", "", "\x1b[J", "").Replace(line)); w > 80 {
			t.Errorf("%d columns: %q", w, line)
		}
	}
	events <- agentcore.Event{Type: agentcore.Changed, Share: controltest.Status("a", share.Web, "/a", 20002)}
	if second := read(); !strings.Contains(second, "\x1b[H\x1b[J") || strings.Index(second, "\na ") > strings.Index(second, "\nb ") {
		t.Errorf("%q", second)
	}
	events <- agentcore.Event{Type: agentcore.Removed, Share: controltest.Status("b", share.Web, "/b", 20002)}
	if third := read(); strings.Contains(third, "\nb ") || !strings.Contains(third, "\na ") {
		t.Errorf("%q", third)
	}
	close(events)
	rest, _ := io.ReadAll(in)
	if err := <-ended; err != nil || string(rest) != "\x1b[?25h\x1b[?1049l" {
		t.Errorf("%v %q", err, rest)
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	st := controltest.Status("日本", share.Web, "/x", 20001)
	other := controltest.Status("abcdef", share.Web, "/y", 20001)
	other.State, other.LastError = supervise.Failed, "it is over"
	var plain, painted strings.Builder
	list := []agentcore.Status{st, other}
	if writeTable(&plain, list, false) != nil || writeTable(&painted, list, true) != nil {
		t.Fatal("not written")
	}
	for _, code := range []string{"\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m"} {
		if !strings.Contains(painted.String(), code) {
			t.Errorf("no %q in %q", code, painted.String())
		}
	}
	bare := strings.NewReplacer("\x1b[1m", "", "\x1b[2m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[0m", "").Replace(painted.String())
	if bare != plain.String() {
		t.Errorf("colours moved something:\n%s\n%s", bare, plain.String())
	}
	if !strings.Contains(plain.String(), "日本    web   ready") || !strings.Contains(plain.String(), "abcdef  web   failed") {
		t.Errorf("wide characters:\n%s", plain.String())
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain": "plain", "a\tb\nc": "a b c", "end\n": "end", "\x1b[0m": "\uFFFD[0m", "\u200f": "\uFFFD", "ö日": "ö日", "\xff": "\uFFFD",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
	for _, c := range []struct {
		in   string
		to   int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"日本語", 5, "日本…"}, {"abc", 1, "…"}, {"abc", 0, ""}, {"abc", -5, ""}, {"", 0, ""}} {
		if got := cut(c.in, c.to); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.in, c.to, got, c.want)
		}
	}
	for name, want := range map[string]string{"docs": "docs", "my docs": "'my docs'", "it's": `'it'\''s'`} {
		if got := quoted(name); got != want {
			t.Errorf("quoted(%q) = %s, want %s", name, got, want)
		}
	}
}

func TestTamer(t *testing.T) {
	t.Parallel()
	in := "one\r\ntw\x1b[2Jo\tö\n\xff\x00日本"
	want := "one\ntw\uFFFD[2Jo\tö\n\uFFFD\uFFFD日本"
	for size := 1; size <= len(in); size++ {
		var out strings.Builder
		w := &tamer{w: &out}
		for rest := in; rest != ""; {
			n := min(size, len(rest))
			if m, err := io.WriteString(w, rest[:n]); m != n || err != nil {
				t.Fatal(m, err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Errorf("pieces of %d: %q, want %q", size, out.String(), want)
		}
	}
	if w := tame(&strings.Builder{}); w == nil {
		t.Error("nil")
	} else if _, tamed := w.(*tamer); tamed {
		t.Error("what is no terminal gets the bytes as they are")
	}
}

func TestLogs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.agent.Log = r.paths.Control + ".log"
	if err := os.WriteFile(r.agent.Log, []byte("one\ntwo\x1b\nthree"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.want(0, "one\ntwo\x1b\nthree", "", "logs", "docs")
	r.want(0, "two\x1b\nthree", "", "logs", "docs", "-n", "2")
	r.want(0, "", "", "logs", "docs", "-n", "0")
	r.want(3, "", "no share", "logs", "nope")
	next, end := r.watching("logs", "docs", "-f", "-n", "3")
	if l := next(); l != "one" {
		t.Errorf("%q", l)
	}
	r.run("quit")
	if code, errs := end(); code != 0 || errs != "" {
		t.Errorf("%d %q", code, errs)
	}
}
