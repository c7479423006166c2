//go:build unix && !darwin

package platform

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/adrg/xdg"
)

func addAutostart(entry AutostartEntry) error {
	return writeEntry(autostartFile(xdg.ConfigHome, entry.ID), []byte(desktopEntry(entry)))
}

// removeAutostart removes the user's entry. One of the whole computer, which
// would then be in force, is hidden by an entry that says nothing else.
func removeAutostart(entry AutostartEntry) error {
	path := autostartFile(xdg.ConfigHome, entry.ID)
	if err := removeEntry(path); err != nil {
		return err
	}
	if state, err := autostartOf(entry); err != nil || !state.On {
		return err
	}
	return writeEntry(path, []byte("[Desktop Entry]\nType=Application\nName="+entryText(entry.Name)+"\nHidden=true\n"))
}

// autostartOf looks at the user's entry, and if there is none at those of the
// whole computer: the first one that is there counts, as the specification has it.
func autostartOf(entry AutostartEntry) (AutostartState, error) {
	for _, dir := range append([]string{xdg.ConfigHome}, xdg.ConfigDirs...) {
		path := autostartFile(dir, entry.ID)
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return AutostartState{Place: path}, err
		}
		fields := desktopFields(string(text))
		if !startsAtLogin(fields) {
			return AutostartState{Place: path}, nil
		}
		command := entryString(fields["Exec"])
		argv, _ := splitExec(command) // one that can't be read is another one
		return entry.state(path, command, argv), nil
	}
	return AutostartState{Place: autostartFile(xdg.ConfigHome, entry.ID)}, nil
}

func autostartFile(dir, id string) string { return filepath.Join(dir, "autostart", id+".desktop") }

// desktopEntry is the entry's file, by the Desktop Entry Specification 1.1: that
// much every desktop and every validator knows.
func desktopEntry(entry AutostartEntry) string {
	var b strings.Builder
	b.WriteString("[Desktop Entry]\nType=Application\n")
	line := func(key, value string) {
		if value != "" {
			b.WriteString(key + "=" + value + "\n")
		}
	}
	name := entry.Name
	if name == "" {
		name = entry.ID
	}
	line("Name", entryText(name))
	line("Comment", entryText(entry.Comment))
	line("Icon", entryText(entry.Icon))
	line("Exec", quoteExec(entry.command()))
	line("Terminal", "false")
	line("StartupNotify", "false")
	line("X-GNOME-Autostart-enabled", "true")
	return b.String()
}

// entryText is one line of text as a value of type string.
func entryText(s string) string {
	s = strings.ReplaceAll(printable(s, false), `\`, `\\`)
	if strings.HasPrefix(s, " ") {
		s = `\s` + s[1:]
	}
	return s
}

// entryString is the opposite of entryText, for values of others too.
func entryString(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\s`, " ", `\n`, "\n", `\t`, "\t", `\r`, "\r").Replace(s)
}

// quoteExec makes the value of the key Exec: a word in double quotes has a
// backslash before each of four characters, % is doubled, and then all that is
// a value of type string, where a backslash is doubled again.
func quoteExec(argv []string) string {
	// No program there may have = in its name, and GLib looks for one with %% in it
	// under that very name.
	if strings.ContainsAny(argv[0], "=%") {
		argv = append([]string{"/bin/sh", "-c", execProgram}, argv...)
	}
	var words []string
	for _, word := range argv {
		word = strings.ReplaceAll(word, "%", "%%")
		if word == "" || strings.ContainsAny(word, " \t\n\"'\\><~|&;$*?#()`=") {
			word = `"` + execEscaper.Replace(word) + `"`
		}
		words = append(words, word)
	}
	return strings.ReplaceAll(strings.Join(words, " "), `\`, `\\`)
}

var execEscaper = strings.NewReplacer(`"`, `\"`, "`", "\\`", "$", `\$`, `\`, `\\`)

// execProgram has the shell become the program that follows it.
const execProgram = `exec "$0" "$@"`

// splitExec is the opposite of quoteExec once it is a plain string. Field codes,
// which stand for files, stand for nothing at login.
func splitExec(command string) (argv []string, ok bool) {
	var word strings.Builder
	begun, quoted, dropped := false, false, false
	end := func() {
		if begun && (word.Len() > 0 || !dropped) {
			argv = append(argv, word.String())
		}
		word.Reset()
		begun, dropped = false, false
	}
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == '"':
			quoted, begun = !quoted, true
		case quoted && c == '\\' && i+1 < len(command) && strings.IndexByte("\"`$\\", command[i+1]) >= 0:
			i++
			word.WriteByte(command[i])
		case c == '%' && i+1 < len(command):
			i++
			begun = true
			if command[i] == '%' {
				word.WriteByte('%')
			} else {
				dropped = true
			}
		case !quoted && (c == ' ' || c == '\t'):
			end()
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	end()
	if len(argv) > 3 && slices.Equal(argv[:3], []string{"/bin/sh", "-c", execProgram}) {
		argv = argv[3:]
	}
	return argv, !quoted && len(argv) > 0
}

// desktopFields reads the keys of the group [Desktop Entry], untranslated.
func desktopFields(text string) map[string]string {
	fields := map[string]string{}
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "[") {
			in = strings.TrimSpace(line) == "[Desktop Entry]"
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimRight(key, " \t"); in && ok && !strings.HasPrefix(key, "#") {
			fields[key] = strings.TrimLeft(value, " \t")
		}
	}
	return fields
}

// startsAtLogin reports whether a desktop starts an entry: not if the user has
// switched it off by any of the ways that desktops have for it.
func startsAtLogin(fields map[string]string) bool {
	if fields["Type"] != "Application" || fields["Exec"] == "" ||
		fields["Hidden"] == "true" || fields["X-GNOME-Autostart-enabled"] == "false" {
		return false
	}
	if try := entryString(fields["TryExec"]); try != "" {
		if _, err := exec.LookPath(try); err != nil {
			return false
		}
	}
	desktops := strings.Split(os.Getenv("XDG_CURRENT_DESKTOP"), ":")
	isHere := func(name string) bool { return name != "" && slices.Contains(desktops, name) }
	if only, ok := fields["OnlyShowIn"]; ok && !slices.ContainsFunc(strings.Split(only, ";"), isHere) {
		return false
	}
	return !slices.ContainsFunc(strings.Split(fields["NotShowIn"], ";"), isHere)
}
