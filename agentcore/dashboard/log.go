package dashboard

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sharetray/agentcore/logfile"
)

const (
	shownLines = 500     // of a log, when its page is opened
	lineLimit  = 2000    // characters of a line that are shown
	lineBytes  = 8 << 10 // bytes of a line that are looked at
	logBatch   = 200     // lines that are sent together at most
)

type logBody struct {
	card
	Lines  []string
	Find   string
	Access bool // requests are shown, not the log
	Hidden int  // lines without what is looked for
}

// logOf is the path of what is to be shown.
func (d *Dashboard) logOf(r *http.Request) (path string, access bool, err error) {
	path, err = d.agent.LogPath(r.PathValue("name"))
	if access = r.FormValue("of") == "access"; access {
		path = filepath.Join(filepath.Dir(path), logfile.AccessName)
	}
	return path, access, err
}

func (d *Dashboard) log(w http.ResponseWriter, r *http.Request) {
	st, err := d.agent.Get(r.PathValue("name"))
	if err != nil {
		d.failed(w, r, err)
		return
	}
	path, access, err := d.logOf(r)
	if err != nil {
		d.failed(w, r, err)
		return
	}
	tail, err := logfile.Tail(path, shownLines)
	if err != nil {
		d.failed(w, r, err)
		return
	}
	t := text{d.language(r)}
	b := logBody{card: card{t, st}, Find: r.FormValue("find"), Access: access}
	for line := range bytes.Lines(tail) {
		s := readable(line)
		if !strings.Contains(strings.ToLower(s), strings.ToLower(b.Find)) {
			b.Hidden++
			continue
		}
		b.Lines = append(b.Lines, s)
	}
	d.write(w, r, http.StatusOK, "log.html", view{Title: t.T("page.log_of", b.Label()), Nav: "shares", Body: b})
}

// liveLog sends the end of a log, and then what is added to it: what came between the
// making of the page and this, or while there was no agent, is not missed so.
func (d *Dashboard) liveLog(w http.ResponseWriter, r *http.Request) {
	path, _, err := d.logOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	out := &events{w: w, rc: http.NewResponseController(w)}
	out.begin()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	lines := make(chan []string)
	go func() {
		defer close(lines)
		_ = logfile.Follow(ctx, path, shownLines, &lineWriter{ctx: ctx, to: lines}) // its end is the page's cue to ask again
	}()
	beat := time.NewTicker(liveBeat)
	defer beat.Stop()
	if out.send("hello", d.agent.Info().Version) != nil {
		return
	}
	for {
		select {
		case batch, ok := <-lines:
			if !ok || out.send("lines", batch) != nil {
				return
			}
		case <-beat.C:
			if out.send("beat", nil) != nil {
				return
			}
		}
	}
}

// lineWriter makes lines of what is written to it. Of a long one it keeps the
// beginning only.
type lineWriter struct {
	ctx  context.Context
	to   chan<- []string
	part []byte
}

func (l *lineWriter) Write(p []byte) (int, error) {
	var batch []string
	for line := range bytes.Lines(p) {
		if room := lineBytes - len(l.part); room > 0 {
			l.part = append(l.part, line[:min(room, len(line))]...)
		}
		if line[len(line)-1] != '\n' {
			break // its end is still to come
		}
		batch = append(batch, readable(l.part))
		l.part = l.part[:0]
	}
	for len(batch) > 0 {
		n := min(len(batch), logBatch)
		select {
		case l.to <- batch[:n]:
			batch = batch[n:]
		case <-l.ctx.Done():
			return 0, l.ctx.Err()
		}
	}
	return len(p), nil
}

// readable is a line of a log, whatever is in it, as text: what is no text is shown as
// its code, what colours a terminal is left out.
func readable(line []byte) string {
	line = bytes.TrimRight(line, "\r\n")
	cut := len(line) > lineBytes
	line = line[:min(len(line), lineBytes)]
	var b strings.Builder
	for n := 0; len(line) > 0; n++ {
		if n >= lineLimit {
			cut = true
			break
		}
		if skip := colours(line); skip > 0 {
			line = line[skip:]
			continue
		}
		r, size := utf8.DecodeRune(line)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, "\\x%02x", line[0])
		case r == '\t':
			b.WriteByte('\t')
		case unicode.IsControl(r):
			fmt.Fprintf(&b, "\\x%02x", r)
		case unicode.Is(unicode.Bidi_Control, r):
			fmt.Fprintf(&b, "\\u%04x", r) // which would turn the line around
		default:
			b.WriteRune(r)
		}
		line = line[size:]
	}
	if cut {
		b.WriteString("…")
	}
	return b.String()
}

// colours is the length of the terminal's command for a colour (ECMA-48's SGR) that
// line begins with, or 0.
func colours(line []byte) int {
	if !bytes.HasPrefix(line, []byte("\x1b[")) {
		return 0
	}
	for i := 2; i < len(line) && i < 20; i++ {
		switch c := line[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}
