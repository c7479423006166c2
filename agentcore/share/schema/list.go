package schema

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Array is the Type of a List.
const Array Type = "array"

// maxList bounds how many values a list may have.
const maxList = 1000

// List is a list of texts without line breaks as one value, so that a struct
// which has it can be compared with ==. The zero List is empty.
type List string

// ListOf makes a List.
func ListOf(values ...string) List { return List(strings.Join(values, "\n")) }

// Values are the texts in l, in their order.
func (l List) Values() []string {
	if l == "" {
		return nil
	}
	return strings.Split(string(l), "\n")
}

// Texts is a list of texts, each of which check accepts, and may write in
// another way. Its error completes "must be …, but "x" …". In a file it is an
// array; as text it is "a,b", or an array too where a text has a comma in it.
func Texts(field *List, want string, check func(string) (string, error)) Value {
	return Value{
		Type: Array,
		Want: want,
		Get: func() string {
			for _, v := range field.Values() {
				if v != strings.TrimSpace(v) || strings.ContainsAny(v, `,"'`) || strings.HasPrefix(v, "[") {
					return array(*field)
				}
			}
			return strings.Join(field.Values(), ",")
		},
		Set: func(text string) error {
			values, err := parseList(text)
			if err != nil {
				return fmt.Errorf("must be %s, not %q", want, shorten(text))
			}
			if len(values) > maxList {
				return fmt.Errorf("has %d values: write at most %d", len(values), maxList)
			}
			for i, v := range values {
				if v == "" || strings.ContainsAny(v, "\n\r\x00") {
					return fmt.Errorf("must be %s, but %q is empty or has a line break in it", want, shorten(v))
				}
				if values[i], err = check(v); err != nil {
					return fmt.Errorf("must be %s, but %q %w", want, shorten(v), err)
				}
			}
			*field = ListOf(values...)
			return nil
		},
		literal: func() string { return array(*field) },
	}
}

// array is l as TOML has it.
func array(l List) string {
	quoted := l.Values()
	for i, v := range quoted {
		quoted[i] = quote(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func parseList(text string) (values []string, err error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") {
		var tree struct{ List []string }
		err = toml.Unmarshal([]byte("List = "+text), &tree)
		return tree.List, err
	}
	if text == "" {
		return nil, nil
	}
	values = strings.Split(text, ",")
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	return values, nil
}

// arrayAt finds the array that follows the equals sign after from.
func arrayAt(data []byte, from int) span {
	depth, start := 0, -1
	for i := from + max(bytes.IndexByte(data[from:], '='), 0); i < len(data); i++ {
		switch data[i] {
		case '[':
			if depth++; start < 0 {
				start = i
			}
		case ']':
			if depth--; depth == 0 {
				return span{start, i + 1}
			}
		case '#':
			for i < len(data) && data[i] != '\n' {
				i++
			}
		case '"', '\'':
			i = endOfString(data, i)
		}
	}
	return span{}
}

// endOfString is the offset of the last quote of the string that begins at i.
func endOfString(data []byte, i int) int {
	quote := data[i : i+1]
	if triple := bytes.Repeat(quote, 3); bytes.HasPrefix(data[i:], triple) {
		quote = triple
	}
	for j := i + len(quote); j < len(data); j++ {
		switch {
		case data[j] == '\\' && data[i] == '"':
			j++
		case bytes.HasPrefix(data[j:], quote):
			return j + len(quote) - 1
		}
	}
	return len(data)
}
