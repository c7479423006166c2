// Package words has all texts that people read in the tray, in notifications and
// on the dashboard, in each language: one file a language, en.toml the first.
//
// It must not know when a text is shown, nor how.
package words

import (
	"cmp"
	"embed"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/text/language"
)

//go:embed *.toml
var files embed.FS

// Language is one language's texts.
type Language struct {
	Tag       string // as in HTML's lang: "en", "zh-CN"
	Name      string // in itself: "English"
	texts     map[string]string
	sentences []sentence
}

// sentence is how one that the agent says in English is said in the language.
type sentence struct {
	form   *regexp.Regexp
	text   string // with {1}, {2} … for what the form has found
	weight int    // the heaviest is tried first
}

// English is what everything is written in at first. A text that another language
// lacks is taken from it.
func English() *Language { return all()[0] }

// Tags are those of all languages.
func Tags() (tags []string) {
	for _, l := range all() {
		tags = append(tags, l.Tag)
	}
	return tags
}

// Languages lists every language, English first.
func Languages() []*Language { return all() }

var all = sync.OnceValue(func() []*Language {
	names, err := files.ReadDir(".")
	if err != nil {
		panic(err) // it is part of the program
	}
	var list []*Language
	for _, n := range names {
		data, err := files.ReadFile(n.Name())
		if err != nil {
			panic(err)
		}
		l, err := parse(strings.TrimSuffix(n.Name(), path.Ext(n.Name())), data)
		if err != nil {
			panic(err)
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *Language) int {
		return cmp.Or(cmp.Compare(b2i(a.Tag != "en"), b2i(b.Tag != "en")), cmp.Compare(a.Tag, b.Tag))
	})
	return list
})

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// parse reads a language's file: its name, tables of texts, and a table of
// sentences of the agent.
func parse(tag string, data []byte) (*Language, error) {
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read the texts of %s: %w", tag, err)
	}
	l := &Language{Tag: tag, texts: map[string]string{}}
	for table, v := range doc {
		switch v := v.(type) {
		case string:
			if table == "name" {
				l.Name = v
				continue
			}
			return nil, fmt.Errorf("texts of %s: %s stands in no table", tag, table)
		case map[string]any:
			for key, text := range v {
				s, ok := text.(string)
				if !ok {
					return nil, fmt.Errorf("texts of %s: %s.%s is no text", tag, table, key)
				}
				if table != "sentences" {
					l.texts[table+"."+key] = s
					continue
				}
				l.sentences = append(l.sentences, sentence{formOf(key), s, weight(key)})
			}
		default:
			return nil, fmt.Errorf("texts of %s: %s is no table of texts", tag, table)
		}
	}
	slices.SortFunc(l.sentences, func(a, b sentence) int {
		return cmp.Or(b.weight-a.weight, cmp.Compare(a.form.String(), b.form.String()))
	})
	return l, nil
}

var hole = regexp.MustCompile(`\\\{(\d)\\\}`)

// formOf makes "port {1} is taken by {2}" what finds such a sentence.
func formOf(form string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)^` + hole.ReplaceAllString(regexp.QuoteMeta(form), `(?P<h$1>.+?)`) + `$`)
}

// weight is the greater, the more particular a form is: the more it says itself. One
// that adds something to any other sentence is heavier still.
func weight(form string) int {
	w := len(place.ReplaceAllString(form, ""))
	if strings.HasPrefix(form, "{1}; ") {
		w += 1000
	}
	return w
}

// Say is the text of key, such as "tray.quit". Each {1}, {2} … in it is replaced by
// one of args. A key that no language has comes back as it is.
func (l *Language) Say(key string, args ...any) string {
	text, ok := l.texts[key]
	if !ok {
		if text, ok = English().texts[key]; !ok {
			return key
		}
	}
	return fill(text, func(i int) (string, bool) {
		if i > len(args) {
			return "", false
		}
		return fmt.Sprint(args[i-1]), true
	})
}

// Count is the text of key for a number of things: KEY_one if it is one and the
// language has such a text, else KEY_many. {1} is the number, {2} … are args.
func (l *Language) Count(key string, n int, args ...any) string {
	args = append([]any{n}, args...)
	if n == 1 && l.has(key+"_one") {
		return l.Say(key+"_one", args...)
	}
	return l.Say(key+"_many", args...)
}

// Has reports whether the language itself or English has the text.
func (l *Language) Has(key string) bool { return l.has(key) || English().has(key) }

func (l *Language) has(key string) bool {
	_, ok := l.texts[key]
	return ok
}

// Sentence says in this language what the agent has said in English: why a share
// is down, what is wrong with an input. What it does not know stays English.
func (l *Language) Sentence(english string) string {
	for _, s := range l.sentences {
		found := s.form.FindStringSubmatch(english)
		if found == nil {
			continue
		}
		return fill(s.text, func(i int) (string, bool) {
			at := s.form.SubexpIndex(fmt.Sprint("h", i))
			if at < 0 {
				return "", false
			}
			return l.Sentence(found[at]), true // what it quotes may be one, too
		})
	}
	return english
}

var place = regexp.MustCompile(`\{(\d)\}`)

func fill(text string, with func(i int) (string, bool)) string {
	if !strings.Contains(text, "{") {
		return text
	}
	return place.ReplaceAllStringFunc(text, func(p string) string {
		if s, ok := with(int(p[1] - '0')); ok {
			return s
		}
		return p
	})
}

// Preferred is the language that suits best whoever sends this Accept-Language
// header, or has chosen this tag.
func Preferred(accept string) *Language {
	tags, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(tags) == 0 {
		return English()
	}
	var have []language.Tag
	for _, l := range all() {
		have = append(have, language.Make(l.Tag))
	}
	_, at, sure := language.NewMatcher(have).Match(tags...)
	if sure == language.No {
		return English()
	}
	return all()[at]
}

// OfSystem is the language of this process's environment, as POSIX has it.
func OfSystem() *Language {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		v, _, _ := strings.Cut(os.Getenv(name), ".")
		if v, _, _ = strings.Cut(v, "@"); v != "" {
			return Preferred(strings.ReplaceAll(v, "_", "-"))
		}
	}
	return English()
}
