package share

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/share/schema"
)

const byHand = `# my photos
version = 1

kind="web"   # a folder
port   = 0x1F90
'target' = '/srv/photos/' # where they lie
stop_grace = "1m"
`

func TestDecodeByHand(t *testing.T) {
	t.Parallel()
	want := Defaults(Web)
	want.Name, want.Target, want.Port, want.StopGrace = name(t, "photos"), "/srv/photos", 8080, time.Minute
	for what, text := range map[string]string{
		"as it is": byHand,
		"CRLF":     strings.ReplaceAll(byHand, "\n", "\r\n"),
		"with BOM": "\xef\xbb\xbf" + byHand,
	} {
		if got, err := Decode("photos.toml", want.Name, []byte(text)); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", what, got, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const web = "kind = \"web\"\ntarget = \"/srv\"\n"
	const proxy = "kind = \"proxy\"\ntarget = \"3000\"\n"
	for _, c := range []struct{ what, text, sentence string }{
		{"empty", "", "photos.toml is empty"},
		{"blank", " \n\t\n", "photos.toml is empty"},
		{"comments only", "# hello\n", `photos.toml: kind is missing: add a line kind = "web", kind = "drive", kind`},
		{"no target", "kind = \"web\"\n", "photos.toml: target is missing"},
		{"NUL", web + "\x00", "photos.toml:3: this is not text"},
		{"not UTF-8", web + "# \xff", "photos.toml:3: this is not text"},
		{"large", web + strings.Repeat("#\n", schema.MaxBytes), "photos.toml is larger than 64 KiB"},
		{"cut in a string", web[:len(web)-3], "photos.toml:2: the file ends in the middle of a value"},
		{"cut after a key", web + "port", "photos.toml:3: the file ends in the middle"},
		{"cut after =", web + "port =", "photos.toml:3: the file ends in the middle"},
		{"cut in a header", web + "[po", "photos.toml:3: the file ends in the middle"},
		{"open string", "kind = \"web\ntarget = \"/srv\"\n", "photos.toml:1: kind is not valid TOML"},
		{"no quotes", "kind = web\n" + web, "photos.toml:1: kind is not valid TOML"},
		{"no value", "port = x", "photos.toml:1: port is not valid TOML"},
		{"no such date", web + "port = 2024-13-45\n", "photos.toml:3: port is not valid TOML"},
		{"nonsense", "hello there\n", "photos.toml:1: this line is not valid TOML"},
		{"unknown key", web + "\nprot = 1\n", `photos.toml:4: unknown key "prot"; did you mean "port"?`},
		{"unknown kind key", "knd = \"web\"\n", `photos.toml:1: unknown key "knd"; did you mean "kind"?`},
		{"short key", web + "hidden = true\n", `photos.toml:3: unknown key "hidden"; did you mean "hidden_files"?`},
		{"strange key", web + "wallpaper = 1\n", `photos.toml:3: unknown key "wallpaper"; the keys are version, kind`},
		{"unknown table", web + "[web]\n", `photos.toml:3: unknown key "web"`},
		{"key in a table", web + "[web]\nport = 1\n", `photos.toml:3: unknown key "web"`},
		{"key as a table", web + "[port]\n", "photos.toml:3: port is a single value, not a table"},
		{"key as an inline table", web + "port = { a = 1 }\n", "photos.toml:3: port is a single value, not a table"},
		{"twice", web + "port = 1\n\nport = 2\n", "photos.toml:5: port is given twice, first on line 3"},
		{"wrong type: string", web + "port = \"8080\"\n", `photos.toml:3: port must be a whole number from 0 to 65535, without quotes, not "8080"`},
		{"wrong type: float", web + "port = 80.5\n", "photos.toml:3: port must be a whole number from 0 to 65535, without quotes, not 80.5"},
		{"wrong type: list", web + "port = [1, 2]\n", "photos.toml:3: port must be a whole number from 0 to 65535, not a list"},
		{"wrong type: number", web + "stop_grace = 10\n", `photos.toml:3: stop_grace must be a duration from 0s to 1h, such as "1m30s", in quotes, not 10`},
		{"wrong type: word", web + "paused = \"true\"\n", "photos.toml:3: paused must be true or false, without quotes"},
		{"port too large", web + "port = 70000\n", "photos.toml:3: port must be a whole number from 0 to 65535, not \"70000\""},
		{"port negative", web + "port = -1\n", "photos.toml:3: port must be"},
		{"port beyond 64 bits", web + "port = 99999999999999999999\n", "photos.toml:3: port"},
		{"reach", web + "reach = \"LAN\"\n", `photos.toml:3: reach must be "local" or "lan", not "LAN"`},
		{"grace", web + "stop_grace = \"2h\"\n", "photos.toml:3: stop_grace must be a duration from 0s to 1h"},
		{"kind", "kind = \"ftp\"\n", `photos.toml:1: kind must be "web" or "drive" or`},
		{"another kind's key", web + "verify_tls = true\n", "photos.toml:3: verify_tls is for proxy shares, and this is a web share"},
		{"target", "kind = \"web\"\ntarget = \"srv\"\n", `photos.toml:2: target "srv" is not an absolute path`},
		{"itself", proxy + "port = 3000\n", "photos.toml:2: target \"http://127.0.0.1:3000\" is the share itself"},
		{"newer", "version = 9\nthings = [1]\n", "photos.toml was written by a newer Sharetray (version 9 of the format, this one knows 1): update Sharetray"},
		{"version 0", "version = 0\n" + web, "photos.toml:1: version must be a whole number from 1"},
		{"version in quotes", "version = \"1\"\n" + web, "photos.toml:1: version must be"},
	} {
		got, err := Decode("photos.toml", name(t, "photos"), []byte(c.text))
		if problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), c.sentence) {
			t.Errorf("%s: %v, want a Problem that says %q", c.what, err, c.sentence)
		}
		if got != (Share{}) {
			t.Errorf("%s: got a share beside the error", c.what)
		}
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, value, sentence string }{
		{"prot", "1", `unknown key "prot"; did you mean "port"?`},
		{"", "1", "the keys are target, port"},
		{"kind", "proxy", "kind can't be changed: remove the share"},
		{"version", "2", "version can't be changed"},
		{"verify_tls", "true", "verify_tls is for proxy shares"},
		{"port", "many", "port must be a whole number from 0 to 65535, not \"many\""},
		{"port", "65536", "port must be"},
		{"paused", "yes", "paused must be true or false, not \"yes\""},
		{"target", "here", `target "here" is not an absolute path`},
	} {
		s := Defaults(Web)
		before := s
		err := s.Set(c.key, c.value)
		if problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), c.sentence) {
			t.Errorf("Set(%q, %q) = %v, want a Problem that says %q", c.key, c.value, err, c.sentence)
		}
		if s != before {
			t.Errorf("Set(%q, %q) failed and changed the share", c.key, c.value)
		}
	}
}

