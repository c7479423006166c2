package share

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharetray/agentcore/share/schema"
)

const socksFile = `kind = "socks"
"destinations" = [ # closed otherwise
  "example.org:443", 'a.example.org', # "]"
  """10.0.0.0/8:22"""
] # the end
networks = ["10.1.2.3"]
expires = 2030-01-02T03:04:05Z
`

// TestListsAreRead: arrays over several lines, with comments and every kind of
// quotes, are read, and replaced as a whole.
func TestListsAreRead(t *testing.T) {
	t.Parallel()
	s, err := Decode("s.toml", name(t, "s"), []byte(socksFile))
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Destinations.Values(); !reflect.DeepEqual(got, []string{"example.org:443", "a.example.org", "10.0.0.0/8:22"}) {
		t.Errorf("%q", got)
	}
	if got := s.Networks.Values(); !reflect.DeepEqual(got, []string{"10.1.2.3/32"}) {
		t.Errorf("%q", got)
	}
	if s.Expires != Moment(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC).Unix()) {
		t.Error(s.Expires)
	}
	edited, again, err := Edit("s.toml", s.Name, []byte(socksFile), map[string]string{"destinations": "x.org:1,y.org:2", "networks": ""})
	if err != nil {
		t.Fatal(err)
	}
	want := "kind = \"socks\"\n\"destinations\" = [\"x.org:1\", \"y.org:2\"] # the end\nnetworks = []\n"
	if !strings.HasPrefix(string(edited), want) || again.Networks != "" {
		t.Errorf("%s", edited)
	}
}

func TestListsRefuse(t *testing.T) {
	t.Parallel()
	for text, sentence := range map[string]string{
		`networks = "10.0.0.1"`:            `s.toml:2: networks must be a list of networks such as ["192.168.1.0/24"], in brackets, not "10.0.0.1"`,
		`networks = [1]`:                   `must be a list of networks`,
		`networks = [["10.0.0.0/8"]]`:      `must be a list of networks`,
		`networks = ["10.0.0.1/8"]`:        `"10.0.0.1/8" is an address in the network 10.0.0.0/8: write that`,
		`networks = ["lan"]`:               `but "lan" is none`,
		`networks = [""]`:                  `is empty or has a line break`,
		`networks = ["a\nb"]`:              `is empty or has a line break`,
		`networks = [`:                     `is not valid TOML`,
		`users = ["ann"]`:                  `"ann" is not of that form`,
		`users = ["ann:secret"]`:           `has no bcrypt hash after the colon`,
		`secret = "short"`:                 `must be 16 to 128 letters and digits`,
		`expires = "soon"`:                 `must be "never" or a time such as`,
		`expires = 12`:                     `must be "never" or a time such as "2026-12-31 18:00", in quotes, not 12`,
		`hosts = ["a b"]`:                  `is no name of a host`,
		`tls = "own"`:                      `needs a certificate`,
		`tls_cert = "cert.pem"`:            `must be the whole path of a file`,
		`notify_of = ["everything"]`:       `"everything" is none of them`,
		`reach = ["lan"]`:                  `not a list`,
		`destinations = []`:                `is for socks shares`,
		`downloads = -1`:                   `0 (no limit)`,
		`tls = "on"`:                       `must be "off" or "local" or "own"`,
		"networks = [\"10.0.0.0/8\"]\n[x]": `unknown key`,
	} {
		_, err := Decode("s.toml", name(t, "s"), []byte("target = \"/srv\"\n"+text+"\nkind = \"web\"\n"))
		if strings.HasSuffix(text, "[x]") {
			_, err = Decode("s.toml", name(t, "s"), []byte("kind = \"web\"\ntarget = \"/srv\"\n"+text+"\n"))
		}
		if err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestListText: what a list's text says, it says again.
func TestListText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.StringMatching(`[^\n\r\x00]+`), 0, 5).Draw(t, "values")
		var l schema.List
		same := func(s string) (string, error) { return s, nil }
		v := schema.Texts(&l, "", same)
		if err := v.Set(ListText(values...)); err != nil {
			t.Fatal(err)
		}
		if len(values) > 0 && !reflect.DeepEqual(l.Values(), values) {
			t.Fatalf("%q is %q", values, l.Values())
		}
	})
}

func TestParseExpiry(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.Local)
	for text, want := range map[string]time.Time{
		"2h": now.Add(2 * time.Hour), "3d": now.Add(72 * time.Hour), "1d12h": now.Add(36 * time.Hour), "90s": now.Add(90 * time.Second),
		"2026-12-31 18:00": time.Date(2026, 12, 31, 18, 0, 0, 0, time.Local), "2026-12-31": time.Date(2026, 12, 31, 0, 0, 0, 0, time.Local),
	} {
		if got, err := ParseExpiry(text, now); err != nil || got != Moment(want.Unix()).String() {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	if got, err := ParseExpiry("never", now); got != "never" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	for _, text := range []string{"", "2", "0h", "-2h", "d", "xd", "2d2d", "tomorrow", "2026-13-01"} {
		if got, err := ParseExpiry(text, now); err == nil {
			t.Errorf("%s: %s", text, got)
		}
	}
	if m := Moment(now.Unix()); !m.Passed(now) || m.Passed(now.Add(-time.Second)) || Moment(0).Passed(now) {
		t.Error("Passed")
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		`a b  c`:                 {"a", "b", "c"},
		`a 'b c' "d \" \\ e"`:    {"a", "b c", `d " \ e`},
		`C:\x\y.exe '' --a='b'c`: {`C:\x\y.exe`, "", "--a=bc"},
	} {
		if got, err := SplitCommand(line); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{"", " ", `a 'b`, `"`, `'' a`} {
		if got, err := SplitCommand(line); err == nil {
			t.Errorf("%s: %q", line, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		args := append([]string{"x"}, rapid.SliceOf(rapid.StringMatching(`[^\n\r\x00]*`)).Draw(t, "args")...)
		if got, err := SplitCommand(JoinCommand(args)); err != nil || !reflect.DeepEqual(got, args) {
			t.Fatalf("%q: %q, %v", args, got, err)
		}
	})
}
