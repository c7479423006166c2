package share

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"sharetray/agentcore/problem"
)

func TestParseNameRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, sentence string }{
		{"", "is empty"},
		{"a\xffb", "UTF-8"},
		{strings.Repeat("a", 300), "has 300 characters: write at most 200"},
		{strings.Repeat("ü", 150), "takes 300 bytes: shorten it to at most 240"},
		{"a\nb", "control character"},
		{"a\x7fb", "control character"},
		{"a\u200bb", "invisible character"},
		{"a\u202eb", "invisible character"},
		{"a\u3164b", "invisible character"},
		{"..", "means a folder"},
		{".", "means a folder"},
		{"a/b", "contains '/'"},
		{`a\b`, `contains '\\'`},
		{"../a", "contains '/'"},
		{"c:", "contains ':'"},
		{"a*", "contains '*'"},
		{"a?", "contains '?'"},
		{`a"b`, `contains '"'`},
		{"a<", "contains '<'"},
		{"a>", "contains '>'"},
		{"a|b", "contains '|'"},
		{".env", "begins with '.'"},
		{"-rf", "begins with '-'"},
		{" a", "begins with a space"},
		{"a ", "ends with a space"},
		{"a\u00a0", "ends with a space"},
		{"a.", "ends with a dot"},
		{"CON", "device on Windows"},
		{"nul.txt", "device on Windows"},
		{"com1", "device on Windows"},
		{"LPT³.tar.gz", "device on Windows"},
		{"aux .x", "device on Windows"},
	} {
		n, err := ParseName(c.text)
		if problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), c.sentence) {
			t.Errorf("ParseName(%q) = %v, want a Problem that says %q", c.text, err, c.sentence)
		}
		if n != (Name{}) {
			t.Errorf("ParseName(%q) gave the name %q beside its error", c.text, n)
		}
	}
}

func TestParseNameAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"photos", "My Photos (2024)", "R&D $_x", "写真", "é", "a.b", "a-b", "COM", "COM10", "console", "x.toml", "👍",
		strings.Repeat("a", 200), strings.Repeat("ü", 120),
	} {
		n, err := ParseName(text)
		if err != nil || n.String() != text {
			t.Errorf("ParseName(%q) = %q, %v", text, n, err)
		}
	}
}

func TestNameAsText(t *testing.T) {
	t.Parallel()
	var n Name
	if err := json.Unmarshal([]byte(`"My Photos"`), &n); err != nil || n.String() != "My Photos" {
		t.Fatalf("got %q, %v", n, err)
	}
	if err := json.Unmarshal([]byte(`"../x"`), &n); err == nil || n.String() != "My Photos" {
		t.Fatalf("a bad name was taken: %q, %v", n, err)
	}
	if out, err := json.Marshal(n); err != nil || string(out) != `"My Photos"` {
		t.Fatalf("got %s, %v", out, err)
	}
}

func TestSameName(t *testing.T) {
	t.Parallel()
	if !SameName(name(t, "Größe"), name(t, "GRÖßE")) || SameName(name(t, "a"), name(t, "b")) {
		t.Error("SameName must compare without case, and only that")
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind         Kind
		target, want string
		taken        []string
	}{
		{Web, filepath.FromSlash("/home/ann/My Photos"), "My Photos", nil},
		{Web, filepath.FromSlash("/home/ann/photos/"), "photos-3", []string{"photos", "photos-2"}},
		{Web, filepath.FromSlash("/"), "share", nil},
		{Web, filepath.FromSlash("/srv/.config"), "config", nil},
		{Web, filepath.FromSlash("/srv/con"), "share-con", nil},
		{Web, filepath.FromSlash("/srv/a:b?"), "a-b", nil},
		{Proxy, "3000", "app-3000", nil},
		{Proxy, "http://localhost", "app-80", nil},
		{Proxy, "https://[::1]", "app-443", nil},
		{Proxy, "https://example.com:8443", "example.com", nil},
		{Proxy, "nonsense://", "app", nil},
	} {
		taken := func(s string) bool { return strings.Contains("|"+strings.Join(c.taken, "|")+"|", "|"+s+"|") }
		if got := Suggest(c.kind, c.target, taken); got.String() != c.want {
			t.Errorf("Suggest(%s, %q) = %q, want %q", c.kind, c.target, got, c.want)
		}
	}
}

func TestSuggestIsAlwaysValid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom(Kinds).Draw(t, "kind")
		target := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.Rune(), 150, 400, -1),
			rapid.SampledFrom([]string{"CON", "nul.x", "a ..", " .-", "\xff\xfe", "COM1 "})).Draw(t, "target")
		left := rapid.IntRange(0, 12).Draw(t, "taken")
		n := Suggest(kind, target, func(string) bool { left--; return left >= 0 })
		if _, err := ParseName(n.String()); err != nil {
			t.Fatalf("Suggest(%s, %q): %v", kind, target, err)
		}
	})
}

// name is the Name of text, which must be valid.
func name(t interface {
	Helper()
	Fatal(...any)
}, text string) Name {
	t.Helper()
	n, err := ParseName(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// names generates valid names, odd ones among them.
func names() *rapid.Generator[Name] {
	return rapid.Custom(func(t *rapid.T) Name {
		text := rapid.StringOfN(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("ab $&_()."))), 1, 30, -1).
			Filter(func(s string) bool { return utf8.ValidString(s) && nameFault(s) == "" }).Draw(t, "name")
		return name(t, text)
	})
}
