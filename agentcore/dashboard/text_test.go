package dashboard

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"net/url"

	"sharetray/agentcore/link"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/words"
)

func TestReadable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain\r\n":                        "plain",
		"tab\tcafé 写真 🎉":                   "tab\tcafé 写真 🎉",
		"\x1b[1;31mred\x1b[0m":             "red",
		"\x1b[2J\x1b]0;title\a":            `\x1b[2J\x1b]0;title\x07`,
		"\x00\xff\xc3":                     `\x00\xff\xc3`,
		"a\u202eb":                         `a\u202eb`,
		strings.Repeat("x", 3000):          strings.Repeat("x", lineLimit) + "…",
		strings.Repeat("\xff", 100_000):    strings.Repeat(`\xff`, lineLimit) + "…",
		"\x1b[" + strings.Repeat("1;", 50): `\x1b[` + strings.Repeat("1;", 50),
	} {
		if got := readable([]byte(in)); got != want {
			t.Errorf("%.40q is shown as %.80q", in, got)
		}
	}
}

// TestLinesHoweverTheyCome: in pieces, without an end, very long.
func TestLinesHoweverTheyCome(t *testing.T) {
	t.Parallel()
	to := make(chan []string, 100)
	w := &lineWriter{ctx: t.Context(), to: to}
	for _, part := range []string{"on", "e\ntwo\nthr", "ee", "\n", strings.Repeat("x", 1<<20), "y\nlast\n", strings.Repeat("many\n", 1000)} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	close(to)
	var got []string
	for batch := range to {
		if len(batch) > logBatch {
			t.Errorf("%d lines at once", len(batch))
		}
		got = append(got, batch...)
	}
	if len(got) != 1005 || !slices.Equal(got[:3], []string{"one", "two", "three"}) || got[4] != "last" || len(got[3]) > lineLimit+len("…") {
		t.Errorf("%d lines, %.200q", len(got), got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&lineWriter{ctx: ctx, to: make(chan []string)}).Write([]byte("x\n")); err == nil {
		t.Error("nobody reads, and it waits")
	}
}

func TestPlots(t *testing.T) {
	t.Parallel()
	s := newSamples()
	now := time.Unix(1_000_000, 0)
	s.add("a", link.Use{Requests: 10, BytesOut: 100}, now)
	s.add("a", link.Use{Requests: 13, BytesOut: 150}, now.Add(time.Second))
	s.add("a", link.Use{Requests: 14, BytesOut: 150}, now.Add(bucketTime))
	s.add("a", link.Use{Requests: 1}, now.Add(2*bucketTime)) // counted from nothing: another agent
	s.add("a", link.Use{Requests: 3}, now.Add(2*bucketTime))
	requests, bytes := s.recent("a", now.Add(2*bucketTime))
	if end := requests[bucketCount-3:]; !slices.Equal(end, []uint64{3, 1, 2}) || bytes[bucketCount-3] != 50 {
		t.Errorf("%v %v", end, bytes[bucketCount-3:])
	}
	if requests, _ := s.recent("a", now.Add(time.Hour)); requests != [bucketCount]uint64{} {
		t.Errorf("an hour later: %v", requests)
	}
	svg := string(plot(requests, `<b>"`))
	if strings.Contains(svg, "<b>") || !strings.Contains(svg, "M228 ") {
		t.Error(svg)
	}
	s.forget("a")
	if len(s.of) != 0 {
		t.Error("a share is remembered that is no more")
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	en := text{words.English()}
	form := url.Values{"target": {" /srv/x "}, "reach": {"lan"}, "port": {""}, "memory": {""}, "expires": {"2h"}, "hidden_files": {"true"},
		"networks": {"10.0.0.0/8\r\n\r\n192.168.1.7\r\n"}, "password": {"secret"}, "secret": {"on"}, "name": {" My files "}, "notify_of": {"visitor\nupload"}}
	f := fill(en, form, share.Defaults(share.Web))
	if len(f.wrong) > 0 || f.name != "My files" {
		t.Fatalf("%v %q", f.wrong, f.name)
	}
	want := map[string]string{"target": "/srv/x", "reach": "lan", "expires": "2h", "hidden_files": "true", "networks": "10.0.0.0/8,192.168.1.7",
		"secret": "new", "notify_of": "visitor,upload", "notify": "false", "listing": "false", "access_log": "false"}
	for k, v := range want {
		if f.changes[k] != v {
			t.Errorf("%s is %q, want %q", k, f.changes[k], v)
		}
	}
	if p := f.changes["password"]; !strings.HasPrefix(p, "guest:$2") || strings.Contains(p, "secret") {
		t.Errorf("the password is %q", p)
	}
	if len(f.changes) != len(want)+1 {
		t.Errorf("%v", f.changes)
	}
	f = fill(en, url.Values{"target": {"x"}, "port": {"70000"}, "memory": {"lots"}, "password": {strings.Repeat("x", 100)}, "expires": {"soon"}}, share.Defaults(share.Web))
	for _, k := range []string{"target", "port", "memory", "users", "expires"} {
		if f.wrong[k] == "" {
			t.Errorf("%s is taken", k)
		}
	}
}

// TestBlame: what the agent refuses stands beside the field that it is about.
func TestBlame(t *testing.T) {
	t.Parallel()
	for sentence, want := range map[string]string{
		"there is no folder /x: check the spelling":                    "target",
		"the folder /x can't be read: permission denied":               "target",
		"the target is empty: give the folder to share":                "target",
		"port 80 is in use by nginx (pid 7): choose another port":      "port",
		"port must be a whole number":                                  "port",
		`the name "a/b" contains '/'`:                                  "name",
		"networks must be a list":                                      "networks",
		"tls is \"own\", which needs a certificate: give tls_cert":     "tls",
		"the disk is full: nothing was changed; make room":             "",
		"the agent is ending: try again when it has":                   "",
		"there is no program nope: check the spelling, or give a path": "target",
	} {
		f := filled{wrong: map[string]string{}}
		var b formBody
		f.blame(text{words.English()}, problem.New(problem.Conflict, "%s", sentence), &b)
		if f.wrong[want] == "" && (want != "" || b.Wrong == "") {
			t.Errorf("%q: %v, %q", sentence, f.wrong, b.Wrong)
		}
	}
}
