package access

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const token = "0123456789abcdefghij"

func users(t testing.TB, namesAndPasswords ...string) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	for i := 0; i < len(namesAndPasswords); i += 2 {
		h, err := bcrypt.GenerateFromPassword([]byte(namesAndPasswords[i+1]), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		m[namesAndPasswords[i]] = h
	}
	return m
}

// clock is a time that stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// ask has a guard judge a request from addr, with headers in pairs.
func ask(g *Guard, addr, target string, header ...string) (Verdict, *http.Request, http.Header) {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr = addr + ":1234"
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	return g.Admit(w, r), r, w.Header()
}

func basic(user, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

func TestHosts(t *testing.T) {
	t.Parallel()
	g := New(Rules{Local: []string{"box", "box.local"}, Hosts: []string{"demo.example.org", "*.tunnel.dev"}}, nil)
	for host, ok := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:80": true, "[::1]:80": true, "[fe80::1%25eth0]:80": true, "::1": true, "10.1.2.3:99999": true, "": true,
		"localhost": true, "LOCALHOST:1": true, "localhost.": true, "a.localhost:3": true, "box": true, "Box.local:80": true, "box.local.": true,
		"demo.example.org:443": true, "x.tunnel.dev": true, "x.y.tunnel.dev": true,
		"tunnel.dev": false, ".tunnel.dev": false, "evil.org": false, "evil.org:80": false, "demo.example.org.evil.org": false, "xdemo.example.org": false,
		"notlocalhost": false, "localhost.evil.org": false, "127.0.0.1.evil.org": false, "box.evil": false, "[evil.org]": false, "0x7f.1": false,
		"2130706433": false, "127.1": false, "evil.org:80:80": false, "%": false,
	} {
		v, _, _ := ask(g, "127.0.0.1", "/", "Host", host)
		if (v.Status == 0) != ok {
			t.Errorf("%q: %+v", host, v)
		}
	}
	// Who needs a password anyway is not asked for the name.
	if v, _, _ := ask(New(Rules{Users: users(t, "ann", "x")}, nil), "127.0.0.1", "/", "Host", "evil.org"); v.Status != Unauthorized {
		t.Errorf("%+v", v)
	}
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	ns, err := ParseNetworks([]string{"192.168.1.0/24", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	g := New(Rules{Networks: ns, Users: users(t, "ann", "x")}, nil)
	for addr, want := range map[string]int{
		"192.168.1.7": Unauthorized, "[fd00::1]": Unauthorized, "[::ffff:192.168.1.7]": Unauthorized, "192.168.2.7": Outside, "[fe80::1]": Outside, "127.0.0.1": Outside,
	} {
		v, _, h := ask(g, addr, "/", "X-Forwarded-For", "192.168.1.7", "Authorization", basic("ann", "y"))
		if v.Status != want || want == Outside && len(h) > 0 {
			t.Errorf("%s: %+v %v", addr, v, h)
		}
	}
	if _, err := ParseNetworks([]string{"lan"}); err == nil {
		t.Error("lan is a network")
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	g := New(Rules{Name: "my \"é\" share", Users: users(t, "ann", "right", "bob", "of bob")}, nil)
	for _, c := range []struct {
		header string
		status int
		user   string
	}{
		{"", Unauthorized, ""}, {"Bearer x", Unauthorized, ""}, {"Basic !!", Unauthorized, ""}, {basic("ann", "wrong"), Unauthorized, ""},
		{basic("nobody", "right"), Unauthorized, ""}, {basic("ann", "of bob"), Unauthorized, ""}, {basic("", ""), Unauthorized, ""},
		{basic("ann", "right"), 0, "ann"}, {basic("ann", "right"), 0, "ann"}, {basic("bob", "of bob"), 0, "bob"},
	} {
		v, r, h := ask(g, "127.0.0.1", "/a", "Authorization", c.header)
		if v.Status != c.status || v.User != c.user {
			t.Errorf("%s: %+v", c.header, v)
		}
		if v.Status == Unauthorized && h.Get("WWW-Authenticate") != `Basic realm="my ___ share", charset="UTF-8"` {
			t.Errorf("%v", h)
		}
		if v.Status == 0 && r.Header.Get("Authorization") != "" {
			t.Error("an app behind would hear the password")
		}
	}
}

// TestGuessing: a thousand wrong passwords, many of them at once, are few
// comparisons; who is in stays in, others come in, and it passes.
func TestGuessing(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Now()}
	g := New(Rules{Users: users(t, "ann", "right")}, c.time)
	if v, _, _ := ask(g, "10.0.0.9", "/", "Authorization", basic("ann", "right")); v.Status != 0 {
		t.Fatalf("%+v", v)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[int]int{}
	for i := range 1000 {
		wg.Go(func() {
			v, _, _ := ask(g, "10.0.0.9", "/", "Authorization", basic("ann", fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			got[v.Status]++
			if v.Status == TooMany && v.Retry <= 0 {
				t.Errorf("%+v", v)
			}
		})
	}
	wg.Wait()
	if got[Unauthorized] > freeTries+1 || got[Unauthorized]+got[TooMany] != 1000 {
		t.Errorf("%v", got)
	}
	if v, _, _ := ask(g, "10.0.0.9", "/", "Authorization", basic("ann", "right")); v.Status != 0 {
		t.Errorf("who is in: %+v", v)
	}
	if v, _, _ := ask(g, "10.0.0.8", "/", "Authorization", basic("ann", "right")); v.Status != 0 {
		t.Errorf("from elsewhere: %+v", v)
	}
	c.pass(forgotten + time.Second)
	if v, _, _ := ask(g, "10.0.0.9", "/", "Authorization", basic("ann", "one more")); v.Status != Unauthorized {
		t.Errorf("later: %+v", v)
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Now()}
	th := NewThrottle(c.time)
	addr := netip.MustParseAddr("fd00::1")
	var waits []string
	for range 14 {
		d := th.Slow(addr)
		waits = append(waits, d.String())
		c.pass(d)
		if err := th.Wait(context.Background(), addr); err != nil {
			t.Fatal(err)
		}
		th.Tried(addr, false)
	}
	if got := strings.Join(waits, " "); got != "0s 0s 0s 0s 0s 1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s" {
		t.Error(got)
	}
	if th.Slow(netip.MustParseAddr("fd00::2")) == 0 || th.Slow(netip.MustParseAddr("fd00:0:0:1::1")) != 0 {
		t.Error("a network of IPv6 is one visitor")
	}
	if err := th.Wait(context.Background(), addr); err == nil {
		t.Error("there was no need to wait")
	}
	th.Tried(addr, true)
	if th.Slow(addr) != 0 {
		t.Error("a right password does not help")
	}
	for i := range 3 * maxAddrs {
		_ = th.Wait(context.Background(), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if n := len(th.byAddr); n != maxAddrs || th.latest.Len() != n {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	g := New(Rules{Secret: token, Port: 8080}, nil)
	v, r, h := ask(g, "127.0.0.1", "/s/"+token+"/a%2Fb/c?d=e", "Cookie", "theirs=1")
	if v.Status != 0 || v.Prefix != "/s/"+token || r.URL.Path != "/a/b/c" || r.URL.EscapedPath() != "/a%2Fb/c" || r.RequestURI != "/a%2Fb/c?d=e" || r.Header.Get("Cookie") != "theirs=1" {
		t.Errorf("%+v %+v", v, r.URL)
	}
	cookie, _, _ := strings.Cut(h.Get("Set-Cookie"), ";")
	if !strings.HasSuffix(h.Get("Set-Cookie"), "; Path=/; HttpOnly; SameSite=Lax") || !strings.HasPrefix(cookie, "sharetray_8080=") || strings.Contains(cookie, token) {
		t.Errorf("%v", h)
	}
	for _, c := range []struct {
		guard          *Guard
		target, cookie string
		status         int
		path           string
	}{
		{g, "/x", cookie, 0, "/x"},
		{g, "/x", "a=b; " + cookie + "; c=\"d e\"", 0, "/x"},
		{New(Rules{Secret: token, Port: 8080}, nil), "/x", cookie, 0, "/x"}, // another process
		{g, "/s/" + token + "/", cookie, 0, "/"},
		{g, "/s/other/x", cookie, 0, "/s/other/x"},
		{New(Rules{Secret: token + "x", Port: 8080}, nil), "/x", cookie, NoSecret, "/x"},
		{g, "/x", "sharetray_8080=x", NoSecret, "/x"},
		{g, "/", "", NoSecret, "/"},
		{g, "/s/", "", NoSecret, "/s/"},
		{g, "/s/" + token[1:] + "/", "", NoSecret, "/s/" + token[1:] + "/"},
		{g, "/x/s/" + token + "/", "", NoSecret, "/x/s/" + token + "/"},
		{g, "/s/" + token, "", http.StatusPermanentRedirect, "/s/" + token},
		{g, "/s/" + token + "//evil.org/", "", 0, "//evil.org/"},
	} {
		v, r, _ := ask(c.guard, "127.0.0.1", c.target, "Cookie", c.cookie)
		if v.Status != c.status || r.URL.Path != c.path || v.Status == 0 && strings.Contains(r.Header.Get("Cookie"), "sharetray") {
			t.Errorf("%s, %s: %+v, %s, %v", c.target, c.cookie, v, r.URL.Path, r.Header)
		}
	}
	if _, r, _ := ask(g, "127.0.0.1", "/x", "Cookie", "a=b; "+cookie+"; c=\"d e\""); r.Header.Get("Cookie") != `a=b; c="d e"` {
		t.Errorf("%v", r.Header)
	}
	for range 20 {
		v, _, _ = ask(g, "10.0.0.1", "/s/guess/")
	}
	if v.Status != TooMany {
		t.Errorf("guessing: %+v", v)
	}
	both := New(Rules{Secret: token, Users: users(t, "ann", "right")}, nil)
	if v, _, _ := ask(both, "127.0.0.1", "/"); v.Status != Unauthorized {
		t.Errorf("%+v", v)
	}
	if v, _, _ := ask(both, "127.0.0.1", "/s/"+token+"/"); v.Status != 0 {
		t.Errorf("%+v", v)
	}
	for range 20 { // a folder of that name
		if v, _, _ := ask(both, "127.0.0.1", "/s/x", "Authorization", basic("ann", "right")); v.Status != 0 || v.User != "ann" {
			t.Fatalf("%+v", v)
		}
	}
}

func TestExpires(t *testing.T) {
	t.Parallel()
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.Local)}
	g := New(Rules{Expires: c.now.Add(time.Hour), Users: users(t, "ann", "x"), Secret: token}, c.time)
	if v, _, h := ask(g, "127.0.0.1", "/s/"+token+"/"); v.Status != 0 || !strings.Contains(h.Get("Set-Cookie"), "Expires=") || g.Ended() != "" {
		t.Errorf("%+v %v", v, h)
	}
	c.pass(time.Hour)
	if v, _, _ := ask(g, "127.0.0.1", "/"); v.Status != Expired || g.Ended() != "has expired on 2026-01-01 01:00" {
		t.Errorf("%+v %s", v, g.Ended())
	}
}

func TestTally(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tally")
	open := func(most int) *Tally {
		t.Helper()
		tally, err := OpenTally(path, most)
		if err != nil {
			t.Fatal(err)
		}
		return tally
	}
	begin := func(tally *Tally) func(bool) {
		t.Helper()
		end, ok := tally.Begin()
		if !ok {
			return nil
		}
		return func(whole bool) {
			t.Helper()
			if err := end(whole); err != nil {
				t.Error(err)
			}
		}
	}
	a := open(3)
	one, two, three := begin(a), begin(a), begin(a)
	if begin(a) != nil || a.Ended() {
		t.Error("a fourth may begin, or it has ended")
	}
	one(false)
	two(true)
	four := begin(a)
	b := open(3) // the successor, while this one finishes
	begin(b)(true)
	three(true)
	if !a.Ended() || begin(b) != nil || !b.Ended() {
		t.Error("it has not ended")
	}
	four(true)
	if got := open(5); got.Ended() || got.done.Load() != 4 {
		t.Errorf("%d are counted", got.done.Load())
	}
	if g := New(Rules{Tally: a}, nil); g.Ended() == "" {
		t.Error("the guard does not know")
	}
	if err := Forget(path); err != nil || open(1).Ended() {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTally(path, 1); err == nil {
		t.Error("a spoiled count is read")
	}
}

// TestCurl: what real clients do with a guarded server.
func TestCurl(t *testing.T) {
	t.Parallel()
	g := New(Rules{Users: users(t, "ann", "pä ss:word"), Secret: token, Port: 1}, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := g.Admit(w, r); v.Status != 0 {
			if v.Status != http.StatusPermanentRedirect {
				w.WriteHeader(v.Status)
			}
			return
		}
		io.WriteString(w, "in at "+r.URL.Path)
	}))
	defer srv.Close()
	jar := filepath.Join(t.TempDir(), "jar")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"in at /a", []string{"-u", "ann:pä ss:word", srv.URL + "/a"}},
		{"401", []string{"-o", "-", "-w", "%{http_code}", srv.URL + "/a"}},
		{"in at /", []string{"-L", "-b", jar, "-c", jar, srv.URL + "/s/" + token}},
		{"in at /deep/x", []string{"-b", jar, srv.URL + "/deep/x"}},
	} {
		out, err := exec.Command("curl", append([]string{"-s", "-S"}, c.args...)...).CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("%q: %s, %v", c.args, out, err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	g := New(Rules{}, nil)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = "127.0.0.1:8080"
	for b.Loop() {
		g.Admit(nil, r)
	}
}

func BenchmarkPassword(b *testing.B) {
	g := New(Rules{Users: users(b, "ann", "right")}, nil)
	for b.Loop() {
		r := &http.Request{RemoteAddr: "127.0.0.1:1", Header: http.Header{"Authorization": {"Basic YW5uOnJpZ2h0"}}}
		if v := g.Admit(nil, r); v.Status != 0 {
			b.Fatalf("%+v", v)
		}
	}
}
