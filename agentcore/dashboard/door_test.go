package dashboard

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/store"
	"sharetray/agentcore/supervise"
	"sharetray/agentcore/words"
)

// quietAgent has one share and notes what it is asked to do. What it does not have is
// asked of nobody here.
type quietAgent struct {
	Agent
	did []string
}

func (a *quietAgent) Info() agentcore.Info      { return agentcore.Info{Version: "v1"} }
func (a *quietAgent) Settings() store.Settings  { return store.DefaultSettings() }
func (a *quietAgent) Language() *words.Language { return words.English() }
func (a *quietAgent) List() []agentcore.Status {
	return []agentcore.Status{{Name: "Photos", State: supervise.Ready}}
}
func (a *quietAgent) Subscribe() ([]agentcore.Status, <-chan agentcore.Event, func()) {
	return a.List(), make(chan agentcore.Event), func() {}
}
func (a *quietAgent) Stop(_ context.Context, name string) (agentcore.Status, error) {
	a.did = append(a.did, "stop "+name)
	return agentcore.Status{}, nil
}
func (a *quietAgent) Discard(_ context.Context, name string) (agentcore.Discarded, error) {
	a.did = append(a.did, "remove "+name)
	return agentcore.Discarded{Name: name}, nil
}

// serve serves a dashboard until the test ends.
func serve(t *testing.T, a Agent, state string) (d *Dashboard, base string) {
	t.Helper()
	d = New(a, Options{State: state})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	address, err := d.Address(ctx, "/")
	if err != nil {
		t.Fatal(err)
	}
	return d, address[:strings.Index(address, "/enter/")]
}

// enter is a browser that was let in.
func enter(t *testing.T, d *Dashboard) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	address, err := d.Address(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	resp, err := c.Get(address)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	return c
}