func TestDefaultsOfKeys(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, k := range Keys {
		for _, kind := range k.Kinds {
			got[string(kind)+" "+k.Name] = k.Default(kind)
		}
		if k.Doc == "" {
			t.Errorf("%s is not documented", k.Name)
		}
	}
	want := map[string]string{}
	add := func(kinds, keys string) {
		for kind := range strings.FieldsSeq(kinds) {
			for pair := range strings.FieldsSeq(keys) {
				k, v, _ := strings.Cut(pair, "=")
				want[kind+" "+k] = v
			}
		}
	}
	for _, kind := range Kinds {
		add(string(kind), "version=1 port=0 reach=local paused=false notify=true stop_grace=10s memory=none cpu=none open_files=0 "+
			"processes=0 connections=0 bandwidth=none networks= expires=never notify_of= kind="+string(kind))
	}
	add("web drive proxy caddy tcp udp command", "target=")
	add("web drive proxy caddy command", "secret= hosts= access_log=true")
	add("web drive proxy caddy socks command", "users=")
	add("web drive proxy command", "tls=off tls_cert= tls_key=")
	add("web drive", "hidden_files=false listing=true downloads=0 max_upload=none keep_free=256MiB")
	add("web", "upload=false overwrite=false show_uploads=false")
	add("drive", "writable=false")
	add("proxy", "verify_tls=true")
	add("tcp socks", "idle=0s")
	add("udp", "idle=1m sessions=4096")
	add("socks", "destinations=")
	add("command", "dir= env= shell=false ready=port ready_path=/ ready_line= ready_timeout=1m link_pattern= watch=")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestDecodeUndoesEncode(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := shares().Draw(t, "share")
		if err := s.Validate(); err != nil {
			t.Fatalf("%+v: %v", s, err)
		}
		data := Encode(s)
		if got, err := Decode("x.toml", s.Name, data); err != nil || got != s {
			t.Fatalf("got %+v, %v from\n%s", got, err, data)
		}
	})
}

