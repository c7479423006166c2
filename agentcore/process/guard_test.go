package process

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
	"sharetray/agentcore/share/schema"
)

func user(t *testing.T, name, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return name + ":" + string(hash)
}

func basicAuth(user, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return "Authorization: " + r.Header.Get("Authorization")
}

const aSecret = "abcdefghijklmnop1234"

func TestGuarded(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"a": "hello", "sub/b": "deep"})
	ann := schema.ListOf(user(t, "ann", "right"))
	for _, c := range []struct {
		what          string
		share         share.Share
		path          string
		header        []string
		status        int
		body, notBody string
	}{
		{"no password", share.Share{Users: ann}, "/a", nil, 401, "needs a name and a password", "hello"},
		{"wrong password", share.Share{Users: ann}, "/a", []string{basicAuth("ann", "wrong")}, 401, "needs a name", "hello"},
		{"right password", share.Share{Users: ann}, "/a", []string{basicAuth("ann", "right")}, 200, "hello", ""},
		{"no secret", share.Share{Secret: aSecret}, "/a", nil, 404, "not whole", "hello"},
		{"wrong secret", share.Share{Secret: aSecret}, "/s/abcdefghijklmnop1235/a", nil, 404, "not whole", "hello"},
		{"secret", share.Share{Secret: aSecret}, "/s/" + aSecret + "/a", nil, 200, "hello", ""},
		{"listing behind a secret", share.Share{Secret: aSecret, Listing: true}, "/s/" + aSecret + "/sub/", []string{"Accept: text/html"}, 200, `"./b"`, ""},
		{"folder behind a secret", share.Share{Secret: aSecret, Listing: true}, "/s/" + aSecret + "/sub", nil, 308, "", ""},
		{"another name", share.Share{}, "/a", []string{"Host: evil.org"}, 421, "not known by that name", "hello"},
		{"another name that is allowed", share.Share{Hosts: "evil.org"}, "/a", []string{"Host: evil.org"}, 200, "hello", ""},
		{"outside", share.Share{Networks: "10.0.0.0/8"}, "/a", nil, 403, "", "a"},
		{"inside", share.Share{Networks: "10.0.0.0/8\n127.0.0.0/8"}, "/a", nil, 200, "hello", ""},
		{"expired", share.Share{Expires: 1}, "/a", nil, 410, "expired", "hello"},
		{"expired, to browsers", share.Share{Expires: 1}, "/a", []string{"Accept: text/html"}, 410, "<h1>This share has expired</h1>", "hello"},
		{"not yet", share.Share{Expires: 1 << 40}, "/a", nil, 200, "hello", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			c.share.Kind, c.share.Target = share.Web, dir
			p := serve(t, c.share)
			a := p.get(c.path, c.header...)
			if a.StatusCode != c.status || !strings.Contains(a.body, c.body) || c.notBody != "" && strings.Contains(a.body, c.notBody) {
				t.Errorf("%d %q", a.StatusCode, a.body)
			}
			if c.what == "folder behind a secret" && a.Header.Get("Location") != "/s/"+aSecret+"/sub/" {
				t.Errorf("it leads to %q", a.Header.Get("Location"))
			}
			// Whatever the rules, the supervisor's own request is answered.
			if a := p.get("/", link.ProbeHeader+": "+p.probe, "Host: evil.org"); a.Header.Get(link.NonceHeader) != p.nonce {
				t.Errorf("the probe was answered by %d", a.StatusCode)
			}
			if vs := p.mustAsk(link.Message{Type: link.TypeGuests}).Guests; (len(vs) == 1) != (c.status < 400) {
				t.Errorf("visitors: %+v", vs)
			}
		})
	}
}

