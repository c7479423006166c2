package share

import (
	"strings"
	"testing"

	"sharetray/agentcore/problem"
)

func TestNormalizeTarget(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct {
		kind         Kind
		target, want string
	}{
		{Web, dir, dir},
		{Web, dir + "/sub/../", dir},
		{Proxy, "3000", "http://127.0.0.1:3000"},
		{Proxy, " 3000\n", "http://127.0.0.1:3000"},
		{Proxy, "http://localhost:3000/", "http://localhost:3000"},
		{Proxy, "HTTPS://example.com", "https://example.com"},
		{Proxy, "h2c://[::1]:50051", "h2c://[::1]:50051"},
	} {
		got, err := NormalizeTarget(c.kind, c.target)
		if err != nil || got != c.want {
			t.Errorf("NormalizeTarget(%s, %q) = %q, %v, want %q", c.kind, c.target, got, err, c.want)
		}
		if again, err := NormalizeTarget(c.kind, got); err != nil || again != got {
			t.Errorf("the normal form %q is not: %q, %v", got, again, err)
		}
	}
}

func TestNormalizeTargetRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind             Kind
		target, sentence string
	}{
		{Web, "", "the target is empty: give the folder"},
		{Web, "photos", `"photos" is not an absolute path`},
		{Web, "~/photos", "is not an absolute path"},
		{Web, "/srv/\xff", "can be kept in a text file"},
		{Web, "/srv/\x00", "can be kept in a text file"},
		{Proxy, "", "give the port or the URL"},
		{Proxy, "0", `"0" is no port`},
		{Proxy, "65536", `"65536" is no port`},
		{Proxy, "99999999999999999999", "is no port"},
		{Proxy, "localhost:3000", `the target "localhost:3000" has no scheme: write http://localhost:3000, or only the port: 3000`},
		{Proxy, "127.0.0.1:3000", "write http://127.0.0.1:3000, or only the port: 3000"},
		{Proxy, ":3000", "write only the port: 3000"},
		{Proxy, "example.com:3000", "has no scheme: write http://example.com:3000"},
		{Proxy, "example.com", "has no scheme: write http://example.com"},
		{Proxy, "localhost:99999", "is neither a port nor a URL"},
		{Proxy, "http:localhost", "is neither a port nor a URL"},
		{Proxy, "-1", "has no scheme"},
		{Proxy, "ftp://example.com", "has the scheme ftp: a proxy needs http, https or h2c"},
		{Proxy, "http://localhost:99999", "has a bad port"},
		{Proxy, "http://localhost:0", "has a bad port"},
		{Proxy, "http://localhost:", "has a bad port"},
		{Proxy, "http://localhost:x", "invalid port"},
		{Proxy, "http://:3000", "names no host: write http://127.0.0.1:3000"},
		{Proxy, "http://", "names no host: write http://127.0.0.1"},
		{Proxy, "http://ann:secret@localhost:3000", "holds a user or a password: write http://localhost:3000"},
		{Proxy, "http://ann:secret@localhost:x", `"…@localhost:x" is not a URL`},
		{Proxy, "ann:secret@localhost", `"…@localhost" is neither`},
		{Proxy, "http://localhost:3000/app", "write http://localhost:3000"},
		{Proxy, "http://localhost:3000/?a=b", "write http://localhost:3000"},
		{Proxy, "http://localhost:3000?", "write http://localhost:3000"},
		{Proxy, "http://localhost:3000/#top", "write http://localhost:3000"},
		{Proxy, "http://local host", "contains a space"},
		{Proxy, "http://local\u200bhost", "an invisible character"},
	} {
		got, err := NormalizeTarget(c.kind, c.target)
		if problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), c.sentence) {
			t.Errorf("NormalizeTarget(%s, %q) = %q, %v, want a Problem that says %q", c.kind, c.target, got, err, c.sentence)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is shown: %v", err)
		}
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	proxy := Defaults(Proxy)
	proxy.Name, proxy.Target, proxy.Port = name(t, "app"), "http://localhost:3000", 8080
	if err := proxy.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what     string
		change   func(*Share)
		sentence string
	}{
		{"no name", func(s *Share) { s.Name = Name{} }, "has no name"},
		{"no kind", func(s *Share) { s.Kind = "" }, `kind must be "web" or "drive" or`},
		{"relative folder", func(s *Share) { s.Kind, s.Target = Web, "x" }, `target "x" is not an absolute path`},
		{"unclean target", func(s *Share) { s.Target += "/" }, `target must be written as "http://localhost:3000"`},
		{"reach", func(s *Share) { s.Reach = "world" }, `reach must be "local" or "lan", not "world"`},
		{"negative grace", func(s *Share) { s.StopGrace = -1 }, "stop_grace must be a duration from 0s to 1h"},
		{"long grace", func(s *Share) { s.StopGrace = 1<<63 - 1 }, "stop_grace must be a duration from 0s to 1h"},
		{"itself", func(s *Share) { s.Port = 3000 }, `target "http://localhost:3000" is the share itself, which has port 3000`},
		{"itself by address", func(s *Share) { s.Target, s.Port = "http://127.1.2.3:99", 99 }, "is the share itself"},
		{"itself by IPv6", func(s *Share) { s.Target, s.Port = "http://[::]:99", 99 }, "is the share itself"},
		{"itself by mapped address", func(s *Share) { s.Target, s.Port = "http://[::ffff:127.0.0.1]:99", 99 }, "is the share itself"},
		{"itself by 0.0.0.0", func(s *Share) { s.Target, s.Port = "h2c://0.0.0.0:99", 99 }, "is the share itself"},
		{"itself by default port", func(s *Share) { s.Target, s.Port = "https://app.localhost", 443 }, "is the share itself"},
	} {
		s := proxy
		c.change(&s)
		if err := s.Validate(); problem.CodeOf(err) != problem.Invalid || !strings.Contains(err.Error(), c.sentence) {
			t.Errorf("%s: Validate() = %v, want a Problem that says %q", c.what, err, c.sentence)
		}
	}
	elsewhere := proxy
	elsewhere.Target, elsewhere.Port = "http://example.com:3000", 3000
	if err := elsewhere.Validate(); err != nil {
		t.Errorf("another computer's port is not this share: %v", err)
	}
}
