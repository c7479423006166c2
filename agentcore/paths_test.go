package agentcore_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"sharetray/agentcore"
	"sharetray/agentcore/problem"
)

func TestParseProfile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"work": "work", "WORK": "work", "a": "a", "9": "9", "_": "_", "v1.2-x_y": "v1.2-x_y", "default": "", "Default": "",
		strings.Repeat("x", 32): strings.Repeat("x", 32), "control": "control",
	} {
		if got, err := agentcore.ParseProfile(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "..", ".x", "-x", "x.", "a/b", `a\b`, "a b", "ä", "a\x00", "\xff", "COM1", "nul.x",
		strings.Repeat("x", 33), strings.Repeat("x", 1<<20), "\u212a"} { // the sign for kelvin, whose lower case is k
		got, err := agentcore.ParseProfile(text)
		if !problem.Is(err, problem.Invalid) || got != "" {
			t.Errorf("%.40q: %q, %v", text, got, err)
		} else if s := problem.Sentence(err); len(s) > 250 || !utf8.ValidString(s) || strings.ContainsAny(s, "\n\x00") {
			t.Errorf("%.40q: the sentence is %q", text, s)
		}
	}
}

// TestProfilesDoNotMeet: no file or folder of one profile is one of another's,
// whatever they are called and wherever the runtime folder is.
func TestProfilesDoNotMeet(t *testing.T) {
	dir, err := os.MkdirTemp("", "st")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("TMPDIR", dir)
	names := []string{"", "work", "work2", "l", "control", "lock", "revive", "profiles", "shares", "logs", "records", "history",
		"settings.toml", "agent.log", strings.Repeat("x", 32)}
	for _, run := range []string{dir, "", filepath.Join(dir, strings.Repeat("long", 20)), filepath.Join(dir, "missing")} {
		if strings.Contains(run, "long") {
			if err := os.Mkdir(run, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("XDG_RUNTIME_DIR", run)
		whose := map[string]string{}
		for _, name := range names {
			paths, err := agentcore.FindPaths(name)
			if err != nil {
				t.Fatal(err)
			}
			if paths.Profile != name {
				t.Errorf("the profile %q is called %q", name, paths.Profile)
			}
			for field, v := range reflect.ValueOf(paths).Fields() {
				path := v.String()
				if field.Name == "Profile" {
					continue
				}
				if other, taken := whose[path]; taken {
					t.Errorf("%s is of both %q and %q", path, name, other)
				}
				whose[path] = name
				// Only a state folder has what is another profile's below it.
				for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
					if other, taken := whose[dir]; taken && other != name && filepath.Base(dir) != "sharetray" {
						t.Errorf("%s of %q lies in %s of %q", path, name, dir, other)
					}
				}
			}
			if longest := filepath.Join(paths.Links, "0123456789abcdef.l"); len(longest) > 103 {
				t.Errorf("%s is too long for a socket", longest)
			}
			for run := filepath.Dir(paths.Control); strings.HasPrefix(run, dir+"/"); run = filepath.Dir(run) {
				if fi, err := os.Stat(run); err != nil || fi.Mode().Perm() != 0o700 {
					t.Errorf("%s: %v, %v", run, fi, err)
				}
			}
		}
	}
}

// TestPlantedRuntimeFolder: what stands in the place of the private folder and
// is none is not used, and the user is told.
func TestPlantedRuntimeFolder(t *testing.T) {
	for what, plant := range map[string]func(path, elsewhere string) error{
		"a file": func(path, _ string) error { return os.WriteFile(path, nil, 0o600) },
		"a link": func(path, elsewhere string) error { return os.Symlink(elsewhere, path) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			t.Setenv("XDG_RUNTIME_DIR", "")
			elsewhere := t.TempDir()
			planted := filepath.Join(dir, "sharetray-"+strconv.Itoa(os.Getuid()))
			if err := plant(planted, elsewhere); err != nil {
				t.Fatal(err)
			}
			_, err := agentcore.FindPaths("")
			if !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), planted) || !strings.Contains(err.Error(), "set XDG_RUNTIME_DIR") {
				t.Errorf("%v", err)
			}
			if left, err := os.ReadDir(elsewhere); err != nil || len(left) > 0 {
				t.Errorf("it was followed: %v, %v", left, err)
			}
		})
	}
}
