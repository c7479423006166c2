//go:build linux

package platform

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nasty are words that a path may hold and that mean something to somebody.
var nasty = []string{
	"plain", "with space", `quo"te`, "it's", "$HOME", "`reboot`", `back\slash`, `end\`, "100%", "%f", "%%", "a=b", "~", "写真 🎉",
	"$(reboot)", ";&|<>*?#()", `\"`, `\\"$`, " lead", "trail ", "-n", `\s`, `\n`,
}

// TestExecIsWhatRuns: an entry is started as desktops start it, by GLib, with a
// program that writes down how it was called.
func TestExecIsWhatRuns(t *testing.T) {
	gio, err := exec.LookPath("gio")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("gio is not installed (Debian package libglib2.0-bin)")
		}
		t.Skip("gio is not installed (Debian package libglib2.0-bin)")
	}
	entryIn(t, "/bin/x")
	for i, word := range nasty {
		dir := filepath.Join(t.TempDir(), "d"+word)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		exe := filepath.Join(dir, "x"+word)
		said := filepath.Join(t.TempDir(), "said")
		if err := syscall.Mkfifo(said, 0o600); err != nil {
			t.Fatal(err)
		}
		script := "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\" >'" + said + "'\n"
		if err := os.WriteFile(exe, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		entry := AutostartEntry{ID: fmt.Sprintf("x%d", i), Name: word, Icon: word, Exe: exe, Args: append([]string{word}, nasty...)}
		if err := SetAutostart(true, entry); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(said, os.O_RDWR, 0) // never waits for the other end
		if err != nil {
			t.Fatal(err)
		}
		state, err := AutostartOf(entry)
		if err != nil || !state.On || state.Other != "" {
			t.Errorf("%q: %+v, %v", word, state, err)
		}
		if out, err := exec.Command(gio, "launch", state.Place).CombinedOutput(); err != nil {
			t.Errorf("%q: gio launch: %v: %s", word, err, out)
			_ = f.Close()
			continue
		}
		want := strings.Join(entry.command(), "\n") + "\n"
		got := make([]byte, len(want))
		_ = f.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := io.ReadFull(f, got)
		if err != nil || string(got[:n]) != want {
			t.Errorf("%q: %v: ran %q, want %q", word, err, got[:n], want)
		}
		_ = f.Close()
	}
}

func TestAutostartOfAnAppImage(t *testing.T) {
	entry := AutostartEntry{ID: "x", Exe: "/tmp/.mount_Sharex/usr/bin/sharetray"}
	for _, test := range []struct{ image, dir, want string }{
		{"/home/me/Share Tray.AppImage", "/tmp/.mount_Sharex", "/home/me/Share Tray.AppImage"},
		{"/home/me/Share Tray.AppImage", "", "/home/me/Share Tray.AppImage"},
		{"/home/me/Terminal.AppImage", "/tmp/.mount_Term", entry.Exe},
		{"relative", "", entry.Exe},
	} {
		t.Setenv("APPIMAGE", test.image)
		t.Setenv("APPDIR", test.dir)
		if got := entry.command()[0]; got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

func TestAutostartInAFolderThatIsReadOnly(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	e := entryIn(t, "/bin/x")
	if err := SetAutostart(true, e); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "autostart")
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	for _, on := range []bool{true, false} {
		if err := SetAutostart(on, e); err == nil || !strings.Contains(err.Error(), "the folder "+dir+" can't be written to") {
			t.Errorf("on %v: %v", on, err)
		}
	}
}
