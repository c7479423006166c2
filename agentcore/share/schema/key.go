package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Key is one key that a file may have; T is the struct that the file fills.
// A name with a dot, "restart.min_ready", stands in a table.
type Key[T any] struct {
	Name  string
	Doc   string // one line: what it does
	Field func(*T) Value
}

// Apply sets in into, in the order of keys, what d gives a value. What d does
// not mention keeps the value it has. A key that is not in keys is an error.
func Apply[T any](d *Document, keys []Key[T], into *T) error {
	if err := d.Only(Names(keys)); err != nil {
		return err
	}
	for _, k := range keys {
		if err := Read(d, k, into); err != nil {
			return err
		}
	}
	return nil
}

// Read sets one key, if d gives it a value.
func Read[T any](d *Document, k Key[T], into *T) error {
	e, ok := d.find(k.Name)
	if !ok {
		return nil
	}
	v := k.Field(into)
	text, err := e.as(v, d)
	if err == nil {
		err = v.Set(text)
	}
	if err != nil {
		return d.Problem(k.Name, err)
	}
	return nil
}

// Unknown is the reason why a key is refused that is none of names; it
// completes a sentence that begins with the key.
func Unknown(key string, names []string) error {
	if near := nearest(key, names); near != "" {
		return fmt.Errorf("unknown key %q; did you mean %q?", key, near)
	}
	return fmt.Errorf("unknown key %q; the keys are %s", key, strings.Join(names, ", "))
}

// Names are the names of keys, in their order.
func Names[T any](keys []Key[T]) []string {
	all := make([]string, len(keys))
	for i, k := range keys {
		all[i] = k.Name
	}
	return all
}

// Only returns a Problem for the first key of d that is none of names.
func (d *Document) Only(names []string) error {
	for _, e := range d.entries {
		if err := d.known(e, names); err != nil {
			return err
		}
	}
	return nil
}

// known says what is wrong with e when it is neither a key nor a table of keys.
func (d *Document) known(e entry, names []string) error {
	for _, name := range names {
		switch inTable := strings.HasPrefix(name, e.key+"."); {
		case name == e.key && !e.header(), inTable && e.kind == unstable.Table:
			return nil
		case inTable:
			return invalid("%s:%d: %s is a table: write [%[3]s], and its keys on the lines below", d.file, e.line, e.key)
		case name == e.key:
			return invalid("%s:%d: %s is a single value, not a table: write %[3]s = …", d.file, e.line, e.key)
		}
	}
	return invalid("%s:%d: %w", d.file, e.line, Unknown(e.key, names))
}

// as is the text of e for v, which must be of e's type.
func (e entry) as(v Value, d *Document) (string, error) {
	switch {
	case v.Type == String && e.kind == unstable.String, v.Type == Boolean && e.kind == unstable.Bool:
		return e.text, nil
	case v.Bare && e.kind == unstable.Float:
		return e.text, nil
	case (v.Type == Integer || v.Bare) && e.kind == unstable.Integer:
		n, err := strconv.ParseInt(e.text, 0, 64)
		if err != nil {
			return "", fmt.Errorf("must be %s, not %s", v.Want, shorten(e.text))
		}
		return strconv.FormatInt(n, 10), nil
	case v.Type == Array && e.kind == unstable.Array:
		return string(d.data[e.value.start:e.value.end]), nil
	case v.Dated && dates[e.kind]:
		return e.text, nil
	case e.kind == unstable.Array:
		return "", fmt.Errorf("must be %s, not a list", v.Want)
	}
	hint := map[Type]string{String: "in quotes", Array: "in brackets"}[v.Type]
	if hint == "" {
		hint = "without quotes"
	}
	given := string(d.data[e.value.start:e.value.end])
	return "", fmt.Errorf("must be %s, %s, not %s", v.Want, hint, shorten(given))
}

var dates = map[unstable.Kind]bool{unstable.DateTime: true, unstable.LocalDateTime: true, unstable.LocalDate: true}

// nearest is the name that key was probably meant to be, or "".
func nearest(key string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		n := distance(key, name)
		if len(key) >= 3 && strings.HasPrefix(name, key) {
			n = min(n, 2)
		}
		if n < least && n < len(key) {
			best, least = name, n
		}
	}
	return best
}

// distance counts the letters to add, drop or change to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
