package words

import "testing"

func TestSay(t *testing.T) {
	t.Parallel()
	l, err := parse("xx", []byte(`
name = "Xish"
[a]
plain = "text"
two = "{2} before {1}, {3}"
share_one = "one share, {2}"
share_many = "{1} shares, {2}"
[sentences]
"port {1} is taken by {2}" = "{2} hat Port {1}"
"{1}: check the spelling" = "{1}: bitte prüfen"
"there is no folder {1}" = "kein Ordner {1}"
`))
	if err != nil || l.Name != "Xish" {
		t.Fatal(l, err)
	}
	for got, want := range map[string]string{
		l.Say("a.plain"):            "text",
		l.Say("a.two", 1, "b"):      "b before 1, {3}",
		l.Count("a.share", 1, "up"): "one share, up",
		l.Count("a.share", 0, "up"): "0 shares, up",
		l.Say("state.ready"):        "up", // which it lacks
		l.Say("a.none"):             "a.none",
		l.Say("a.two", "{2}", "b"):  "b before {2}, {3}",

		l.Sentence("port 80 is taken by nginx (pid 7)"):              "nginx (pid 7) hat Port 80",
		l.Sentence("there is no folder /a b\nc: check the spelling"): "kein Ordner /a b\nc: bitte prüfen",
		l.Sentence("it ended"):                                       "it ended",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, bad := range []string{"a = 1", "x = \"y\"", "[a]\nb = 1", "["} {
		if _, err := parse("xx", []byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestPreferred(t *testing.T) {
	for header, want := range map[string]string{"": "en", "en-US,en;q=0.5": "en", "tlh": "en", "\x00;;q": "en"} {
		if got := Preferred(header); got.Tag != want {
			t.Errorf("%q: %s, want %s", header, got.Tag, want)
		}
	}
	t.Setenv("LC_ALL", "")
	t.Setenv("LC_MESSAGES", "en_GB.UTF-8")
	if got := OfSystem(); got.Tag != "en" {
		t.Error(got.Tag)
	}
	t.Setenv("LC_ALL", "C")
	if got := OfSystem(); got.Tag != "en" {
		t.Error(got.Tag)
	}
	if len(Languages()) != len(Tags()) || English().Tag != "en" || !English().Has("state.ready") || English().Has("state.") {
		t.Error(Tags())
	}
}
