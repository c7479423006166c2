package usage

import (
	"bytes"
	"io"
	"strconv"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Lines are written together: when there are so many bytes, or after so long.
const (
	logBatch = 32 << 10
	logDelay = time.Second
)

// logTimeFormat is that of Apache's Combined Log Format, which every program that
// reads access logs knows.
const logTimeFormat = "02/Jan/2006:15:04:05 -0700"

// accessLog writes a line for each request, in Combined Log Format.
type accessLog struct {
	w io.Writer

	mu   sync.Mutex
	buf  bytes.Buffer
	late *time.Timer
}

func (l *accessLog) line(q *Request, addr, user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := &l.buf
	b.WriteString(addr)
	b.WriteString(" - ")
	if user == "" {
		user = "-"
	}
	quoteInto(b, user, true)
	b.WriteString(" [")
	b.WriteString(q.began.Format(logTimeFormat))
	b.WriteString(`] "`)
	quoteInto(b, q.r.Method, false)
	b.WriteByte(' ')
	quoteInto(b, q.r.URL.RequestURI(), false)
	b.WriteByte(' ')
	b.WriteString(q.r.Proto)
	b.WriteString(`" `)
	b.WriteString(strconv.Itoa(q.status))
	b.WriteByte(' ')
	b.WriteString(decimal(q.out))
	for _, header := range []string{"Referer", "User-Agent"} {
		b.WriteString(` "`)
		quoteInto(b, q.r.Header.Get(header), false)
		b.WriteByte('"')
	}
	b.WriteByte('\n')
	switch {
	case b.Len() >= logBatch:
		l.flushLocked()
	case l.late == nil:
		l.late = time.AfterFunc(logDelay, l.flush)
	}
}

func (l *accessLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushLocked()
}

func (l *accessLog) flushLocked() {
	if l.late != nil {
		l.late.Stop()
		l.late = nil
	}
	if l.buf.Len() == 0 {
		return
	}
	_, _ = l.w.Write(l.buf.Bytes()) // a log never stands in the way
	l.buf.Reset()
	if l.buf.Cap() > 4*logBatch {
		l.buf = bytes.Buffer{}
	}
}

// quoteInto writes what a visitor said so that it stays within its field: a line
// can't be made by it, nor can a terminal be driven.
func quoteInto(b *bytes.Buffer, s string, isWord bool) {
	const most = 2000
	if len(s) > most {
		s = s[:most]
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == utf8.RuneError && size == 1, unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), isWord && r == ' ':
			for _, c := range []byte(s[i : i+size]) {
				b.WriteString(`\x`)
				b.WriteByte("0123456789abcdef"[c>>4])
				b.WriteByte("0123456789abcdef"[c&15])
			}
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// isLast reports whether last is the offset of the last of size bytes.
func isLast(last, size string) bool {
	n, err := strconv.ParseUint(last, 10, 63)
	return err == nil && decimal(n+1) == size
}
