package platform

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// AutostartEntry is a program that is to start when this user logs in.
type AutostartEntry struct {
	ID      string // names the entry among those of all programs: letters, digits, "-", "_", "."
	Name    string // what people read
	Comment string
	Exe     string // full path
	Args    []string
	Icon    string // path, or name in the icon theme; empty for none
}

// AutostartState is what the system will do at the next login.
type AutostartState struct {
	On    bool
	Place string // the file or registry value that says so, or would
	Other string // the command that is started, if it is not that of the entry
}

// SetAutostart has the system start the entry's program at login, or no more. An
// entry of that ID is replaced, whoever made it.
func SetAutostart(on bool, entry AutostartEntry) error {
	if err := entry.check(); err != nil {
		return err
	}
	if !on {
		if err := removeAutostart(entry); err != nil {
			return fmt.Errorf("don't start at login: %w", err)
		}
		return nil
	}
	if err := addAutostart(entry); err != nil {
		return fmt.Errorf("start at login: %w", err)
	}
	return nil
}

// AutostartOf tells what the system will do at login.
func AutostartOf(entry AutostartEntry) (AutostartState, error) {
	if err := entry.check(); err != nil {
		return AutostartState{}, err
	}
	state, err := autostartOf(entry)
	if err != nil {
		return state, fmt.Errorf("look what starts at login: %w", err)
	}
	return state, nil
}

func (e AutostartEntry) check() error {
	odd := func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if e.ID == "" || e.ID[0] == '.' || strings.ContainsFunc(e.ID, odd) {
		return fmt.Errorf("start at login: %q can't name an entry", e.ID)
	}
	if !filepath.IsAbs(e.Exe) {
		return fmt.Errorf("start at login: %q is not the full path of a program", e.Exe)
	}
	for _, word := range e.command() {
		if !utf8.ValidString(word) || strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("start at login: %q has characters that such an entry can't hold: "+
				"move the program to a folder with a plainer name", word)
		}
	}
	return nil
}

// command is what is run. From within an AppImage that is the AppImage: the
// program itself is there only while it runs.
func (e AutostartEntry) command() []string {
	exe := e.Exe
	if image, dir := os.Getenv("APPIMAGE"), os.Getenv("APPDIR"); filepath.IsAbs(image) {
		// A terminal that is an AppImage hands its variables on to us.
		if dir == "" || strings.HasPrefix(exe, filepath.Clean(dir)+string(filepath.Separator)) {
			exe = image
		}
	}
	return append([]string{exe}, e.Args...)
}

// state is what is known of an entry that is there and starts argv. command is
// how it says so.
func (e AutostartEntry) state(place, command string, argv []string) AutostartState {
	s := AutostartState{On: true, Place: place}
	if !slices.Equal(argv, e.command()) {
		s.Other = command
	}
	return s
}

// writeEntry replaces the file at path: whatever happens, it is wholly the old
// one or wholly the new one.
func writeEntry(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return cantWrite(dir, err)
	}
	f, err := os.CreateTemp(dir, ".sharetray-*")
	if err != nil {
		return cantWrite(dir, err)
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		return SyncDir(dir)
	}
	return cantWrite(dir, errors.Join(err, os.Remove(f.Name())))
}

// removeEntry removes the file at path, if it is there.
func removeEntry(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return cantWrite(filepath.Dir(path), err)
	}
	return nil
}

func cantWrite(dir string, err error) error {
	return fmt.Errorf("the folder %s can't be written to: %w", dir, err)
}
