// Package schema reads TOML files strictly: a table of keys says what a file
// may hold, and everything else in it is an error that names file, line and
// key. The same table lets single values be set from text, written back and
// documented, and a Document lets one value be changed while every other byte
// of the user's file stays as it is.
//
// It must not know what the keys mean, nor where files lie or how they are read.
package schema

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"sharetray/agentcore/problem"
)

// MaxBytes is the size above which a file is refused. A file made by hand for
// people to read is a hundredth of it.
const MaxBytes = 64 << 10

// Document is a well-formed TOML file: each key once, each with its place.
type Document struct {
	file    string
	data    []byte
	entries []entry
}

// entry is one `key = value`, or the header of a table.
type entry struct {
	key   string        // with its tables: "restart.min_ready"
	kind  unstable.Kind // of the value; Table or ArrayTable for a header
	text  string        // the value without its quotes, or the number in decimal
	line  int           // of the key, from 1
	value span          // of the value; empty for tables
}

type span struct{ start, end int }

func (e entry) header() bool { return e.kind == unstable.Table || e.kind == unstable.ArrayTable }

var byteOrderMark = []byte("\xef\xbb\xbf")

// Parse reads data, the content of the file called file, which is named in
// errors. Its errors are Problems of code Invalid.
func Parse(file string, data []byte) (*Document, error) {
	d := &Document{file: file, data: data}
	body := bytes.TrimPrefix(data, byteOrderMark)
	switch {
	case len(data) > MaxBytes:
		return nil, TooLarge(file)
	case len(bytes.TrimSpace(body)) == 0:
		return nil, invalid("%s is empty: write its keys again, or remove the file", file)
	}
	if i := firstBinary(body); i >= 0 {
		return nil, invalid("%s:%d: this is not text in UTF-8: save the file as UTF-8 text, or remove it", file, lineOf(body, i))
	}
	if err := d.read(body); err != nil {
		return nil, err
	}
	return d, nil
}

// TooLarge is the Problem of a file above MaxBytes, for callers that stop
// reading there.
func TooLarge(file string) error {
	return problem.New(problem.Invalid, "%s is larger than %d KiB, so it can't be what Sharetray wrote: remove what does not belong in it", file, MaxBytes>>10)
}

// Data is the file's content. It must not be changed.
func (d *Document) Data() []byte { return d.data }

// Has reports whether the file gives the key a value.
func (d *Document) Has(key string) bool {
	_, ok := d.find(key)
	return ok
}

// Problem is the Problem that a value causes: "photos.toml:4: port must be …".
// The reason completes a sentence that begins with the key. The line is left
// out when the file does not have the key.
func (d *Document) Problem(key string, reason error) error {
	place := d.file
	if e, ok := d.find(key); ok {
		place = fmt.Sprintf("%s:%d", d.file, e.line)
	}
	return invalid("%s: %s %w", place, key, reason)
}

// Replace returns the file with the value of a key changed to literal, a TOML
// value; every other byte stays. A key that the file lacks gets a line of its own:
// below the header of its table, if there is one, else after the nearest key outside
// of all tables that precedes it in order.
func (d *Document) Replace(order []string, key, literal string) []byte {
	if e, ok := d.find(key); ok {
		return splice(d.data, e.value, literal)
	}
	anchor, name := -1, key
	inTable := func(key string) bool {
		table, _, dotted := strings.Cut(key, ".")
		return dotted && d.tableAt(table) >= 0
	}
	if table, own, _ := strings.Cut(key, "."); inTable(key) {
		anchor, name = d.tableAt(table), own
		order = nil
	}
	for _, k := range order {
		if k == key {
			break
		}
		if e, ok := d.find(k); ok && !inTable(k) {
			anchor = e.value.end
		}
	}
	eol := "\n"
	if bytes.Contains(d.data, []byte("\r\n")) {
		eol = "\r\n"
	}
	line := name + " = " + literal
	if anchor < 0 {
		top := len(d.data) - len(bytes.TrimPrefix(d.data, byteOrderMark))
		return splice(d.data, span{top, top}, line+eol)
	}
	i := bytes.IndexByte(d.data[anchor:], '\n')
	if i < 0 {
		return splice(d.data, span{len(d.data), len(d.data)}, eol+line)
	}
	next := anchor + i + 1
	return splice(d.data, span{next, next}, line+eol)
}

// tableAt is the offset of the line with the header of a table, or -1.
func (d *Document) tableAt(name string) int {
	for _, e := range d.entries {
		if e.key != name || e.kind != unstable.Table || e.value.end != 0 {
			continue
		}
		at := 0
		for range e.line - 1 {
			at += bytes.IndexByte(d.data[at:], '\n') + 1
		}
		if bytes.HasPrefix(bytes.TrimLeft(bytes.TrimPrefix(d.data[at:], byteOrderMark), " \t"), []byte("[")) {
			return at
		}
	}
	return -1
}

