package cli

import (
	"bytes"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"sharetray/agentcore/supervise"
)

// replacement stands for characters that could do things to a terminal.
const replacement = '\uFFFD'

// oneLine makes text from elsewhere fit to be printed: no control characters,
// nothing that turns the direction of writing, no line breaks.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\u2028', r == '\u2029':
			return ' '
		case isHarmful(r):
			return replacement
		}
		return r
	}, strings.TrimRight(s, "\r\n"))
}

func isHarmful(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}

// width is how many columns a terminal gives s.
func width(s string) (n int) {
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115F, r >= 0x2E80 && r <= 0xA4CF, r >= 0xAC00 && r <= 0xD7A3,
		r >= 0xF900 && r <= 0xFAFF, r >= 0xFE30 && r <= 0xFE6F, r >= 0xFF00 && r <= 0xFF60,
		r >= 0xFFE0 && r <= 0xFFE6, r >= 0x1F300 && r <= 0x1F64F, r >= 0x1F680 && r <= 0x1F6FF,
		r >= 0x1F900 && r <= 0x1FAFF, r >= 0x20000 && r <= 0x3FFFD:
		return 2
	}
	return 1
}

func pad(s string, to int) string {
	return s + strings.Repeat(" ", max(0, to-width(s)))
}

// cut shortens s to a width, with an ellipsis where something was lost.
func cut(s string, to int) string {
	if width(s) <= to {
		return s
	}
	n := 0
	for i, r := range s {
		if n+runeWidth(r) > to-1 {
			if to < 1 {
				return ""
			}
			return s[:i] + "…"
		}
		n += runeWidth(r)
	}
	return s
}

// paint colours text, or does not.
type paint bool

func paintFor(w io.Writer) paint {
	_, terminal := terminalOf(w)
	return paint(terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func terminalOf(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

func (p paint) with(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p paint) bold(s string) string { return p.with("1", s) }
func (p paint) dim(s string) string  { return p.with("2", s) }

func (p paint) state(state supervise.Phase, s string) string {
	switch state {
	case supervise.Ready:
		return p.with("32", s)
	case supervise.Failed, supervise.Invalid, supervise.Unhealthy:
		return p.with("31", s)
	case supervise.Stopped:
		return p.dim(s)
	}
	return p.with("33", s)
}

// tame returns a writer for bytes of any origin: w itself, unless it is a
// terminal, which gets lines of harmless characters.
func tame(w io.Writer) io.Writer {
	if _, terminal := terminalOf(w); terminal {
		return &tamer{w: w}
	}
	return w
}

type tamer struct {
	w    io.Writer
	rest []byte // the beginning of a character whose end has not come yet
}

func (t *tamer) Write(p []byte) (int, error) {
	in := append(t.rest, p...)
	var out bytes.Buffer
	for len(in) > 0 && utf8.FullRune(in) {
		r, size := utf8.DecodeRune(in)
		in = in[size:]
		switch {
		case r == '\n', r == '\t':
			out.WriteRune(r)
		case r == '\r' && (len(in) == 0 || in[0] == '\n'):
		case isHarmful(r):
			out.WriteRune(replacement)
		default:
			out.WriteRune(r)
		}
	}
	t.rest = bytes.Clone(in)
	if _, err := t.w.Write(out.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}
