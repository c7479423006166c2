package process

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore/share"
)

func mustURL(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

func (c *child) readLog() string {
	c.t.Helper()
	b, err := os.ReadFile(c.log)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func TestLog(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "x"})})
	for range 100 {
		c.get("/a")
		c.get("/none")
	}
	c.askToStop()
	c.exit()
	log := c.readLog()
	for _, want := range []string{"\tINFO\tserving\tshare=test\tkind=web", "\tINFO\tasked to stop", "\tINFO\texiting\tcode=0\trequests=200"} {
		if !strings.Contains(log, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if n := strings.Count(log, "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, log)
	}
	if _, err := time.Parse(logTime, log[:len(logTime)]); err != nil {
		t.Error(err)
	}
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(c.log), "stderr"))
	if len(b) > 0 {
		t.Errorf("on stderr:\n%s", b)
	}
}

// TestLogHasLastWords: what the Go runtime says when it ends the process.
func TestLogHasLastWords(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Web, Target: t.TempDir()})
	eventually(t, "the log is open", func() bool { _, err := os.Stat(c.log); return err == nil && c.readLog() != "" })
	c.signal("ABRT")
	c.exit()
	if log := c.readLog(); !strings.Contains(log, "SIGABRT: abort") {
		t.Errorf("the log:\n%s", log)
	}
}

// TestLogOfAShareThatCannotLog: it is served all the same.
func TestLogOfAShareThatCannotLog(t *testing.T) {
	t.Parallel()
	c := startChild(t)
	c.hello()
	c.log = "/dev/null/at/all"
	c.serveOn(share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "x"})}, listen(t))
	if a := c.get("/a"); a.body != "x" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}

// TestLogIsNotFlooded: an app that breaks off every answer is one line now and
// then, not one for each.
func TestLogIsNotFlooded(t *testing.T) {
	t.Parallel()
	app := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	c := serve(t, share.Share{Kind: share.Proxy, Target: app})
	start := time.Now()
	for range 300 {
		if resp, err := plain.Get(c.url("/")); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	seconds := int(time.Since(start)/time.Second) + 2
	if log := c.readLog(); strings.Count(log, "\n") > 1+2*5*seconds || !strings.Contains(log, "WARN") {
		t.Errorf("%d lines in %d s:\n%.2000s", strings.Count(log, "\n"), seconds, log)
	}
}

func TestLogHandler(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	l := slog.New(newLogHandler(&b)).With("share", "a b")
	l.Debug("unseen")
	l.Info("done", "took", time.Second, "n", 3, "text", "two\nlines", "empty", "")
	if got, want := b.String()[len(logTime):], "\tINFO\tdone\tshare=\"a b\"\ttook=1s\tn=3\ttext=\"two\\nlines\"\tempty=\"\"\n"; got != want {
		t.Errorf("%q", got)
	}
}
