package platform

import (
	"path/filepath"
	"testing"
)

func TestAutostart(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	e := AutostartEntry{ID: "sharetray", Exe: "/Applications/Share <tray> & $x", Args: []string{"agent"}}
	place := filepath.Join(home, "Library/LaunchAgents/sharetray.plist")
	for _, on := range []bool{false, true, true, false, false} {
		if err := SetAutostart(on, e); err != nil {
			t.Fatal(err)
		}
		if st, err := AutostartOf(e); err != nil || st != (AutostartState{On: on, Place: place}) {
			t.Errorf("on %v: %+v, %v", on, st, err)
		}
	}
}
