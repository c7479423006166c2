package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/tray/rig"
)

// picturesVar names a folder in which tests keep pictures for the documentation.
const picturesVar = "SHARETRAY_PICTURES"

// keep saves a picture of a desktop, if pictures are wanted.
func keep(t *testing.T, desk *rig.Rig, name string) {
	t.Helper()
	if dir := os.Getenv(picturesVar); dir != "" {
		time.Sleep(400 * time.Millisecond) // for what is drawn to be seen; nothing is tested by it
		desk.Screenshot(filepath.Join(dir, name+".png"))
	}
}

// person is somebody at a desktop.
type person struct {
	t       *testing.T
	desk    *rig.Rig
	client  *control.Client
	visited string   // the file in which the browser notes what it was to open
	env     []string // of programs
}

// browserScript is a browser that only notes what it is to open. It stands for the
// system's own, which is asked in the same way.
const browserScript = "#!/bin/sh\nprintf '%%s\\n' \"$1\" >> '%s'\n"

func newPerson(t *testing.T, desk *rig.Rig) *person {
	t.Helper()
	u := &person{t: t, desk: desk, client: clientAt(filepath.Join(desk.Dir(), "run", "sharetray", "control"))}
	u.visited = filepath.Join(desk.Dir(), "visited")
	u.env = append(desk.Env(), "PATH="+u.bin()+":"+os.Getenv("PATH"), "GORACE="+gorace, "SHARETRAY_PROFILE=")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = u.client.Quit(ctx) // it may have ended; the desktop ends what is left
	})
	return u
}

// bin is a folder with the browser.
func (u *person) bin() string {
	u.t.Helper()
	dir := filepath.Join(u.desk.Dir(), "bin")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), fmt.Appendf(nil, browserScript, u.visited), 0o700); err != nil {
		u.t.Fatal(err)
	}
	return dir
}

// types runs a command.
func (u *person) types(args ...string) string {
	u.t.Helper()
	cmd := exec.Command("sharetray", args...)
	cmd.Env = u.env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		u.t.Fatalf("sharetray %v: %v\n%s", args, err, &errs)
	}
	return strings.TrimSpace(string(out))
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

func (u *person) get(name string) agentcore.Status {
	u.t.Helper()
	st, err := u.client.Get(u.t.Context(), name)
	if err != nil {
		u.t.Fatal(err)
	}
	return st
}

// TestOnADesktop: what a person does with a mouse, on a real desktop.
func TestOnADesktop(t *testing.T) {
	t.Parallel()
	desk := rig.New(t)
	u := newPerson(t, desk)
	folder := filepath.Join(desk.Dir(), "home", "Pictures")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	u.types("share", "web", folder)

	// The menu: the dashboard is the fourth that can be chosen.
	desk.OpenMenu()
	desk.Keys("Down", "Right")
	keep(t, desk, "menu")
	desk.Keys("Left", "Down", "Down", "Down", "Return")
	if got := u.browserGot("/enter/"); strings.Contains(got, "to=") {
		t.Errorf("opened %s", got)
	}

	// It crashes, is back, and says so; the button shows why.
	if err := syscall.Kill(u.get("Pictures").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	x, y, width, height := desk.Popup()
	keep(t, desk, "notification")
	desk.Click(x+width-57, y+height-30) // the last of its buttons
	u.browserGot("to=%2Fshares%2FPictures%2Flog")

	// Another panel has the whole menu, with what is under its items.
	desk.RestartPanel()
	desk.AwaitIcon()
	desk.OpenMenu()
	desk.Keys("Down", "Right", "Down", "Down", "Return")
	u.browserGot("to=%2Fshares%2FPictures%2Fqr")

	// Pause and quit.
	desk.OpenMenu()
	desk.Keys("Down", "Right", "Down", "Down", "Down", "Down", "Return")
	if err := waitFor(func() bool { return u.get("Pictures").State == "stopped" }); err != nil {
		t.Fatalf("it is %s", u.get("Pictures").State)
	}
	desk.OpenMenu()
	desk.Keys("Up", "Return")
	if err := waitFor(func() bool { _, err := u.client.Info(t.Context()); return err != nil }); err != nil {
		t.Fatal("it did not quit")
	}
}

// TestStartsAtLogin: switched on by one session, up in the next, by a real login.
func TestStartsAtLogin(t *testing.T) {
	t.Parallel()
	var u *person
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
	u = newPerson(t, desk)
	desk.AwaitIcon()
	if got := u.types("autostart", "status"); !strings.HasPrefix(got, "on, by "+filepath.Join(desk.Dir(), "config", "autostart")) {
		t.Error(got)
	}
	u.types("autostart", "off")
	if got := u.types("autostart", "status"); got != "off" {
		t.Error(got)
	}
}
