package forward

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func startSOCKS(t testing.TB, opt SOCKSOptions, allow ...string) (*SOCKS, string) {
	t.Helper()
	a, err := ParseAllow(allow...)
	if err != nil {
		t.Fatal(err)
	}
	opt.Allow = a
	f, err := NewSOCKS(opt)
	if err != nil {
		t.Fatal(err)
	}
	return f, start(t, f)
}

func hashOf(t testing.TB, password string) []byte {
	t.Helper()
	return must(bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost))
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// curl returns what curl prints, and its exit code.
func curl(t *testing.T, args ...string) (string, int) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	cmd := exec.CommandContext(soon(t), "curl", append([]string{"-sS", "--noproxy", ""}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestSOCKSWithCurl(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "at ", r.Host)
	}))
	defer web.Close()
	at := web.Listener.Addr().String()
	port := portOf(at)
	lookup := func(_ context.Context, name string) ([]netip.Addr, error) {
		if name == "web.test" || name == "other.test" {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	opt := SOCKSOptions{Users: map[string][]byte{"guest": hashOf(t, "pass:word")}, Lookup: lookup}
	f, proxy := startSOCKS(t, opt, "web.test:"+port, "127.0.0.1:"+port)

	for _, c := range []struct {
		user, url string
		option    string
		code      int
		says      string
	}{
		{"guest:pass:word", "http://web.test:" + port, "--socks5-hostname", 0, "at web.test:" + port},
		{"guest:pass:word", "http://" + at, "--socks5", 0, "at " + at},
		{"guest:wrong", "http://web.test:" + port, "--socks5-hostname", 97, "rejected"},
		{"nobody:pass:word", "http://web.test:" + port, "--socks5-hostname", 97, "rejected"},
		{"", "http://web.test:" + port, "--socks5-hostname", 97, "No authentication method"},
		{"guest:pass:word", "http://web.test:1", "--socks5-hostname", 97, "(2)"},
		{"guest:pass:word", "http://example.com", "--socks5-hostname", 97, "(2)"},
	} {
		args := []string{c.option, proxy, c.url}
		if c.user != "" {
			args = append(args, "--proxy-user", c.user)
		}
		out, code := curl(t, args...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%v: exit code %d, %q", args, code, out)
		}
	}
	eventually(t, "counted", func() bool {
		s := f.Stats()
		return s.Total == 7 && s.Denied == 5 && s.Active == 0 && s.In > 0 && s.Out > 0
	})

	_, proxy = startSOCKS(t, SOCKSOptions{Open: true, Lookup: lookup}, "localhost")
	if out, code := curl(t, "--socks5-hostname", proxy, "http://localhost:"+port); code != 0 || !strings.HasPrefix(out, "at localhost") {
		t.Errorf("exit code %d, %q", code, out)
	}
}

// request is a SOCKS request for a destination.
func request(command byte, host string, port uint16) []byte {
	b := []byte{5, command, 0}
	if ip, err := netip.ParseAddr(host); err != nil {
		b = append(append(b, 3, byte(len(host))), host...)
	} else if ip.Is4() {
		b = append(append(b, 1), ip.AsSlice()...)
	} else {
		b = append(append(b, 4), ip.AsSlice()...)
	}
	return binary.BigEndian.AppendUint16(b, port)
}

// asks opens a connection through an open proxy, and returns its answer's code.
func asks(t *testing.T, proxy string, request []byte) (*net.TCPConn, byte) {
	t.Helper()
	c := dial(t, proxy)
	say(t, c, "\x05\x01\x00")
	hear(t, c, "\x05\x00")
	say(t, c, string(request))
	var b [10]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	if b[0] != 5 || b[2] != 0 || b[3] != 1 {
		t.Errorf("%q: %v", request, b)
	}
	return c, b[1]
}

func TestSOCKSReplies(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, echoes)
	port := uint16(ln.Addr().(*net.TCPAddr).Port)
	closed := listen(t)
	closed.Close()
	down := uint16(closed.Addr().(*net.TCPAddr).Port)
	_, proxy := startSOCKS(t, SOCKSOptions{Open: true, Lookup: func(_ context.Context, name string) ([]netip.Addr, error) {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}}, "127.0.0.1", "*.test")

	for want, req := range map[string][]byte{
		"2 an address that is not allowed": request(1, "127.0.0.2", port),
		"2 a name that is not allowed":     request(1, "example.com", 80),
		"2 no name":                        request(1, "", 80),
		"4 a name that is unknown":         request(1, "none.test", 80),
		"5 nothing listens":                request(1, "127.0.0.1", down),
		"7 bind":                           request(2, "127.0.0.1", port),
		"7 udp":                            request(3, "0.0.0.0", 0),
		"7 no command":                     request(0, "127.0.0.1", port),
		"8 no address":                     {5, 1, 0, 2},
	} {
		c, code := asks(t, proxy, req)
		if fmt.Sprint(code) != want[:1] {
			t.Errorf("%s: %d", want, code)
		}
		if got := end(c); got != "" {
			t.Errorf("%s: then %q", want, got)
		}
	}

	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1"} {
		// What is sent before the answer is for the destination.
		c, code := asks(t, proxy, append(request(1, host, port), big...))
		if code != 0 {
			t.Fatalf("%s: code %d", host, code)
		}
		_ = c.CloseWrite()
		if got := end(c); got != big {
			t.Errorf("%d bytes came back of %d", len(got), len(big))
		}
	}

	for _, nonsense := range []string{"GET / HTTP/1.1\r\n\r\n", "\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "\x05\x00", "\x05\x01\x02", "\x16\x03\x01"} {
		c := dial(t, proxy)
		say(t, c, nonsense)
		got := end(c)
		if want := map[byte]string{'\x05': "\x05\xff"}[nonsense[0]]; strings.TrimSuffix(got, "<reset>") != want {
			t.Errorf("%q: %q", nonsense, got)
		}
	}
}

