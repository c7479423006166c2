package process

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

func caddyfileOf(t *testing.T, name, text string) share.Share {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return share.Share{Kind: share.Caddy, Target: path}
}

// serveCaddyfile starts a share process whose share has the port of its socket.
func serveCaddyfile(t *testing.T, s share.Share, more ...*platform.Socket) (*child, link.Message, error) {
	t.Helper()
	p := startChild(t)
	p.hello()
	sock := listen(t)
	s.Port = sock.Addr().Port()
	p.addr = sock.Addr().String()
	a, err := p.ask(p.message(s), append([]*platform.Socket{sock}, more...)...)
	return p, a, err
}

func TestCaddyfile(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ name, text string }{
		"a site":           {"Caddyfile", ":80 {\n\trespond /x \"hello {path}\"\n}\n"},
		"without a port":   {"Caddyfile", "http:// {\n\trespond /x \"hello {path}\"\n}\n"},
		"an admin":         {"Caddyfile", "{\n\tadmin 127.0.0.1:1\n\tpersist_config off\n}\n:80\nrespond /x \"hello {path}\"\n"},
		"JSON":             {"caddy.json", `{"admin":{"listen":"127.0.0.1:1"},"apps":{"http":{"servers":{"a":{"listen":[":80"],"routes":[{"match":[{"path":["/x"]}],"handle":[{"handler":"static_response","body":"hello {http.request.uri.path}"}]}]}}}}}`},
		"handles, matches": {"Caddyfile", ":80 {\n\thandle_path /y/* {\n\t\trespond wrong\n\t}\n\t@x path /x\n\trespond @x \"hello {path}\"\n}\n"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p, _, err := serveCaddyfile(t, caddyfileOf(t, c.name, c.text))
			if err != nil {
				t.Fatal(err)
			}
			if a := p.get("/x"); a.StatusCode != 200 || a.body != "hello /x" {
				t.Errorf("%d %q", a.StatusCode, a.body)
			}
			if a := p.get("/", link.ProbeHeader+": "+p.probe); a.Header.Get(link.NonceHeader) != p.nonce {
				t.Errorf("the probe was answered by %d", a.StatusCode)
			}
			if a := p.get("/x", "Host: evil.org"); a.StatusCode != http.StatusMisdirectedRequest {
				t.Errorf("by another name: %d", a.StatusCode)
			}
		})
	}
}

func TestCaddyfileRefuses(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct{ name, text, want string }{
		"syntax":       {"Caddyfile", ":80 {\n\trespond ok\n", "Caddyfile:2"},
		"directive":    {"Caddyfile", ":80 {\n\n\tbogus\n}\n", "Caddyfile:3: unrecognized directive: bogus"},
		"empty":        {"Caddyfile", "", "has no site to serve"},
		"Unix sockets": {"Caddyfile", ":80 {\n\tbind unix//tmp/x\n}\n", "only TCP ports can be shared"},
		"not JSON":     {"x.json", "{", "is not Caddy's JSON"},
		"JSON":         {"x.json", `{"apps":{"http":{"servers":{"a":{"listen":[":80"],"bogus":1}}}}}`, "bogus"},
		"no site":      {"x.json", `{"apps":{}}`, "has no site to serve"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			p, _, err := serveCaddyfile(t, caddyfileOf(t, c.name, c.text))
			refused, ok := errors.AsType[*link.Refused](err)
			if !ok || !refused.Permanent || !strings.Contains(refused.Sentence, c.want) {
				t.Errorf("%v", err)
			}
			if code := p.exit(); code != link.ExitConfig {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestCaddyfilePorts: the process says which sockets it lacks, and serves once it
// has them.
func TestCaddyfilePorts(t *testing.T) {
	t.Parallel()
	more := listen(t)
	s := caddyfileOf(t, "Caddyfile", ":80 {\n\trespond one\n}\n:"+strings.TrimPrefix(more.Addr().String(), "127.0.0.1:")+" {\n\trespond two\n}\n")
	p := startChild(t)
	p.hello()
	own := listen(t)
	s.Port = own.Addr().Port()
	_, err := p.ask(p.message(s), own)
	refused, ok := errors.AsType[*link.Refused](err)
	if !ok || refused.Permanent || len(refused.Listen) != 1 || refused.Listen[0] != more.Addr().Port() {
		t.Fatalf("%v", err)
	}
	if a := p.mustAsk(p.message(s), own, more); len(a.Listen) != 1 || a.Listen[0] != more.Addr().Port() {
		t.Errorf("%+v", a)
	}
	for _, c := range []struct {
		sock *platform.Socket
		want string
	}{{own, "one"}, {more, "two"}} {
		p.addr = c.sock.Addr().String()
		if a := p.get("/"); a.body != c.want {
			t.Errorf("%s: %d %q", p.addr, a.StatusCode, a.body)
		}
	}
	p.askToStop()
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
