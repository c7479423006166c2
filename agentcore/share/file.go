package share

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share/schema"
)

// migrations[i] brings the text of a file of version i+1 to version i+2. It
// need not touch the key "version". It should change, but not add or remove
// lines, so that the lines which errors name are those of the user's file.
var migrations []migration

type migration func(data []byte) ([]byte, error)

// currentVersion is 1 + len(migrations), written out since migrations may use
// the table of keys, and it uses this.
const currentVersion = 1

// Decode reads the content of a share's file. The file's name is for errors,
// which are Problems of code Invalid that name it, the line and the key.
func Decode(file string, name Name, data []byte) (Share, error) {
	_, s, err := decode(file, name, data, migrations)
	return s, err
}

// decode returns the document in its current version too.
func decode(file string, name Name, data []byte, steps []migration) (*schema.Document, Share, error) {
	doc, err := schema.Parse(file, data)
	if err == nil {
		doc, err = migrate(file, doc, data, steps)
	}
	if err != nil {
		return nil, Share{}, err
	}
	var head Share
	if err := doc.Only(schema.Names(keysOf(""))); err != nil {
		return nil, Share{}, err
	}
	if err := schema.Read(doc, kindKey.Key, &head); err != nil {
		return nil, Share{}, err
	}
	if head.Kind == "" {
		return nil, Share{}, doc.Problem("kind", fmt.Errorf("is missing: add a line %s", kindsInWords()))
	}
	for _, k := range Keys {
		if !slices.Contains(k.Kinds, head.Kind) && doc.Has(k.Name) {
			return nil, Share{}, doc.Problem(k.Name, k.misplaced(head.Kind))
		}
	}
	s := Defaults(head.Kind)
	s.Name = name
	if err := schema.Apply(doc, keysOf(head.Kind), &s); err != nil {
		return nil, Share{}, err
	}
	if slices.Contains(targeted, s.Kind) && !doc.Has("target") {
		return nil, Share{}, doc.Problem("target", errors.New(`is missing: add a line target = "…"`))
	}
	if key, err := s.check(); err != nil {
		return nil, Share{}, doc.Problem(key, err)
	}
	return doc, s, nil
}

// migrate brings a file to the version that the last of steps makes. A file
// that does not say its version has that already.
func migrate(file string, doc *schema.Document, data []byte, steps []migration) (*schema.Document, error) {
	current := 1 + len(steps)
	version := current
	key := schema.Key[int]{Name: "version", Field: func(v *int) schema.Value { return schema.Int(v, 1, math.MaxInt32) }}
	if err := schema.Read(doc, key, &version); err != nil {
		return nil, err
	}
	if version > current {
		return nil, problem.New(problem.Invalid,
			"%s was written by a newer Sharetray (version %d of the format, this one knows %d): update Sharetray; the file was left as it is", file, version, current)
	}
	for ; version < current; version++ {
		next, err := steps[version-1](data)
		if err == nil {
			doc, err = schema.Parse(file, next)
		}
		if err != nil {
			return nil, fmt.Errorf("migrate %s from version %d: %w", file, version, err)
		}
		data = doc.Replace(nil, "version", strconv.Itoa(version+1))
		if doc, err = schema.Parse(file, data); err != nil {
			return nil, fmt.Errorf("migrate %s from version %d: %w", file, version, err)
		}
	}
	return doc, nil
}

// Encode writes a new file, made to be read and edited by people. Decode gives
// back the share, if it is valid.
func Encode(s Share) []byte {
	var b strings.Builder
	b.WriteString("# A share of Sharetray. Edit it freely: a saved change takes effect at once.\n")
	for _, k := range Keys {
		if v := k.Field(&s); slices.Contains(k.Kinds, s.Kind) && !(k.Rare && v.Get() == k.Default(s.Kind)) {
			fmt.Fprintf(&b, "\n# %s\n%s = %s\n", k.Doc, k.Name, v.Literal())
		}
	}
	return []byte(b.String())
}

// Edit changes values in the content of a share's file and leaves every other
// byte alone: comments, order and spacing are the user's. A key that the file
// lacks gets a line of its own. A file of an older version comes out in the
// current one. It returns the content and what it means. Errors are as those
// of Decode, for a file that is not valid, and of Set and Validate.
func Edit(file string, name Name, data []byte, changes map[string]string) ([]byte, Share, error) {
	return edit(file, name, data, changes, migrations)
}

func edit(file string, name Name, data []byte, changes map[string]string, steps []migration) ([]byte, Share, error) {
	doc, old, err := decode(file, name, data, steps)
	if err != nil {
		return nil, Share{}, err
	}
	s := old
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		if err := s.Set(key, changes[key]); err != nil {
			return nil, Share{}, err
		}
	}
	if err := s.Validate(); err != nil {
		return nil, Share{}, err
	}
	keys := keysOf(s.Kind)
	for _, k := range keys {
		literal := k.Field(&s).Literal()
		if _, asked := changes[k.Name]; !asked || doc.Has(k.Name) && literal == k.Field(&old).Literal() {
			continue
		}
		if doc, err = schema.Parse(file, doc.Replace(schema.Names(keys), k.Name, literal)); err != nil {
			return nil, Share{}, fmt.Errorf("change %s in %s: %w", k.Name, file, err)
		}
	}
	return doc.Data(), s, nil
}