func splice(data []byte, s span, text string) []byte {
	out := make([]byte, 0, len(data)+len(text))
	out = append(out, data[:s.start]...)
	out = append(out, text...)
	return append(out, data[s.end:]...)
}

// read fills the entries from body, which is d.data without a byte order mark.
func (d *Document) read(body []byte) error {
	var p unstable.Parser
	p.Reset(body)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		prefix := table
		if e.Kind != unstable.KeyValue {
			prefix = ""
		}
		name, err := d.add(&p, e, prefix)
		if err != nil {
			return err
		}
		if e.Kind != unstable.KeyValue {
			table = name + "."
		}
	}
	if err := p.Error(); err != nil {
		return d.syntax(body, err, errorOffset(&p))
	}
	// What is left is what TOML forbids beyond its grammar: a date that does
	// not exist, a table that is also a value.
	var tree map[string]any
	if err := toml.Unmarshal(body, &tree); err != nil {
		var at *toml.DecodeError
		line := 1
		if errors.As(err, &at) {
			line, _ = at.Position()
		}
		return d.notTOML(body, line, err)
	}
	return nil
}

// add appends the entry of a node (a key with its value, or a header), and
// those inside an inline table. It returns the node's whole key.
func (d *Document) add(p *unstable.Parser, n *unstable.Node, prefix string) (string, error) {
	shift := len(d.data) - len(p.Data())
	var parts []string
	e := entry{kind: n.Kind}
	keyEnd := 0
	for it := n.Key(); it.Next(); {
		if k := it.Node(); k.Kind == unstable.Key {
			if parts == nil {
				e.line = p.Shape(k.Raw).Start.Line
			}
			keyEnd = shift + int(k.Raw.Offset+k.Raw.Length)
			parts = append(parts, string(k.Data))
		}
	}
	e.key = prefix + strings.Join(parts, ".")
	var inner []*unstable.Node
	if n.Kind == unstable.KeyValue {
		v := n.Value()
		e.kind, e.text = v.Kind, string(v.Data)
		if v.Kind == unstable.InlineTable {
			e.kind = unstable.Table
			for it := v.Children(); it.Next(); {
				if it.Node().Kind == unstable.KeyValue {
					inner = append(inner, it.Node())
				}
			}
		} else if v.Kind == unstable.Array {
			e.value = arrayAt(d.data, keyEnd)
		} else if v.Raw.Length > 0 {
			start := shift + int(v.Raw.Offset)
			e.value = span{start, start + int(v.Raw.Length)}
		}
	}
	for _, earlier := range d.entries {
		if earlier.key == e.key {
			return "", invalid("%s:%d: %s is given twice, first on line %d: remove one of the two", d.file, e.line, e.key, earlier.line)
		}
	}
	d.entries = append(d.entries, e)
	for _, child := range inner {
		if _, err := d.add(p, child, e.key+"."); err != nil {
			return "", err
		}
	}
	return e.key, nil
}

func (d *Document) find(key string) (entry, bool) {
	for _, e := range d.entries {
		if e.key == key && !e.header() {
			return e, true
		}
	}
	return entry{}, false
}

// syntax makes the sentence for text that is not TOML, found at offset.
func (d *Document) syntax(body []byte, err error, offset int) error {
	// An error that moves on when the file goes on was caused by its end.
	var longer unstable.Parser
	longer.Reset(append(bytes.Clone(body), '\n'))
	for longer.NextExpression() {
	}
	if longer.Error() == nil || errorOffset(&longer) >= len(body) {
		return because(err, "%s:%d: the file ends in the middle of a value, as if it had been cut off: complete it, or remove the file",
			d.file, lineOf(body, len(body)))
	}
	return d.notTOML(body, lineOf(body, offset), err)
}

var keyOfLine = regexp.MustCompile(`^\s*([\w.-]+)\s*=`)

func (d *Document) notTOML(body []byte, line int, err error) error {
	what := "this line"
	if lines := bytes.Split(body, []byte("\n")); line <= len(lines) {
		if m := keyOfLine.FindSubmatch(lines[line-1]); m != nil {
			what = string(m[1])
		}
	}
	return because(err, "%s:%d: %s is not valid TOML (%s): write key = value, with text in double quotes",
		d.file, line, what, strings.TrimPrefix(err.Error(), "toml: "))
}

func invalid(format string, args ...any) error {
	return problem.New(problem.Invalid, format, args...)
}

// because is invalid with a cause for the log.
func because(err error, format string, args ...any) error {
	p := problem.New(problem.Invalid, format, args...)
	p.Err = err
	return p
}

// errorOffset is where p found its error, in bytes from the start of its data.
func errorOffset(p *unstable.Parser) int {
	var at *unstable.ParserError
	if !errors.As(p.Error(), &at) || len(at.Highlight) == 0 {
		return len(p.Data())
	}
	return int(p.Range(at.Highlight).Offset)
}

// firstBinary is the offset of the first byte that no text has, or -1.
func firstBinary(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == 0 || r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func lineOf(data []byte, offset int) int {
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}
