package process

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"sharetray/agentcore/link"
	"sharetray/agentcore/logfile"
)

// logTime is how each line of the log begins, whoever writes it.
const logTime = "2006-01-02 15:04:05.000"

// output is where everything goes that this process logs: Caddy, log, slog.
// There is one of it, as there is one of each of those.
var output sink

func init() { caddy.RegisterModule(logWriter{}) }

// sink forwards to the share's log once there is one.
type sink struct {
	mu    sync.Mutex
	w     io.Writer // nil: nowhere
	path  string
	crash os.FileInfo // the file that a crash would be written to
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w == nil {
		return len(b), nil
	}
	n, err := s.w.Write(b)
	s.followLocked()
	return n, err
}

// openLog makes the share's log the place for everything. A share whose log
// can't be opened is served all the same.
func openLog(l link.Log) {
	if l.Path == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(l.Path), 0o700); err != nil {
		fmt.Fprintf(os.Stderr, "sharetray: no log: %v\n", err)
		return
	}
	w, err := logfile.Open(l.Path, l.MaxBytes, l.Keep)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sharetray: no log: %v\n", err)
		return
	}
	output.mu.Lock()
	output.w, output.path = w, l.Path
	output.mu.Unlock()
	log.SetOutput(&output)
}

// followLocked sees to it that the Go runtime's last words go to the newest
// log file: it holds a file of its own, and the log may have been rotated.
func (s *sink) followLocked() {
	now, err := os.Stat(s.path)
	if err == nil && s.crash != nil && os.SameFile(now, s.crash) {
		return
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close() // the runtime keeps a duplicate
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err == nil {
		s.crash, _ = f.Stat()
	}
}

// logWriter is the Caddy log writer that leads to the share's log.
type logWriter struct{}

// CaddyModule returns the Caddy module information.
func (logWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "caddy.logging.writers.sharetray",
		New: func() caddy.Module { return new(logWriter) },
	}
}

func (logWriter) String() string    { return "the share's log" }
func (logWriter) WriterKey() string { return "sharetray" }

// OpenWriter returns the one sink there is; closing it means nothing.
func (logWriter) OpenWriter() (io.WriteCloser, error) { return openSink{&output}, nil }

type openSink struct{ io.Writer }

func (openSink) Close() error { return nil }

// logHandler writes our own lines in the shape that Caddy's have: time, level,
// message, and then what belongs to it.
type logHandler struct {
	w     io.Writer
	attrs string
}

func newLogHandler(w io.Writer) slog.Handler { return logHandler{w: w} }

func (h logHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h logHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Time.Format(logTime) + "\t" + r.Level.String() + "\t" + r.Message + h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(attr(a))
		return true
	})
	b.WriteByte('\n')
	_, err := io.WriteString(h.w, b.String())
	return err
}

func (h logHandler) WithAttrs(as []slog.Attr) slog.Handler {
	for _, a := range as {
		h.attrs += attr(a)
	}
	return h
}

// WithGroup is not needed for a handful of lines.
func (h logHandler) WithGroup(string) slog.Handler { return h }

func attr(a slog.Attr) string {
	v := a.Value.Resolve().String()
	if d, ok := a.Value.Any().(time.Duration); ok {
		v = d.String()
	}
	if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
		v = strconv.Quote(v)
	}
	return "\t" + a.Key + "=" + v
}
