package platform

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

const (
	runKey = `Software\Microsoft\Windows\CurrentVersion\Run`
	// approvedKey is where the Task Manager keeps what the user has switched off.
	approvedKey = `Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run`
	maxRun      = 260 // characters of a command, as Windows documents it
)

func addAutostart(entry AutostartEntry) error {
	command := windows.ComposeCommandLine(entry.command())
	if len(utf16.Encode([]rune(command))) > maxRun {
		return fmt.Errorf("the command is longer than the %d characters that Windows starts at login: "+
			"move the program to a folder with a shorter path", maxRun)
	}
	key, _, err := registry.CreateKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return cantChange(runKey, err)
	}
	err = errors.Join(key.SetStringValue(entry.ID, command), key.Close())
	if err != nil {
		return cantChange(runKey, err)
	}
	return deleteValue(approvedKey, entry.ID) // what is switched on anew is not switched off
}

func removeAutostart(entry AutostartEntry) error {
	return errors.Join(deleteValue(runKey, entry.ID), deleteValue(approvedKey, entry.ID))
}

func autostartOf(entry AutostartEntry) (AutostartState, error) {
	off := AutostartState{Place: `HKEY_CURRENT_USER\` + runKey + `\` + entry.ID}
	key, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return off, nil
	}
	if err != nil {
		return off, err
	}
	defer func() { _ = key.Close() }() // only read
	command, _, err := key.GetStringValue(entry.ID)
	if errors.Is(err, registry.ErrNotExist) || err == nil && strings.TrimSpace(command) == "" {
		return off, nil
	}
	if err != nil {
		return off, err
	}
	if disabled(entry.ID) {
		return off, nil
	}
	argv, _ := windows.DecomposeCommandLine(command) // one that can't be read is another one
	return entry.state(off.Place, command, argv), nil
}

// disabled reports whether the user has switched an entry off: the first byte is
// odd then.
func disabled(id string) bool {
	key, err := registry.OpenKey(registry.CURRENT_USER, approvedKey, registry.QUERY_VALUE)
	if err != nil {
		return false
	}
	defer func() { _ = key.Close() }() // only read
	b, _, err := key.GetBinaryValue(id)
	return err == nil && len(b) > 0 && b[0]&1 != 0
}

// deleteValue removes a value, if it is there.
func deleteValue(path, name string) error {
	key, err := registry.OpenKey(registry.CURRENT_USER, path, registry.SET_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	if err != nil {
		return cantChange(path, err)
	}
	err = key.DeleteValue(name)
	_ = key.Close() // what was changed is changed
	if err != nil && !errors.Is(err, registry.ErrNotExist) {
		return cantChange(path, err)
	}
	return nil
}

func cantChange(path string, err error) error {
	return fmt.Errorf("the registry key HKEY_CURRENT_USER\\%s can't be changed: %w", path, err)
}
