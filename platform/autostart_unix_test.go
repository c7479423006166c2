//go:build linux

package platform

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/adrg/xdg"
)

// entryIn is an entry in a configuration of the test's own.
func entryIn(t *testing.T, exe string, args ...string) AutostartEntry {
	t.Helper()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_DIRS", t.TempDir())
	t.Setenv("APPIMAGE", "")
	xdg.Reload()
	t.Cleanup(xdg.Reload) // runs before the variables are as they were; others set them too
	return AutostartEntry{ID: "sharetray", Name: "Sharetray", Comment: "Keeps your shares up", Exe: exe, Args: args, Icon: "/x/icon.png"}
}

// TestAutostart: what is written is valid, and means the same when it is read.
func TestAutostart(t *testing.T) {
	validator, err := exec.LookPath("desktop-file-validate")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("desktop-file-validate is not installed (Debian package desktop-file-utils)")
		}
		t.Skip("desktop-file-validate is not installed (Debian package desktop-file-utils)")
	}
	for _, exe := range []string{"/usr/bin/sharetray", "/opt/My Apps/sharetray", `/x/it's "odd" $HOME ` + "`id`" + ` \ 100% ~ #1/sharetray`, "/x/a=b/sharetray", "/x/café 写真/sharetray"} {
		e := entryIn(t, exe, "agent", "--profile", "a b%U")
		if st, err := AutostartOf(e); err != nil || st.On {
			t.Fatalf("at first: %+v, %v", st, err)
		}
		if err := SetAutostart(true, e); err != nil {
			t.Fatal(err)
		}
		st, err := AutostartOf(e)
		if err != nil || !st.On || st.Other != "" || st.Place != filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "autostart", "sharetray.desktop") {
			t.Errorf("%s: %+v, %v", exe, st, err)
		}
		if out, err := exec.Command(validator, st.Place).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", exe, err, out)
		}
		other := e
		other.Exe = "/elsewhere/sharetray"
		if st, err := AutostartOf(other); err != nil || !st.On || st.Other == "" {
			t.Errorf("of another program: %+v, %v", st, err)
		}
		if err := SetAutostart(false, e); err != nil {
			t.Fatal(err)
		}
		if st, err := AutostartOf(e); err != nil || st.On {
			t.Errorf("switched off: %+v, %v", st, err)
		}
		if _, err := os.Stat(st.Place); err == nil {
			t.Error("its file is left")
		}
		if err := SetAutostart(false, e); err != nil {
			t.Errorf("switched off twice: %v", err)
		}
	}
}

// TestAutostartThatTheDesktopSwitchedOff: by the ways that desktops have.
func TestAutostartThatTheDesktopSwitchedOff(t *testing.T) {
	for _, line := range []string{"Hidden=true", "X-GNOME-Autostart-enabled=false", "OnlyShowIn=KDE;", "TryExec=/no/such/program", "NotShowIn=XFCE;"} {
		e := entryIn(t, "/usr/bin/sharetray")
		t.Setenv("XDG_CURRENT_DESKTOP", "XFCE")
		if err := SetAutostart(true, e); err != nil {
			t.Fatal(err)
		}
		st, err := AutostartOf(e)
		if err != nil || !st.On {
			t.Fatalf("%+v, %v", st, err)
		}
		text, err := os.ReadFile(st.Place)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(text), "X-GNOME-Autostart-enabled=true\n", "", 1) + line + "\n"
		if err := os.WriteFile(st.Place, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if st, err := AutostartOf(e); err != nil || st.On {
			t.Errorf("%s: %+v, %v", line, st, err)
		}
	}
}

// TestAutostartOfTheWholeComputer: one user can switch it off.
func TestAutostartOfTheWholeComputer(t *testing.T) {
	e := entryIn(t, "/usr/bin/sharetray")
	dir := filepath.Join(os.Getenv("XDG_CONFIG_DIRS"), "autostart")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sharetray.desktop"), []byte("[Desktop Entry]\nType=Application\nName=x\nExec=/usr/bin/sharetray\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := AutostartOf(e); err != nil || !st.On {
		t.Errorf("%+v, %v", st, err)
	}
	if err := SetAutostart(false, e); err != nil {
		t.Fatal(err)
	}
	if st, err := AutostartOf(e); err != nil || st.On {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestAutostartThatCantBe(t *testing.T) {
	e := entryIn(t, "/usr/bin/sharetray")
	if err := os.WriteFile(filepath.Join(os.Getenv("XDG_CONFIG_HOME"), "autostart"), []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SetAutostart(true, e); err == nil || !strings.Contains(err.Error(), "can't be written to") {
		t.Errorf("%v", err)
	}
	for _, bad := range []AutostartEntry{{ID: "a/b", Exe: "/x"}, {ID: "", Exe: "/x"}, {ID: "a", Exe: "x"}, {ID: "a", Exe: "/x\ny"}} {
		if err := SetAutostart(true, bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestSplitExec(t *testing.T) {
	t.Parallel()
	for command, want := range map[string][]string{
		`/usr/bin/x --a b`:        {"/usr/bin/x", "--a", "b"},
		`"/a b/x" "c\"d" e%%f %U`: {"/a b/x", `c"d`, "e%f"},
		`x "" y`:                  {"x", "", "y"},
	} {
		if got, ok := splitExec(command); !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %q", command, got)
		}
	}
	if _, ok := splitExec(`"x`); ok {
		t.Error("an open quote is no fault")
	}
}
