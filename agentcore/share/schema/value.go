package schema

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Type is how TOML writes a value.
type Type string

const (
	String  Type = "string"
	Integer Type = "integer"
	Boolean Type = "boolean"
)

// Value is a field of a struct as a key of a file: its text, and how it is set
// from text. It is made anew, bound to one struct, each time it is needed.
type Value struct {
	Type Type
	Want string                  // what it may be; completes "port must be …"
	Get  func() string           // its text, which Set takes back
	Set  func(text string) error // changes the field, or nothing; the error completes "port …"
	Bare bool                    // a String that a file may also give as a number, without quotes
	// Dated: a String that a file may also give as a date of TOML, without quotes.
	Dated bool
	// Choices are the words of which it is one; none: it is not one of a few.
	Choices []string

	literal func() string // nil: made from Get
}

// Literal is the value as it stands in a file.
func (v Value) Literal() string {
	if v.literal != nil {
		return v.literal()
	}
	if v.Type == String {
		return quote(v.Get())
	}
	return v.Get()
}

// Bool is a switch.
func Bool(field *bool) Value {
	return parsed(field, Boolean, "true or false", strconv.FormatBool, func(text string) (bool, bool) {
		return text == "true", text == "true" || text == "false"
	})
}

// Int is a whole number from least to most.
func Int[N ~int | ~int64 | ~uint16](field *N, least, most N) Value {
	want := fmt.Sprintf("a whole number from %d to %d", least, most)
	format := func(n N) string { return strconv.FormatInt(int64(n), 10) }
	return parsed(field, Integer, want, format, func(text string) (N, bool) {
		n, err := strconv.ParseInt(text, 10, 64)
		return N(n), err == nil && n >= int64(least) && n <= int64(most)
	})
}

// Duration is a length of time from least to most, written as in "1m30s".
func Duration(field *time.Duration, least, most time.Duration) Value {
	want := fmt.Sprintf(`a duration from %s to %s, such as "1m30s"`, formatDuration(least), formatDuration(most))
	return parsed(field, String, want, formatDuration, func(text string) (time.Duration, bool) {
		t, err := time.ParseDuration(text)
		return t, err == nil && t >= least && t <= most
	})
}

// OneOf is one of a few words.
func OneOf[S ~string](field *S, words ...S) Value {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(string(w))
	}
	format := func(s S) string { return string(s) }
	v := parsed(field, String, strings.Join(quoted, " or "), format, func(text string) (S, bool) {
		for _, w := range words {
			if text == string(w) {
				return w, true
			}
		}
		return "", false
	})
	for _, w := range words {
		v.Choices = append(v.Choices, string(w))
	}
	return v
}

func parsed[V any](field *V, t Type, want string, format func(V) string, parse func(string) (V, bool)) Value {
	return Value{
		Type: t,
		Want: want,
		Get:  func() string { return format(*field) },
		Set: func(text string) error {
			v, ok := parse(text)
			if !ok {
				return fmt.Errorf("must be %s, not %q", want, shorten(text))
			}
			*field = v
			return nil
		},
	}
}

// formatDuration is d.String without its zeros at the end: 1h, not 1h0m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// quote writes s as a TOML string: a literal one where that spares a Windows
// path its doubled backslashes, else a basic one.
func quote(s string) string {
	plain := !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\'' })
	if plain && strings.Contains(s, `\`) {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// shorten cuts a value that is too long to be shown in a sentence.
func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}
