package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharetray/tray/rig"
)

// picturesVar names a folder in which tests keep pictures for the documentation.
const picturesVar = "SHARETRAY_PICTURES"

// keep saves a picture of a part of a desktop, if pictures are wanted.
func keep(t *testing.T, desk *rig.Rig, name, part string) {
	t.Helper()
	if dir := os.Getenv(picturesVar); dir != "" {
		time.Sleep(400 * time.Millisecond) // for what is drawn to be seen; nothing is tested by it
		desk.Screenshot(filepath.Join(dir, name+".png"), part)
	}
}

// browserScript is a browser that only notes what it is to open. It stands for the
// system's own, which is asked in the same way.
const browserScript = "#!/bin/sh\nprintf '%%s\\n' \"$1\" >> '%s'\n"

// person is somebody at a desktop.
type person struct {
	*home
	visited string // the file in which the browser notes what it was to open
}

func newPerson(t *testing.T, desk *rig.Rig) *person {
	t.Helper()
	p := &person{visited: filepath.Join(desk.Dir(), "visited")}
	bin := filepath.Join(desk.Dir(), "bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), fmt.Appendf(nil, browserScript, p.visited), 0o700); err != nil {
		t.Fatal(err)
	}
	p.home = homeIn(t, desk.Dir(), append(desk.Env(), "PATH="+bin+":"+os.Getenv("PATH")))
	t.Cleanup(p.quit) // the desktop ends what is left
	return p
}

// browserGot waits until the browser is to open what has part in it, and forgets it.
func (u *person) browserGot(part string) string {
	u.t.Helper()
	var got []byte
	if err := waitFor(func() bool {
		got, _ = os.ReadFile(u.visited) // not there yet: nothing was opened
		return bytes.Contains(got, []byte(part)) && bytes.HasSuffix(got, []byte("\n"))
	}); err != nil {
		u.t.Fatalf("the browser was to open %q, and not %q", got, part)
	}
	if err := os.Remove(u.visited); err != nil {
		u.t.Fatal(err)
	}
	return strings.TrimSpace(string(got))
}

// chooses opens the menu and presses keys, until done says that something came of it.
// A person sees when a menu is complete; keys that come before go astray.
func (u *person) chooses(desk *rig.Rig, done func() bool, keys ...string) {
	u.t.Helper()
	for range 5 {
		desk.OpenMenu()
		desk.Keys(keys...)
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if done() {
				return
			}
		}
		desk.Keys("Escape", "Escape")
	}
	u.t.Fatalf("nothing came of the keys %v", keys)
}

// opens is what the browser was to open, as chooses wants it.
func (u *person) opens(part string) func() bool {
	return func() bool {
		got, _ := os.ReadFile(u.visited) // not there yet: nothing was opened
		return bytes.Contains(got, []byte(part))
	}
}

// TestOnADesktop: what a person does with a mouse, on a real desktop.
func TestOnADesktop(t *testing.T) { // not beside others, which its load would disturb
	desk := rig.New(t)
	u := newPerson(t, desk)
	u.types("share", "web", u.folder("Pictures", "cat.txt"))

	// The menu: the dashboard is the fourth that can be chosen.
	desk.OpenMenu()
	desk.Keys("Down", "Right")
	keep(t, desk, "menu", "520x310+0+0")
	desk.Keys("Escape", "Escape")
	u.chooses(desk, u.opens("/enter/"), "Down", "Down", "Down", "Down", "Return")
	if got := u.browserGot("/enter/"); strings.Contains(got, "to=") {
		t.Errorf("opened %s", got)
	}

	// It crashes, is back, and says so; the button shows why.
	u.kill(u.get("Pictures").PID)
	x, y, width, height := desk.Popup()
	keep(t, desk, "notification", "400x150+600+0")
	desk.Click(x+width-57, y+height-30) // the last of its buttons
	u.browserGot("to=%2Fshares%2FPictures%2Flog")

	// Another panel has the whole menu, with what is under its items.
	desk.RestartPanel()
	desk.AwaitIcon()
	u.chooses(desk, u.opens("qr"), "Down", "Right", "Down", "Down", "Return")
	u.browserGot("to=%2Fshares%2FPictures%2Fqr")

	// Pause and quit.
	u.chooses(desk, func() bool { return u.get("Pictures").State == "stopped" }, "Down", "Right", "Down", "Down", "Down", "Down", "Return")
	u.chooses(desk, func() bool { _, err := u.client.Info(t.Context()); return err != nil }, "Up", "Return")
}

// TestStartsAtLogin: switched on by one session, up in the next, by a real login.
func TestStartsAtLogin(t *testing.T) { // not beside others, which its load would disturb
	desk := rig.Login(t, func(config string) {
		exe, err := exec.LookPath("sharetray")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "autostart", "on")
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+config, "HOME="+filepath.Dir(config), "XDG_RUNTIME_DIR="+filepath.Join(filepath.Dir(config), "run"), "SHARETRAY_PROFILE=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
	u := newPerson(t, desk)
	desk.AwaitIcon()
	if got := u.types("autostart", "status"); !strings.HasPrefix(got, "on, by "+filepath.Join(desk.Dir(), "config", "autostart")) {
		t.Error(got)
	}
	u.types("autostart", "off")
	if got := u.types("autostart", "status"); got != "off" {
		t.Error(got)
	}
}