// Whatever lines, order and comments a valid file has, an edit changes what was
// asked for, and the other lines stay byte for byte.
func TestEditChangesNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := shares().Draw(t, "share")
		wanted := shares().Filter(func(w Share) bool { return w.Kind == s.Kind }).Draw(t, "wanted")
		data := untidy(t, Encode(s))
		keys := settable(s.Kind)
		changes := map[string]string{}
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 1, 3, rapid.ID).Draw(t, "keys") {
			changes[key] = fieldText(wanted, key)
		}
		before, err := Decode("x.toml", s.Name, data)
		if err != nil {
			t.Fatalf("%v in\n%s", err, data)
		}
		want := before
		for key, text := range changes {
			if err := want.Set(key, text); err != nil {
				t.Fatal(err)
			}
		}
		if want.Validate() != nil {
			t.Skip("the combination points at itself")
		}
		out, got, err := Edit("x.toml", s.Name, data, changes)
		if err != nil || got != want {
			t.Fatalf("%v: got %+v, want %+v", err, got, want)
		}
		if again, err := Decode("x.toml", s.Name, out); err != nil || again != want {
			t.Fatalf("the file reads %+v, %v, want %+v:\n%s", again, err, want, out)
		}
		if a, b := without(changes, data), without(changes, out); !bytes.Equal(a, b) {
			t.Fatalf("other lines changed:\n%q\n%q", a, b)
		}
	})
}

func TestEditKeepsTheRestOfTheLine(t *testing.T) {
	t.Parallel()
	out, _, err := Edit("photos.toml", name(t, "photos"), []byte(byHand), map[string]string{"port": "99", "reach": "lan"})
	want := strings.Replace(byHand, "0x1F90\n", "99\nreach = \"lan\"\n", 1)
	if err != nil || string(out) != want {
		t.Errorf("%v:\n%s", err, out)
	}
	same, _, err := Edit("photos.toml", name(t, "photos"), []byte(byHand), map[string]string{"port": "8080", "target": "/srv/photos"})
	if err != nil || string(same) != byHand {
		t.Errorf("values that were there already changed the file (%v):\n%s", err, same)
	}
	const bare = "\xef\xbb\xbfkind = 'proxy'\r\ntarget = '3000'"
	out, _, err = Edit("x.toml", name(t, "x"), []byte(bare), map[string]string{"port": "8080", "verify_tls": "false"})
	if err != nil || string(out) != bare+"\r\nport = 8080\r\nverify_tls = false" {
		t.Errorf("%v: %q", err, out)
	}
}

func TestEditRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		data, key, value, sentence string
	}{
		{"kind = 'web'\n", "port", "1", "target is missing"},
		{byHand, "kind", "proxy", "kind can't be changed"},
		{"kind = 'proxy'\ntarget = '3000'\n", "port", "3000", "is the share itself"},
	} {
		out, _, err := Edit("x.toml", name(t, "x"), []byte(c.data), map[string]string{c.key: c.value})
		if out != nil || problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), c.sentence) {
			t.Errorf("%s = %s: got %q, %v", c.key, c.value, out, err)
		}
	}
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	if currentVersion != 1+len(migrations) {
		t.Fatal("currentVersion and migrations disagree")
	}
	steps := []migration{
		func(data []byte) ([]byte, error) {
			data = bytes.Replace(data, []byte("type = "), []byte("kind = "), 1)
			return bytes.Replace(data, []byte("path = "), []byte("target = "), 1), nil
		},
		func(data []byte) ([]byte, error) {
			return bytes.Replace(data, []byte(`"folder"`), []byte(`"web"`), 1), nil
		},
	}
	want := Defaults(Web)
	want.Name, want.Target, want.Port = name(t, "photos"), "/srv/photos", 8080
	for _, file := range []string{"v1.toml", "v2.toml"} {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if _, got, err := decode(file, want.Name, data, steps); err != nil || got != want {
			t.Errorf("%s: got %+v, %v", file, got, err)
		}
		out, _, err := edit(file, want.Name, data, map[string]string{"port": "99"}, steps)
		if err != nil || !bytes.Contains(out, []byte("version = 3\n")) || !bytes.Contains(out, []byte("port = 99 # keep\n")) ||
			!bytes.HasPrefix(out, []byte("# Written by Sharetray")) {
			t.Errorf("%s: %v:\n%s", file, err, out)
		}
		broken := append(bytes.Clone(data), "prot = 1\n"...)
		if _, _, err := decode(file, want.Name, broken, steps); err == nil || !strings.Contains(err.Error(), file+":7: unknown key") {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, _, err := decode("x.toml", want.Name, []byte("version = 4\n"), steps); problem.CodeOf(err) != problem.Invalid {
		t.Errorf("a version from the future: %v", err)
	}
	failing := []migration{func([]byte) ([]byte, error) { return nil, errors.New("no") }}
	if _, _, err := decode("x.toml", want.Name, []byte("version = 1\n"), failing); err == nil || !strings.Contains(err.Error(), "migrate x.toml from version 1: no") {
		t.Errorf("a failing migration: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(byHand))
	f.Add(Encode(Defaults(Proxy)))
	f.Add([]byte("a = { b = [1, {c = 2}] }\n[[x]]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode("x.toml", name(t, "x"), data)
		if err != nil {
			if problem.CodeOf(err) != problem.Invalid {
				t.Fatalf("not a Problem: %v", err)
			}
			return
		}
		out, got, err := Edit("x.toml", s.Name, data, map[string]string{"stop_grace": "17s"})
		s.StopGrace = 17 * time.Second
		if err != nil || got != s {
			t.Fatalf("edit: %+v, %v", got, err)
		}
		if again, err := Decode("x.toml", s.Name, out); err != nil || again != s {
			t.Fatalf("%q reads %+v, %v", out, again, err)
		}
	})
}

// shares generates valid shares.
func shares() *rapid.Generator[Share] {
	return rapid.Custom(func(t *rapid.T) Share {
		s := Defaults(rapid.SampledFrom(Kinds).Draw(t, "kind"))
		s.Name = names().Draw(t, "name")
		s.Port = rapid.Uint16().Draw(t, "port")
		s.Reach = rapid.SampledFrom([]Reach{Local, LAN}).Draw(t, "reach")
		s.Paused, s.Notify = rapid.Bool().Draw(t, "paused"), rapid.Bool().Draw(t, "notify")
		s.StopGrace = time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "stop_grace"))
		limits(t, &s)
		access(t, &s)
		switch s.Kind {
		case Web, Drive, Caddy:
			path := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune(`'"\#=/.`)), rapid.SampledFrom([]rune("\n\r\t\x7f\x1b"))))
			s.Target = filepath.Clean("/" + strings.ReplaceAll(path.Draw(t, "path"), "\x00", ""))
			if s.Kind.HasFolder() {
				s.HiddenFiles, s.Listing = rapid.Bool().Draw(t, "hidden_files"), rapid.Bool().Draw(t, "listing")
			}
		case Proxy:
			scheme := rapid.SampledFrom([]string{"http://", "https://", "h2c://"}).Draw(t, "scheme")
			s.Target = scheme + rapid.SampledFrom([]string{"example.com", "10.0.0.1:99", "[fe80::1]:8080"}).Draw(t, "host")
			s.VerifyTLS = rapid.Bool().Draw(t, "verify_tls")
		case TCP, UDP:
			s.Target = rapid.SampledFrom([]string{"example.com:1", "10.0.0.1:99", "[fe80::1]:8080"}).Draw(t, "address")
		case SOCKS:
			s.Destinations = schema.ListOf(rapid.SliceOfN(rapid.StringMatching(`[a-z0-9.*:,'"#\[\]]+`), 0, 3).Draw(t, "destinations")...)
		case Command:
			s.Target = JoinCommand(append([]string{"x"}, rapid.SliceOf(rapid.StringMatching(`[^\n\r\x00]+x`)).Draw(t, "args")...))
			s.Env = schema.ListOf(rapid.SliceOfN(rapid.StringMatching(`A=[^\n\r\x00]*b`), 0, 3).Draw(t, "env")...)
		}
		return s
	})
}