// TestAppsDoNotHearSecrets: an app behind a share learns who came, not by which
// password or cookie.
func TestAppsDoNotHearSecrets(t *testing.T) {
	t.Parallel()
	app := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q %q", r.URL, r.Header["Authorization"], r.Header["Cookie"])
	})
	p := serve(t, share.Share{Kind: share.Proxy, Target: app, Users: schema.ListOf(user(t, "ann", "right")), Secret: aSecret})
	if a := p.get("/x?y", basicAuth("ann", "right"), "Cookie: theirs=1"); a.body != `/x?y [] ["theirs=1"]` {
		t.Error(a.body)
	}
	a := p.get("/s/" + aSecret + "/x%2Fy?z")
	if a.body != `/x%2Fy?z [] []` {
		t.Error(a.body)
	}
	cookie, _, _ := strings.Cut(a.Header.Get("Set-Cookie"), ";")
	if a := p.get("/x", "Cookie: "+cookie+"; theirs=1"); a.body != `/x [] ["theirs=1"]` {
		t.Error(a.body)
	}
	open := serve(t, share.Share{Kind: share.Proxy, Target: app})
	if a := open.get("/", basicAuth("of", "the app")); !strings.Contains(a.body, "Basic ") {
		t.Errorf("an app's own passwords do not reach it: %s", a.body)
	}
}

// TestExpiresWhileItServes: visitors are turned away, and the agent is told.
func TestExpiresWhileItServes(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"a": "hello"})
	end := time.Now().Add(2 * time.Second)
	p := serve(t, share.Share{Kind: share.Web, Target: dir, Expires: share.Moment(end.Unix())})
	if a := p.get("/a"); a.StatusCode != 200 && time.Now().Before(time.Unix(end.Unix(), 0)) {
		t.Errorf("%d before its end", a.StatusCode)
	}
	h := p.told("that it has expired", func(h link.Health) bool { return h.Expired != "" })
	if !strings.Contains(h.Expired, "it has expired on "+end.Format(time.DateOnly)) {
		t.Error(h.Expired)
	}
	if a := p.get("/a"); a.StatusCode != http.StatusGone {
		t.Errorf("%d", a.StatusCode)
	}
}

// TestDownloadsOutliveTheProcess: the last download is the last, whichever process
// sends it.
func TestDownloadsOutliveTheProcess(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"a.bin": "hello", "index.html": "<p>"})
	s := share.Share{Kind: share.Web, Target: dir, Downloads: 2}
	first := serve(t, s)
	for _, want := range []int{200, 200} {
		if a := first.get("/"); a.StatusCode != want {
			t.Errorf("a page: %d", a.StatusCode)
		}
	}
	if a := first.get("/a.bin"); a.StatusCode != 200 {
		t.Errorf("%d", a.StatusCode)
	}
	first.signal("KILL")
	first.exit()
	second := startChild(t)
	second.hello()
	second.log = first.log
	second.serveOn(s, listen(t))
	if a := second.get("/a.bin"); a.StatusCode != 200 {
		t.Errorf("the second: %d", a.StatusCode)
	}
	for _, path := range []string{"/a.bin", "/"} {
		if a := second.get(path); a.StatusCode != http.StatusGone {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	second.told("the end", func(h link.Health) bool { return strings.Contains(h.Expired, "number of downloads") })
}

// TestUse: what visitors do is counted and told.
func TestUse(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{"a.bin": strings.Repeat("x", 100_000)})
	p := serve(t, share.Share{Kind: share.Web, Target: dir, AccessLog: true})
	p.get("/a.bin", "User-Agent: tester")
	h := p.told("what was sent", func(h link.Health) bool { return h.BytesOut == 100_000 })
	if h.Requests != 1 {
		t.Errorf("%+v", h.Use)
	}
	vs := p.mustAsk(link.Message{Type: link.TypeGuests}).Guests
	if len(vs) != 1 || vs[0].Addr != "127.0.0.1" || vs[0].Agent != "tester" || vs[0].Path != "/a.bin" || vs[0].BytesOut != 100_000 {
		t.Errorf("%+v", vs)
	}
	p.askToStop()
	p.exit()
	if log := readFile(t, strings.TrimSuffix(p.log, "log")+"access.log"); !strings.Contains(log, `"GET /a.bin HTTP/1.1" 200 100000 "" "tester"`) {
		t.Errorf("%q", log)
	}
}
