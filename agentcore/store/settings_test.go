package store

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore/problem"
)

func TestLoadSettings(t *testing.T) {
	t.Parallel()
	want := DefaultSettings()
	want.Notifications, want.Policy.BackoffMax, want.Logs.MaxBytes, want.Policy.Misses = false, 5*time.Second, 65536, 3
	for what, text := range map[string]string{
		"tables": "notifications = false\n[restart]\nbackoff_max = \"5s\"\n[logs]\nmax_bytes = 65_536\n[health]\nmisses = 3\n",
		"dotted": "notifications = false\nrestart.backoff_max = \"5s\"\nlogs.max_bytes = 0x10000\nhealth.misses = 3\n",
		"inline": "notifications = false\nrestart = { backoff_max = \"5s\" }\nlogs = { max_bytes = 65536 }\nhealth = { misses = 3 }\n",
	} {
		path := filepath.Join(t.TempDir(), "settings.toml")
		put(t, path, text)
		if got, err := LoadSettings(path); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", what, got, err)
		}
	}
	if got, err := LoadSettings(filepath.Join(t.TempDir(), "settings.toml")); err != nil || got != DefaultSettings() {
		t.Errorf("without a file: %+v, %v", got, err)
	}
}

func TestLoadSettingsRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, sentence string }{
		{"notification = true\n", `settings.toml:1: unknown key "notification"; did you mean "notifications"?`},
		{"[restart]\n\nmin_redy = \"1s\"\n", `settings.toml:3: unknown key "restart.min_redy"; did you mean "restart.min_ready"?`},
		{"[restrat]\nmin_ready = \"1s\"\n", `settings.toml:1: unknown key "restrat"`},
		{"restart = 5\n", "settings.toml:1: restart is a table: write [restart]"},
		{"[[restart]]\nmin_ready = \"1s\"\n", "settings.toml:1: restart is a table: write [restart]"},
		{"[notifications]\n", "settings.toml:1: notifications is a single value"},
		{"[health]\nmisses = 0\n", "settings.toml:2: health.misses must be a whole number from 1 to 1000"},
		{"[health]\nping_every = \"0s\"\n", "settings.toml:2: health.ping_every must be a duration from 1ms"},
		{"[health]\nping_every = 5\n", "in quotes, not 5"},
		{"[logs]\nmax_bytes = \"1MiB\"\n", "settings.toml:2: logs.max_bytes must be a whole number from 4096 to 1073741824, without quotes"},
		{"[restart]\nbackoff_min = \"1m\"\n", "settings.toml:2: restart.backoff_min is 1m0s, more than restart.backoff_max, 30s"},
		{"[restart]\nmin_ready = \"1s\"\n[restart]\n", "settings.toml:3: restart is given twice, first on line 1"},
		{"restart.misses = 1\n[restart]\n", "settings.toml:2: this line is not valid TOML (table restart already exists"},
		{"logs = { keep = 1 }\n[logs]\n", "settings.toml:2: logs is given twice"},
	} {
		path := filepath.Join(t.TempDir(), "settings.toml")
		put(t, path, c.text)
		got, err := LoadSettings(path)
		if problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), c.sentence) {
			t.Errorf("%q: %v, want a Problem that says %q", c.text, err, c.sentence)
		}
		if got != DefaultSettings() {
			t.Errorf("%q: not the defaults beside the error, but %+v", c.text, got)
		}
	}
	if got, err := LoadSettings(t.TempDir()); problem.CodeOf(err) != problem.Invalid || got != DefaultSettings() {
		t.Errorf("a folder: %+v, %v", got, err)
	}
	dangling := filepath.Join(t.TempDir(), "settings.toml")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadSettings(dangling); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("a dangling link: %v", err)
	}
}

// Every field has a key, and no two keys share one: setting all through the
// table must move every field off its default.
func TestSettingsKeysReachEveryField(t *testing.T) {
	t.Parallel()
	s := DefaultSettings()
	other := map[string]string{"true": "false", "1": "2", AutoLanguage: "en"}
	for _, k := range SettingsKeys {
		v := k.Field(&s)
		text, ok := other[v.Get()]
		if !ok {
			text = map[bool]string{true: "7s", false: "8192"}[v.Type == "string"]
		}
		if v.Type != "string" && text == "8192" && k.Name != "logs.max_bytes" {
			text = "7"
		}
		if err := v.Set(text); err != nil {
			t.Fatal(err)
		}
		if k.Doc == "" {
			t.Errorf("%s is not documented", k.Name)
		}
	}
	p := &s.Policy // what no key is for
	p.HangGrace, p.FindGrace, p.Acquire = 0, 0, 0
	unchanged(t, "Settings", reflect.ValueOf(s), reflect.ValueOf(DefaultSettings()))
}

func unchanged(t *testing.T, path string, a, b reflect.Value) {
	if a.Kind() != reflect.Struct {
		if a.Equal(b) {
			t.Errorf("no key reaches %s", path)
		}
		return
	}
	for i := range a.NumField() {
		unchanged(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
	}
}

// TestUpdateSettings: what a person has written stays, wherever the key belongs.
func TestUpdateSettings(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "settings.toml")
	for _, c := range []struct {
		before  string
		changes map[string]string
		after   string
	}{
		{"", map[string]string{"notifications": "false"}, "notifications = false\n"},
		{"# mine\nstandby = 2 # two\n", map[string]string{"notifications": "false", "standby": "3"}, "notifications = false\n# mine\nstandby = 3 # two\n"},
		{"standby = 2\n[logs]\nkeep = 1\n", map[string]string{"logs.keep": "2", "logs.max_bytes": "8192", "lease": "1m"},
			"standby = 2\nlease = \"1m\"\n[logs]\nmax_bytes = 8192\nkeep = 2\n"},
		{"", map[string]string{"logs.keep": "2", "restart.min_ready": "2s"}, "restart.min_ready = \"2s\"\nlogs.keep = 2\n"},
	} {
		_ = os.Remove(path)
		if c.before != "" {
			put(t, path, c.before)
		}
		got, err := UpdateSettings(path, c.changes)
		if err != nil {
			t.Errorf("%q with %v: %v", c.before, c.changes, err)
			continue
		}
		if text := get(t, path); text != c.after {
			t.Errorf("%q with %v is\n%s\nwant\n%s", c.before, c.changes, text, c.after)
		}
		if again, err := LoadSettings(path); err != nil || again != got {
			t.Errorf("read again: %+v, %v", again, err)
		}
	}
	put(t, path, "standby = 2\n")
	for _, bad := range []map[string]string{{"standby": "99"}, {"stanby": "1"}, {"language": "xx"}, {"restart.backoff_min": "1h"}} {
		if _, err := UpdateSettings(path, bad); err == nil || get(t, path) != "standby = 2\n" {
			t.Errorf("%v: %v, and the file is %q", bad, err, get(t, path))
		}
	}
}