// access draws who may reach a share.
func access(t *rapid.T, s *Share) {
	s.Networks = schema.ListOf(rapid.SliceOfN(rapid.SampledFrom([]string{"10.0.0.0/8", "::/0", "1.2.3.4/32"}), 0, 3).Draw(t, "networks")...)
	s.Expires = Moment(rapid.Int64Range(0, 1<<36).Draw(t, "expires"))
	if s.Kind.IsHTTP() {
		s.Secret = rapid.SampledFrom([]string{"", "abcdefghijklmnop"}).Draw(t, "secret")
		s.Users = schema.ListOf(rapid.SliceOfN(rapid.StringMatching(`[a-z,"']{1,5}:\$2[aby]\$10\$[./A-Za-z0-9]{53}`), 0, 2).Draw(t, "users")...)
	}
}

// untidy makes of a file one that a person has worked on: lines moved and left
// out, spaces and comments added.
func untidy(t *rapid.T, data []byte) []byte {
	var lines []string
	for _, line := range strings.Split(string(data), "\n") {
		key, value, ok := strings.Cut(line, " = ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if key != "kind" && key != "target" && rapid.IntRange(0, 2).Draw(t, "omit") == 0 {
			continue
		}
		space := rapid.SampledFrom([]string{"", " ", "\t  "})
		line = space.Draw(t, "indent") + key + space.Draw(t, "before") + "=" + space.Draw(t, "after") + value
		lines = append(lines, line+rapid.SampledFrom([]string{"", "  # port = 1", " #"}).Draw(t, "comment"))
	}
	lines = append(lines, "# reach = \"lan\"", "", "#")
	lines = rapid.Permutation(lines).Draw(t, "order")
	eol := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "eol")
	return []byte(strings.Join(lines, eol) + rapid.SampledFrom([]string{"", eol}).Draw(t, "end"))
}

// without is data without the lines and line ends of the keys in changes, but
// with what surrounds their values.
func without(changes map[string]string, data []byte) []byte {
	var out []byte
	for _, line := range bytes.Split(bytes.TrimRight(data, "\r\n"), []byte("\n")) {
		key, _, _ := bytes.Cut(bytes.TrimSpace(line), []byte("="))
		if _, changed := changes[string(bytes.TrimSpace(key))]; !changed {
			out = append(append(out, bytes.TrimRight(line, "\r")...), '\n')
		}
	}
	return out
}

func fieldText(s Share, name string) string {
	for _, k := range Keys {
		if k.Name == name {
			return k.Field(&s).Get()
		}
	}
	return ""
}
