package schema

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Text is any text on one line that check accepts, and may write in another
// way. Its error completes "tls_cert …". What is empty is not checked.
func Text[S ~string](field *S, want string, check func(string) (string, error)) Value {
	return Value{
		Type: String,
		Want: want,
		Get:  func() string { return string(*field) },
		Set: func(text string) (err error) {
			if !utf8.ValidString(text) || strings.ContainsAny(text, "\n\r\x00") {
				return fmt.Errorf("must be %s, on one line, not %q", want, shorten(text))
			}
			if text != "" {
				if text, err = check(text); err != nil {
					return err
				}
			}
			*field = S(text)
			return nil
		},
	}
}

// never is the text of a moment that does not come.
const never = "never"

// moments are how a point in time may be written; the first is how it is
// written by us. Those without a zone are in this computer's.
var moments = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// Moment is a point in time, in seconds since 1970 (Unix time), or 0: never. In
// a file it may stand without quotes, as a date of TOML.
func Moment[N ~int64](field *N) Value {
	want := `"never" or a time such as "2026-12-31 18:00"`
	v := parsed(field, String, want, FormatMoment, func(text string) (N, bool) {
		if text == never {
			return 0, true
		}
		for _, layout := range moments {
			if t, err := time.ParseInLocation(layout, text, time.Local); err == nil && t.Unix() > 0 && t.Year() < 10000 {
				return N(t.Unix()), true
			}
		}
		return 0, false
	})
	v.Dated = true
	return v
}

// FormatMoment writes a point in time in this computer's zone.
func FormatMoment[N ~int64](n N) string {
	if n == 0 {
		return never
	}
	return time.Unix(int64(n), 0).Format(time.RFC3339)
}
