package share

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sharetray/agentcore/problem"
)

// Name is the name of a share: one that can be a file's name on every system.
// A Name that exists is valid; the zero Name stands for none.
type Name struct{ text string }

const (
	maxNameChars = 200
	maxNameBytes = 240 // file systems end at 255, and ".toml" is to fit
)

// ParseName returns text as a Name, or a Problem that says what stands against it.
func ParseName(text string) (Name, error) {
	if fault := nameFault(text); fault != "" {
		return Name{}, problem.New(problem.Invalid, "the name %s %s", quoteName(text), fault)
	}
	return Name{text}, nil
}

func (n Name) String() string               { return n.text }
func (n Name) MarshalText() ([]byte, error) { return []byte(n.text), nil }

// UnmarshalText is ParseName.
func (n *Name) UnmarshalText(text []byte) error {
	parsed, err := ParseName(string(text))
	if err == nil {
		*n = parsed
	}
	return err
}

// SameName reports whether two names would be one file where case does not
// count, as on Windows and macOS. It does not see that two ways to write an
// accent look the same.
func SameName(a, b Name) bool { return strings.EqualFold(a.text, b.text) }

// nameFault completes "the name … ", or is "" for a name that is fine.
func nameFault(text string) string {
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	switch {
	case text == "":
		return "is empty: write at least one character"
	case !utf8.ValidString(text):
		return "is not valid UTF-8: write it anew"
	case utf8.RuneCountInString(text) > maxNameChars:
		return fmt.Sprintf("has %d characters: write at most %d", utf8.RuneCountInString(text), maxNameChars)
	case len(text) > maxNameBytes:
		return fmt.Sprintf("takes %d bytes: shorten it to at most %d", len(text), maxNameBytes)
	case strings.ContainsFunc(text, unicode.IsControl):
		return "contains a control character: write it without"
	case strings.ContainsFunc(text, invisible):
		return "contains an invisible character: write it without"
	case text == "." || text == "..":
		return "means a folder: choose another"
	case strings.ContainsAny(text, forbidden):
		return fmt.Sprintf("contains %q: write it without any of %s", text[strings.IndexAny(text, forbidden)], forbidden)
	case first == '.' || first == '-':
		return fmt.Sprintf("begins with %q: begin it with a letter or digit", first)
	case unicode.IsSpace(first):
		return "begins with a space: begin it with a letter or digit"
	case last == '.':
		return "ends with a dot: leave that out"
	case unicode.IsSpace(last):
		return "ends with a space: leave that out"
	case IsDeviceName(text):
		return "is the name of a device on Windows: choose another"
	}
	return ""
}

const forbidden = `/\:*?"<>|`

// invisible reports whether r leaves no mark, and so lets two names look alike.
func invisible(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// IsDeviceName reports whether Windows takes a file of this name, with whatever
// extension, for a device.
func IsDeviceName(text string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(text), ".")
	switch stem = strings.TrimRight(stem, " "); stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, isCOM := strings.CutPrefix(stem, "COM")
	if !isCOM {
		port, _ = strings.CutPrefix(stem, "LPT")
	}
	return port != stem && utf8.RuneCountInString(port) == 1 && strings.ContainsAny(port, "0123456789¹²³")
}

// quoteName quotes text for a sentence, cut when it is long.
func quoteName(text string) string {
	if r := []rune(text); len(r) > 60 {
		text = string(r[:60]) + "…"
	}
	return strconv.Quote(text)
}

// Suggest makes a name from a target: the folder's own, "app-3000" for an app
// on this computer, else the app's host, a command's program. A name that taken
// knows gets a number: "photos-2". The target need not be valid.
func Suggest(kind Kind, target string, taken func(string) bool) Name {
	base := clean(rawName(kind, target))
	if nameFault(base) != "" {
		base = strings.TrimRight("share-"+base, "-")
	}
	name := base
	for i := 2; taken(name); i++ {
		name = base + "-" + strconv.Itoa(i)
	}
	return Name{name}
}

func rawName(kind Kind, target string) string {
	normal, err := normalize(kind, target)
	switch kind {
	case Proxy, TCP, UDP:
		word := map[Kind]string{Proxy: "app", TCP: "port", UDP: "port"}[kind]
		if path, ok := strings.CutPrefix(normal, unixTarget); ok {
			return filepath.Base(path)
		}
		host, port := endpoint(kind, normal)
		switch {
		case err != nil:
			return word
		case thisComputer(host):
			return word + "-" + strconv.Itoa(int(port))
		}
		return host
	case SOCKS:
		return "socks"
	case Caddy:
		if base := filepath.Base(target); !strings.EqualFold(base, "Caddyfile") {
			return strings.TrimSuffix(base, filepath.Ext(base))
		}
		return filepath.Base(filepath.Dir(target))
	case Command:
		if args, err := SplitCommand(target); err == nil {
			base := filepath.Base(args[0])
			return strings.TrimSuffix(base, filepath.Ext(base))
		}
	}
	return filepath.Base(target)
}

// clean replaces or drops what no name may hold, and leaves room for a number.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(forbidden, r), unicode.IsSpace(r) && r != ' ':
			return '-'
		case unicode.IsControl(r), invisible(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	const room = 20
	if r := []rune(text); len(r) > maxNameChars-room {
		text = string(r[:maxNameChars-room])
	}
	for len(text) > maxNameBytes-room {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	edge := func(r rune) bool { return r == '.' || r == '-' || unicode.IsSpace(r) }
	return strings.TrimFunc(text, edge)
}