func TestSOCKSOptions(t *testing.T) {
	for name, opt := range map[string]SOCKSOptions{
		"neither open nor closed": {},
		"both":                    {Open: true, Users: map[string][]byte{"a": hashOf(t, "b")}},
		"no hash":                 {Users: map[string][]byte{"a": []byte("secret")}},
		"no name":                 {Users: map[string][]byte{"": hashOf(t, "b")}},
	} {
		if _, err := NewSOCKS(opt); err == nil {
			t.Errorf("%s: passed", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	f := must(NewSOCKS(SOCKSOptions{Open: true}))
	defer f.Close()
	if _, code := f.dial(soon(t), "93.184.215.14", 80); code != replyNotAllowed {
		t.Errorf("nothing is allowed, but code %d", code)
	}
}

// recorder is a throttle that lets nobody in after a number of failures.
type recorder struct {
	mu    sync.Mutex
	tried []bool
}

func (r *recorder) Wait(ctx context.Context, addr netip.Addr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !addr.IsLoopback() {
		return fmt.Errorf("%s is no visitor of this test", addr)
	}
	if len(r.tried) >= 5 {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (r *recorder) Tried(_ netip.Addr, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tried = append(r.tried, ok)
}

func TestSOCKSLogin(t *testing.T) {
	throttle := new(recorder)
	_, proxy := startSOCKS(t, SOCKSOptions{
		Users:     map[string][]byte{"guest": hashOf(t, "right"), "other": hashOf(t, "too")},
		Throttle:  throttle,
		Handshake: time.Second,
	})
	login := func(user, password string) string {
		c := dial(t, proxy)
		say(t, c, "\x05\x02\x00\x02")
		hear(t, c, "\x05\x02")
		say(t, c, fmt.Sprintf("\x01%c%s%c%s", len(user), user, len(password), password))
		b := make([]byte, 2)
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const in, out = "\x01\x00", "\x01\x01"
	for i, c := range []struct{ user, password, want string }{
		{"guest", "right", in},
		{"guest", "right", in}, // known again
		{"guest", "too", out},
		{"nobody", "right", out},
		{"", "", out},
		{"guest", "other", out}, // the throttle has had enough
	} {
		if got := login(c.user, c.password); got != c.want {
			t.Errorf("%d: %q", i, got)
		}
	}
	if want := []bool{true, true, false, false, false}; !slices.Equal(throttle.tried, want) {
		t.Errorf("%v", throttle.tried)
	}
}

// Whoever sends a byte now and then is not served for longer.
func TestSlowHandshake(t *testing.T) {
	f, proxy := startSOCKS(t, SOCKSOptions{Open: true, Handshake: 300 * time.Millisecond})
	c := dial(t, proxy)
	say(t, c, "\x05\xff")
	began := time.Now()
	for {
		if _, err := c.Write([]byte{9}); err != nil {
			break
		}
		if time.Since(began) > patience {
			t.Fatal("served for ever")
		}
		time.Sleep(10 * time.Millisecond)
	}
	eventually(t, "gone", func() bool { s := f.Stats(); return s.Active == 0 && s.Denied == 1 })
}

// TestSlowCrowd: more who never say what they want than may, and one who does.
func TestSlowCrowd(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, echoes)
	f, proxy := startSOCKS(t, SOCKSOptions{Open: true, Options: Options{Conns: 1}, Handshake: patience}, "127.0.0.1")
	var crowd []*net.TCPConn
	for range maxHandshakes + 50 {
		c := dial(t, proxy)
		say(t, c, "\x05\x01\x00")
		hear(t, c, "\x05\x00")
		crowd = append(crowd, c)
	}
	c, code := asks(t, proxy, request(1, "127.0.0.1", uint16(ln.Addr().(*net.TCPAddr).Port)))
	if code != 0 {
		t.Fatal(code)
	}
	say(t, c, "hello")
	hear(t, c, "hello")
	for i, c := range crowd[:51] { // the oldest
		if got := end(c); got != "<reset>" {
			t.Errorf("%d: %q", i, got)
		}
	}
	eventually(t, "counted", func() bool { s := f.Stats(); return s.Active == 1 && s.Denied == 51 })
}

func TestAllowEntries(t *testing.T) {
	for _, e := range []string{
		"", " ", "*.", "**", "*.*", "a*.example.com", "host:", "host:0", "host:65536", "host:9-8", "host:a", "a b", "http://host",
		"10.0.0.0/33", "10.1.0.0/8", "fe80::1%eth0", "[::1", "[::1]x", "[::1]:", "[host]:80", "::ffff:10.0.0.0/104",
		"127.1", "0x7f.1", "2130706433", "1.2.3.4.5", "-a.example", "ex..ample", "exämple.com", "host:80:90",
	} {
		if _, err := ParseAllow(e); err == nil {
			t.Errorf("%q passed", e)
		}
	}
	for _, e := range []string{"*:443", "[fd00::/8]:1-2", "fd00::/8", "::1", "[::1]:80", "EXAMPLE.com.:80", "_x.example.com", "*.localhost"} {
		if _, err := ParseAllow(e); err != nil {
			t.Error(err)
		}
	}
}

// TestAllowList: what passes and what does not, with a DNS that says anything.
func TestAllowList(t *testing.T) {
	dns := map[string]string{
		"good.example.com":       "93.184.215.14",
		"evil.example.com":       "127.0.0.1",
		"router.example.com":     "192.168.1.1",
		"meta.example.com":       "169.254.169.254",
		"mixed.example.com":      "10.0.0.1 93.184.215.14 ::1",
		"six.example.com":        "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
		"mapped.example.com":     "::ffff:127.0.0.1",
		"compatible.example.com": "::127.0.0.1",
		"nat64.example.com":      "64:ff9b::7f00:1",
		"sixtofour.example.com":  "2002:7f00:1::",
		"teredo.example.com":     "2001:0:7f00:1::1",
		"ula.example.com":        "fd00::1",
		"linklocal.example.com":  "fe80::1%eth0",
		"nobody.example.com":     "0.0.0.0",
		"nowhere.example.com":    "::",
		"many.example.com":       "224.0.0.1",
		"all.example.com":        "255.255.255.255",
		"example.com":            "93.184.215.14",
		"exact.test":             "127.0.0.1",
		"db.internal":            "10.1.2.3",
		"other.test":             "93.184.215.14",
	}
	near := netip.MustParseAddr("127.0.0.1") // an address of this computer that is not loopback, if there is one
	if nets, err := nearby(); err != nil {
		t.Fatal(err)
	} else {
		for _, p := range nets {
			if a := p.Addr(); p.IsSingleIP() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
				near = a
			}
		}
	}
	dns["self.example.com"] = near.String()

	asked := ""
	lookup := func(_ context.Context, name string) (out []netip.Addr, err error) {
		asked = name
		for _, ip := range strings.Fields(dns[name]) {
			out = append(out, netip.MustParseAddr(ip))
		}
		if out == nil {
			err = &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		return out, err
	}
	names := []string{"*.example.com:80-90", "exact.test"}
	for _, c := range []struct {
		allow string // in addition to none
		host  string
		port  uint16
		want  string // addresses, "" when it is denied
	}{
		{"names", "good.example.com", 80, "93.184.215.14"},
		{"names", "GOOD.Example.COM.", 90, "93.184.215.14"},
		{"names", "good.example.com", 91, ""},
		{"names", "good.example.com", 0, ""},
		{"names", "example.com", 80, ""},
		{"names", "badexample.com", 80, ""},
		{"names", "good.example.com.evil.net", 80, ""},
		{"names", "93.184.215.14", 80, ""}, // an address is not the name
		{"names", "six.example.com", 80, "2606:2800:21f:cb07:6820:80da:af6b:8b2c"},
		{"names", "mixed.example.com", 80, "93.184.215.14"},
		{"names", "exact.test", 80, ""},
		{"names", "localhost", 80, ""},
		{"names", "a.localhost", 80, ""},
		{"exact.test 127.0.0.1:80", "exact.test", 80, "127.0.0.1"},
		{"exact.test 127.0.0.1:80", "exact.test", 81, ""},
		{"localhost:80", "localhost", 80, "127.0.0.1 ::1"},
		{"localhost:80", "LOCALHOST.", 80, "127.0.0.1 ::1"},
		{"localhost:80", "localhost", 81, ""},
		{"localhost:80", "127.0.0.1", 80, ""},
		{"*", "localhost", 80, ""},
		{"*", "good.example.com", 1, "93.184.215.14"},
		{"*", "93.184.215.14", 1, "93.184.215.14"},
		{"*", "10.0.0.1", 80, ""},
		{"*", "127.0.0.1", 80, ""},
		{"*", "self.example.com", 80, ""},
		{"*", "100.64.0.1", 80, ""},
		{"*:443", "good.example.com", 80, ""},
		{"0.0.0.0/0 ::/0", "127.0.0.1", 80, ""},
		{"0.0.0.0/0 ::/0", "::1", 80, ""},
		{"0.0.0.0/0 ::/0", "169.254.169.254", 80, ""},
		{"0.0.0.0/0 ::/0", "64:ff9b::a00:1", 80, ""},
		{"0.0.0.0/0 ::/0", "93.184.215.14", 80, "93.184.215.14"},
		{"0.0.0.0/0", "other.test", 80, "93.184.215.14"}, // as its address would
		{"0.0.0.0/0", "exact.test", 80, ""},
		{"127.0.0.0/8:80", "127.9.9.9", 80, "127.9.9.9"},
		{"127.0.0.0/8:80", "127.9.9.9", 8080, ""},
		{"127.0.0.0/8:80", "::ffff:127.9.9.9", 80, "127.9.9.9"},
		{"10.0.0.0/8", "db.internal", 5432, "10.1.2.3"},
		{"10.0.0.0/8", "10.1.2.3", 5432, "10.1.2.3"},
		{"10.0.0.0/8", "router.example.com", 5432, ""},
		{"10.0.0.0/7", "10.1.2.3", 80, ""},
		{"[fd00::/8]:80", "ula.example.com", 80, "fd00::1"},
		{"[::1]:80", "::1", 80, "::1"},
		{"127.0.0.1", "127.1", 80, ""}, // no such address, nor name
		{"127.0.0.1", "0x7f000001", 80, ""},
		{"127.0.0.1", "2130706433", 80, ""},
		{"127.0.0.1", "017700000001", 80, ""},
		{"127.0.0.1", "127.0.0.1.", 80, ""},
		{"127.0.0.1", "127.0.0.1%lo", 80, ""},
		{"127.0.0.1", "exact.test\x00.example.com", 80, ""},
		{"127.0.0.1", "[127.0.0.1]", 80, ""},
		{"127.0.0.1", "exact.test:80", 80, ""},
		{"", "good.example.com", 80, ""},
		{"", "127.0.0.1", 80, ""},
	} {
		entries := strings.Fields(c.allow)
		if c.allow == "names" {
			entries = names
		}
		got, err := must(ParseAllow(entries...)).resolve(t.Context(), c.host, c.port, lookup)
		var ips []string
		for _, a := range got {
			if a.Port() != c.port {
				t.Errorf("%s: port %d", c.host, a.Port())
			}
			ips = append(ips, a.Addr().String())
		}
		if strings.Join(ips, " ") != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q port %d: %v, %v; want %q", entries, c.host, c.port, ips, err, c.want)
		}
	}

	for name := range dns { // every name that leads astray
		if name == "mixed.example.com" || !strings.HasSuffix(name, ".example.com") {
			continue
		}
		got, err := must(ParseAllow("*.example.com", "*", "0.0.0.0/0", "::/0")).resolve(t.Context(), name, 80, lookup)
		if public := name == "good.example.com" || name == "six.example.com"; public != (err == nil) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}

	asked = ""
	if _, err := must(ParseAllow("*.example.com")).resolve(t.Context(), "secret.evil.test", 80, lookup); !errors.Is(err, errDenied) || asked != "" {
		t.Errorf("%v; the DNS was asked for %q", err, asked)
	}
}

// The networks that this computer is on are not public, whatever their addresses.
func TestAllowNearby(t *testing.T) {
	near := prefixes("93.184.215.0/24", "93.184.215.14/32", "2606:2800:21f::/64")
	for _, c := range []struct {
		allow, to string
		want      bool
	}{
		{"*", "93.184.215.14:80", false},
		{"*", "93.184.215.15:80", false},
		{"*", "93.184.216.15:80", true},
		{"*", "[2606:2800:21f::1]:80", false},
		{"93.184.0.0/16", "93.184.215.15:80", false},
		{"93.184.215.0/24", "93.184.215.15:80", true},
		{"93.184.215.14", "93.184.215.14:80", true},
		{"a.example.com 93.184.215.14:81", "93.184.215.14:80", false},
	} {
		a := must(ParseAllow(strings.Fields(c.allow)...))
		if got := a.addr(netip.MustParseAddrPort(c.to), true, near); got != c.want {
			t.Errorf("%s: %s: %v", c.allow, c.to, got)
		}
	}
	own, err := nearby()
	if err != nil || !slices.Contains(own, netip.MustParsePrefix("127.0.0.1/32")) {
		t.Errorf("this computer is at %v, %v", own, err)
	}
}

// A name that is another address when it is asked for again gains nothing: it is
// asked for once.
func TestRebinding(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, echoes)
	port := uint16(ln.Addr().(*net.TCPAddr).Port)
	var n atomic.Int32
	_, proxy := startSOCKS(t, SOCKSOptions{Open: true, Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, byte(n.Add(1))})}, nil
	}}, "*.example.com", "127.0.0.1")
	c, code := asks(t, proxy, request(1, "a.example.com", port))
	if code != 0 || c == nil || n.Load() != 1 {
		t.Errorf("code %d after %d questions", code, n.Load())
	}
	if _, code := asks(t, proxy, request(1, "a.example.com", port)); code != replyNotAllowed || n.Load() != 2 {
		t.Errorf("code %d after %d questions", code, n.Load())
	}
}

func TestSOCKSRelay(t *testing.T) {
	ln := listen(t)
	serveTarget(t, ln, echoes)
	f, proxy := startSOCKS(t, SOCKSOptions{Open: true, Options: Options{Conns: 1, Patience: patience}}, "127.0.0.0/8")
	req := request(1, "127.0.0.1", uint16(ln.Addr().(*net.TCPAddr).Port))
	for range 2 { // the second waits for the first
		c, code := asks(t, proxy, req)
		if code != 0 {
			t.Fatal(code)
		}
		go func() {
			_, _ = io.Copy(c, noise(7, 8<<20))
			_ = c.CloseWrite()
		}()
		n, got, err := sum(c)
		if _, want, _ := sum(noise(7, 8<<20)); err != nil || got != want {
			t.Errorf("%d bytes, %v", n, err)
		}
		c.Close()
	}
	if err := f.Drain(soon(t)); err != nil {
		t.Error(err)
	}
}