func TestOnlyTheUsersBrowserIsLetIn(t *testing.T) {
	t.Parallel()
	a := &quietAgent{}
	d, base := serve(t, a, t.TempDir())
	c := enter(t, d)
	own, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	same := map[string]string{"Origin": base, "Sec-Fetch-Site": "same-origin"}
	for _, q := range []struct {
		what, method, path string
		head               map[string]string // Host too
		want               int
		did                bool
	}{
		{"as it should be", "POST", "/shares/Photos/stop", same, 303, true},
		{"an older browser", "POST", "/shares/Photos/stop", map[string]string{"Origin": base}, 303, true},
		{"a page", "GET", "/", nil, 200, false},
		{"DNS rebinding", "GET", "/", map[string]string{"Host": "evil.example:" + own.Port()}, 421, false},
		{"localhost, which is another origin", "GET", "/", map[string]string{"Host": "localhost:" + own.Port()}, 421, false},
		{"rebinding, to act", "POST", "/shares/Photos/stop", map[string]string{"Host": "evil.example:" + own.Port(), "Origin": "http://evil.example:" + own.Port(), "Sec-Fetch-Site": "same-origin"}, 421, false},
		{"another site", "POST", "/shares/Photos/stop", map[string]string{"Origin": "http://evil.example"}, 403, false},
		{"another port", "POST", "/shares/Photos/stop", map[string]string{"Origin": "http://127.0.0.1:1"}, 403, false},
		{"https", "POST", "/shares/Photos/stop", map[string]string{"Origin": "https://" + own.Host}, 403, false},
		{"null", "POST", "/shares/Photos/remove", map[string]string{"Origin": "null"}, 403, false},
		{"no origin", "POST", "/shares/Photos/remove", nil, 403, false},
		{"cross-site, to read", "GET", "/", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, false},
		{"same-site, which another port is", "GET", "/", map[string]string{"Sec-Fetch-Site": "same-site"}, 403, false},
		{"cross-site events", "GET", "/live", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, 403, false},
		{"null, to read", "GET", "/", map[string]string{"Origin": "null"}, 403, false},
		{"in a frame", "GET", "/", map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "iframe"}, 403, false},
		{"a preflight", "OPTIONS", "/shares/Photos/stop", map[string]string{"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}, 403, false},
		{"an action by GET", "GET", "/shares/Photos/stop", same, 404, false},
		{"a bookmark", "GET", "/", map[string]string{"Sec-Fetch-Site": "none"}, 200, false},
	} {
		a.did = nil
		r, err := http.NewRequest(q.method, base+q.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range q.head {
			r.Header.Set(k, v)
		}
		if h := q.head["Host"]; h != "" {
			r.Host = h
		}
		once := *c
		once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		resp, err := once.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != q.want || (len(a.did) > 0) != q.did {
			t.Errorf("%s: %d, want %d; did %v", q.what, resp.StatusCode, q.want, a.did)
		}
		if q.want >= 400 && q.want != 404 && strings.Contains(string(body), "Photos") {
			t.Errorf("%s: it tells of shares", q.what)
		}
		h := resp.Header
		if h.Get("Access-Control-Allow-Origin") != "" || h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: %v", q.what, h)
		}
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	a := &quietAgent{}
	state := t.TempDir()
	d, base := serve(t, a, state)
	get := func(address, cookie string) (int, http.Header) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if cookie != "" {
			r.Header.Set("Cookie", cookie)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header
	}
	address, err := d.Address(t.Context(), "/shares/a b")
	if err != nil {
		t.Fatal(err)
	}
	status, h := get(address, "")
	cookie := h.Get("Set-Cookie")
	if status != 303 || h.Get("Location") != "/shares/a b" && h.Get("Location") != "/shares/a%20b" ||
		!strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") || strings.Contains(cookie, "Domain") {
		t.Fatalf("%d %v", status, h)
	}
	if status, _ := get(address, ""); status != 401 {
		t.Errorf("the address is good again: %d", status)
	}
	value, _, _ := strings.Cut(cookie, ";")
	if status, _ := get(base+"/", value); status != 200 {
		t.Errorf("the cookie is no good: %d", status)
	}
	if status, _ := get(address, value); status != 303 {
		t.Errorf("who is in can't go back to the address: %d", status)
	}
	name, _, _ := strings.Cut(value, "=")
	for _, forged := range []string{"", name + "=", name + "=x", name + "=1.2.3", value[:len(value)-2] + "xx", strings.Replace(value, "=", "=9", 1)} {
		if status, _ := get(base+"/", forged); status != 401 {
			t.Errorf("%q is let in: %d", forged, status)
		}
	}
	for _, to := range []string{"//evil.example", "https://evil.example", `/\evil.example`, "evil", "/a\r\nX: y"} {
		address, err := d.Address(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		if _, h := get(address, ""); h.Get("Location") != "/" {
			t.Errorf("%q leads to %q", to, h.Get("Location"))
		}
		address, err = d.Address(t.Context(), "/")
		if err != nil {
			t.Fatal(err)
		}
		if _, h := get(address+"?to="+url.QueryEscape(to), ""); h.Get("Location") != "/" {
			t.Errorf("%q leads to %q", to, h.Get("Location"))
		}
	}
	if info, err := os.Stat(filepath.Join(state, fileName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if status, _ := get(base+"/style.css", ""); status != 200 {
		t.Errorf("a page that refuses has no style: %d", status)
	}
}

// TestTheNextAgentKnowsTheBrowser: at the same address, with the same cookie.
func TestTheNextAgentKnowsTheBrowser(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	var c *http.Client
	var before string
	t.Run("the first", func(t *testing.T) {
		d, base := serve(t, &quietAgent{}, state)
		c, before = enter(t, d), base
		c.CloseIdleConnections()
	})
	_, base := serve(t, &quietAgent{}, state)
	if base != before {
		t.Fatalf("it moved from %s to %s", before, base)
	}
	resp, err := c.Get(base + "/")
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}

func TestTokensAndSessionsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, err := openDoor(filepath.Join(t.TempDir(), "none"))
		if err != nil {
			t.Fatal(err)
		}
		d.host = "127.0.0.1:1"
		token := func() string {
			address := d.address("/")
			return address[strings.LastIndex(address, "/")+1:]
		}
		late := token()
		time.Sleep(tokenLife + time.Second)
		if d.redeem(late) {
			t.Error("a token is good for ever")
		}
		for range 10 * maxTokens {
			token()
		}
		if len(d.tokens) > maxTokens {
			t.Errorf("%d tokens are remembered", len(d.tokens))
		}
		session := d.newSession(time.Now())
		if _, ok := d.known(session, time.Now()); !ok {
			t.Error("a session is not known")
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(&http.Cookie{Name: d.cookie(), Value: session})
		if d.renew(w, r, time.Now()); w.Header().Get("Set-Cookie") != "" {
			t.Error("renewed at once")
		}
		time.Sleep(sessionLife / 2)
		if d.renew(w, r, time.Now()); w.Header().Get("Set-Cookie") == "" {
			t.Error("not renewed")
		}
		time.Sleep(sessionLife)
		if _, ok := d.known(session, time.Now()); ok {
			t.Error("a session is good for ever")
		}
	})
}
