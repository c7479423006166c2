package platform

import (
	"errors"
	"os"
	"path/filepath"
)

func addAutostart(entry AutostartEntry) error {
	path, err := launchAgentPath(entry)
	if err != nil {
		return err
	}
	text, err := launchAgentFile(entry)
	if err != nil {
		return err
	}
	return writeEntry(path, text)
}

func removeAutostart(entry AutostartEntry) error {
	path, err := launchAgentPath(entry)
	if err != nil {
		return err
	}
	return removeEntry(path)
}

// autostartOf does not see what the user has switched off in System Settings:
// only macOS itself may know that.
func autostartOf(entry AutostartEntry) (AutostartState, error) {
	path, err := launchAgentPath(entry)
	if err != nil {
		return AutostartState{}, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return AutostartState{Place: path}, nil
	}
	if err != nil {
		return AutostartState{Place: path}, err
	}
	return launchAgentState(entry, path, text)
}

func launchAgentPath(entry AutostartEntry) (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, "Library", "LaunchAgents", entry.ID+".plist"), nil
}
