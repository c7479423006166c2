package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/time/rate"
)

// Bounds of what a program prints: so much a second is kept, and so much at once.
// The rest is read, so that the program does not wait, and dropped.
const (
	outputRate  = 1 << 20
	outputBurst = 4 << 20
	maxLine     = 64 << 10 // what patterns are looked for in
	maxLast     = 200      // of its last words

	lastPatience = 200 * time.Millisecond // for its last words to be read
)

// links are the ones that well-known programs print.
var links = regexp.MustCompile(`https?://[a-zA-Z0-9.-]+\.(?:trycloudflare\.com|ngrok(?:-free)?\.(?:app|dev|io)|share\.zrok\.io|lhr\.life|serveo\.net|loca\.lt|devtunnels\.ms)[^\s"'|]*`)

// output reads what a program prints.
type output struct {
	to      io.Writer
	find    *regexp.Regexp
	want    *regexp.Regexp
	link    chan string
	matched chan struct{} // closed when want was printed
	limit   *rate.Limiter
	ended   chan struct{} // closed when nobody prints any more

	mu   sync.Mutex
	line bytes.Buffer // the one that is being printed
	said string       // the last one that says something
	lost int64        // bytes that were dropped since it was said
	seen bool
}

func newOutput(to io.Writer, find, want *regexp.Regexp) *output {
	if to == nil {
		to = io.Discard
	}
	if find == nil {
		find = links
	}
	return &output{to: to, find: find, want: want, link: make(chan string, 1), matched: make(chan struct{}),
		limit: rate.NewLimiter(outputRate, outputBurst), ended: make(chan struct{})}
}

// read reads until nobody has the other end any more, or from is closed.
func (o *output) read(from *os.File) {
	defer close(o.ended)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		o.take(buf[:n])
		if err != nil {
			return
		}
	}
}

func (o *output) take(b []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.limit.AllowN(time.Now(), len(b)) {
		_, _ = o.to.Write(b) // a log never stands in the way
	} else {
		if o.lost == 0 {
			time.AfterFunc(time.Second, o.tellLost)
		}
		o.lost += int64(len(b))
	}
	for len(b) > 0 {
		part, rest, whole := bytes.Cut(b, []byte("\n"))
		if room := maxLine - o.line.Len(); len(part) > room {
			part = part[:room]
		}
		o.line.Write(part)
		o.look()
		if whole {
			if text := strings.TrimSpace(printable(o.line.String())); text != "" {
				o.said = text
			}
			o.line.Reset()
		}
		b = rest
	}
}

// tellLost says how much was dropped in the last second.
func (o *output) tellLost() {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.to, "\n… %d bytes that the program printed were dropped: it prints too much\n", o.lost)
	o.lost = 0
}

// look looks for what is waited for in the line so far, whole or not: a prompt has
// no end.
func (o *output) look() {
	if m := o.find.FindSubmatch(o.line.Bytes()); m != nil {
		select {
		case o.link <- printable(string(m[min(1, len(m)-1)])):
		default:
		}
	}
	if o.want != nil && !o.seen && o.want.Match(o.line.Bytes()) {
		o.seen = true
		close(o.matched)
	}
}

// lastWords is last of a program that has ended: what it has printed may still be on
// its way. What it has started may hold the other end for ever, so there is an end to
// waiting.
func (o *output) lastWords() string {
	select {
	case <-o.ended:
	case <-time.After(lastPatience):
	}
	return o.last()
}

// last is the last line that says something.
func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	last := o.said
	if text := strings.TrimSpace(printable(o.line.String())); text != "" {
		last = text
	}
	if r := []rune(last); len(r) > maxLast {
		last = string(r[:maxLast]) + "…"
	}
	return last
}

// colours are what programs paint their output with (ECMA-48, 5.4).
var colours = regexp.MustCompile("\x1b\\[[0-9;?]*[ -/]*[@-~]")

// printable is text without what drives terminals.
func printable(text string) string {
	text = colours.ReplaceAllString(strings.ToValidUTF8(text, "\uFFFD"), "")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, text)
}
