package process

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
)

// upstream is an app behind a proxy share.
func upstream(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// echo answers with the request as the app sees it.
func echo(w http.ResponseWriter, r *http.Request) {
	_ = json.NewEncoder(w).Encode(map[string]any{"host": r.Host, "header": r.Header, "proto": r.Proto, "uri": r.RequestURI})
}

type echoed struct {
	Host, Proto, URI string
	Header           http.Header
}

func (a answer) echoed(t *testing.T) (e echoed) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("%d %q: %v", a.StatusCode, a.body, err)
	}
	return e
}

func TestProxyHeaders(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Proxy, Target: upstream(t, echo), Hosts: "my.example"})
	e := c.get("/a%2Fb/../c?q=1&r=%20", "Host: my.example:81", "Accept-Encoding: identity", "X-Mine: kept").echoed(t)
	if e.Host != "my.example:81" || e.URI != "/a%2Fb/../c?q=1&r=%20" || e.Header.Get("X-Mine") != "kept" {
		t.Errorf("%+v", e)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "my.example:81",
	} {
		if got := e.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	lies := []string{
		"X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Forwarded-Port: 1",
		"X-Forwarded-Prefix: /evil", "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6", "True-Client-IP: 6.6.6.6",
		link.ProbeHeader + ": guess",
	}
	e = c.get("/", lies...).echoed(t)
	for name, values := range e.Header {
		if all := fmt.Sprint(values); strings.Contains(all, "6.6.6.6") || strings.Contains(all, "evil") || strings.Contains(all, "guess") {
			t.Errorf("the app is told %s: %s", name, all)
		}
	}
	if e.Header.Get("X-Forwarded-Proto") != "http" || e.Header.Get("X-Forwarded-Port") != "" {
		t.Errorf("%v", e.Header)
	}
	// Browsers send the dashboard's cookie to every port of this computer.
	e = c.get("/", "Cookie: a=1; "+link.DashboardCookie+"4321=secret; b=2", "Cookie: "+link.DashboardCookie+"1=secret").echoed(t)
	if got := fmt.Sprint(e.Header["Cookie"]); strings.Contains(got, "secret") || !strings.Contains(got, "a=1") || !strings.Contains(got, "b=2") {
		t.Errorf("the app gets the cookies %s", got)
	}
}

func TestProxyUpstreams(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	clear := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	clear.Config.Protocols = new(http.Protocols)
	clear.Config.Protocols.SetUnencryptedHTTP2(true)
	clear.Start()
	t.Cleanup(clear.Close)

	t.Run("https", func(t *testing.T) {
		c := serve(t, share.Share{Kind: share.Proxy, Target: secure.URL, Hosts: "visited"})
		e := c.get("/", "Host: visited").echoed(t)
		if e.Proto != "HTTP/2.0" || e.Host != "visited" {
			t.Errorf("%+v", e)
		}
	})
	t.Run("https elsewhere", func(t *testing.T) {
		k := &proxy{target: mustURL("https://example.com"), addr: "example.com:443", verify: true}
		if h := string(k.handlers()[0]); !strings.Contains(h, `"Host":["example.com"]`) || strings.Contains(h, "insecure") {
			t.Error(h)
		}
	})
	t.Run("untrusted certificate", func(t *testing.T) {
		c := serve(t, share.Share{Kind: share.Proxy, Target: secure.URL, VerifyTLS: true})
		if a := c.get("/"); a.StatusCode != http.StatusBadGateway {
			t.Errorf("%d %q", a.StatusCode, a.body)
		}
		if h := c.told("the certificate", down); !strings.Contains(h.TargetError, "certificate") {
			t.Errorf("told %q", h.TargetError)
		}
	})
	t.Run("h2c", func(t *testing.T) {
		c := serve(t, share.Share{Kind: share.Proxy, Target: "h2c://" + strings.TrimPrefix(clear.URL, "http://")})
		if e := c.get("/").echoed(t); e.Proto != "HTTP/2.0" {
			t.Errorf("%+v", e)
		}
	})
}

func TestVisitorsSpeakHTTP2(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Proxy, Target: upstream(t, echo)})
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get(c.url("/"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
		t.Errorf("%s %d", resp.Proto, resp.StatusCode)
	}
	c.askToStop() // with an idle HTTP/2 connection
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestProxyWebSocket(t *testing.T) {
	t.Parallel()
	app := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		for {
			typ, b, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if conn.Write(r.Context(), typ, append([]byte("echo "), b...)) != nil {
				return
			}
		}
	})
	c := serve(t, share.Share{Kind: share.Proxy, Target: app})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+c.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	say := func() {
		t.Helper()
		if err := conn.Write(ctx, websocket.MessageText, []byte("hi")); err != nil {
			t.Fatal(err)
		}
		if _, b, err := conn.Read(ctx); err != nil || string(b) != "echo hi" {
			t.Fatalf("%q %v", b, err)
		}
	}
	say()
	if h := c.ping(); h.Active != 1 {
		t.Errorf("%d in flight", h.Active)
	}
	c.askToStop()
	if !refusedSoon(c) {
		t.Error("it goes on accepting")
	}
	for range 10 {
		say() // the drain waits for it
		time.Sleep(lameDuck / 5)
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestProxyStreams: each event arrives before the next is sent.
func TestProxyStreams(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"text/event-stream", "application/octet-stream"} {
		t.Run(typ, func(t *testing.T) {
			next := make(chan struct{})
			app := upstream(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", typ)
				for i := range 5 {
					fmt.Fprintf(w, "data: %d\n\n", i)
					_ = http.NewResponseController(w).Flush()
					select {
					case <-next:
					case <-r.Context().Done():
						return
					}
				}
			})
			c := serve(t, share.Share{Kind: share.Proxy, Target: app})
			req, _ := http.NewRequest(http.MethodGet, c.url("/"), nil)
			req.Header.Set("Accept-Encoding", "gzip, zstd")
			resp, err := plain.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			r := bufio.NewReader(resp.Body)
			for i := range 5 {
				if line, err := r.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
					t.Fatalf("%q %v", line, err)
				}
				_, _ = r.ReadString('\n')
				next <- struct{}{}
			}
		})
	}
}

// TestProxyUpload: a body arrives while it is being sent.
func TestProxyUpload(t *testing.T) {
	t.Parallel()
	seen := make(chan string)
	app := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, b)
		seen <- string(b)
		rest, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d more", len(rest))
	})
	c := serve(t, share.Share{Kind: share.Proxy, Target: app})
	pr, pw := io.Pipe()
	go func() {
		io.WriteString(pw, "first")
		<-seen
		io.WriteString(pw, strings.Repeat("x", 1<<20))
		pw.Close()
	}()
	req, _ := http.NewRequest(http.MethodPut, c.url("/"), pr)
	resp, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "1048576 more" {
		t.Errorf("%q", b)
	}
}

func TestProxyAppDownAndBack(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	app := &http.Server{Handler: http.HandlerFunc(echo)}
	go app.Serve(ln)
	c := serve(t, share.Share{Kind: share.Proxy, Target: "http://" + addr})
	if a := c.get("/"); a.StatusCode != 200 {
		t.Fatalf("%d", a.StatusCode)
	}
	app.Close()
	eventually(t, "502", func() bool { return c.get("/").StatusCode == http.StatusBadGateway })
	if h := c.told("the app is down", down); !strings.Contains(h.TargetError, "nothing listens at "+addr) {
		t.Errorf("told %q", h.TargetError)
	}
	if h := c.ping(); !down(h) {
		t.Errorf("health is %+v", h)
	}
	a := c.get("/", "Accept: text/html,*/*")
	if a.StatusCode != 502 || !strings.Contains(a.body, "not running") || !strings.Contains(a.body, "<script>") ||
		a.Header.Get("Cache-Control") != "no-store" || !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("for a browser: %d %v %s", a.StatusCode, a.Header, a.body)
	}
	for _, other := range []answer{c.get("/", "Accept: */*"), c.do(http.MethodPost, "/", "Accept: text/html")} {
		if other.StatusCode != 502 || strings.Contains(other.body, "<") || !strings.HasPrefix(other.Header.Get("Content-Type"), "text/plain") {
			t.Errorf("for others: %d %v %q", other.StatusCode, other.Header, other.body)
		}
	}
	// The probe is of the process, not of the app.
	if a := c.get("/", link.ProbeHeader+": "+c.probe); a.StatusCode != http.StatusNoContent {
		t.Errorf("the probe: %d", a.StatusCode)
	}
	for range 200 {
		c.get("/") // must not fill the log; TestLog reads it
	}
	ln, err = net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err) // somebody else has the port by now
	}
	app = &http.Server{Handler: http.HandlerFunc(echo)}
	go app.Serve(ln)
	defer app.Close()
	c.told("the app is back, unasked", up)
	if a := c.get("/"); a.StatusCode != 200 || a.Header.Get(downHeader) != "" {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	if log := c.readLog(); strings.Count(log, "\n") > 8 || !strings.Contains(log, "the target is down") || !strings.Contains(log, "the target is back") {
		t.Errorf("the log:\n%s", log)
	}
}

// TestProxyAppBreaksOff: an app that takes the connection and says nothing.
func TestProxyAppBreaksOff(t *testing.T) {
	t.Parallel()
	app := upstream(t, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	c := serve(t, share.Share{Kind: share.Proxy, Target: app})
	if a := c.get("/", "Accept: text/html"); a.StatusCode != 502 || !strings.Contains(a.body, "did not answer properly") {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
	if h := c.ping(); down(h) {
		t.Errorf("the app is there, but health is %+v", h)
	}
}

func TestProxyLoop(t *testing.T) {
	t.Parallel()
	sock := listen(t)
	c := startChild(t)
	c.hello()
	c.serveOn(share.Share{Kind: share.Proxy, Target: "http://" + sock.Addr().String()}, sock)
	a := c.get("/")
	if a.StatusCode != http.StatusLoopDetected || !strings.Contains(a.body, "leads back to itself") {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	if a.Header.Get(viaHeader) != "" {
		t.Error("the visitor sees the header")
	}
	// Two shares in a circle.
	s1, s2 := listen(t), listen(t)
	c1, c2 := startChild(t), startChild(t)
	c1.hello()
	c2.hello()
	c1.serveOn(share.Share{Kind: share.Proxy, Target: "http://" + s2.Addr().String()}, s1)
	c2.serveOn(share.Share{Kind: share.Proxy, Target: "http://" + s1.Addr().String()}, s2)
	if a := c1.get("/"); a.StatusCode != http.StatusLoopDetected {
		t.Errorf("%d", a.StatusCode)
	}
	// A chain is no loop.
	c3 := serve(t, share.Share{Kind: share.Proxy, Target: upstream(t, echo)})
	c4 := serve(t, share.Share{Kind: share.Proxy, Target: "http://" + c3.addr})
	if a := c4.get("/"); a.StatusCode != 200 {
		t.Errorf("%d", a.StatusCode)
	}
}

func TestDialSentence(t *testing.T) {
	t.Parallel()
	u := mustURL("https://host:1")
	for want, err := range map[string]error{
		"the name host can't be resolved":           &net.DNSError{},
		"nothing listens at host:1":                 io.EOF,
		"the certificate of host:1 is not trusted:": &tls.CertificateVerificationError{Err: io.EOF},
	} {
		if got := dialSentence(u, fmt.Errorf("wrapped: %w", err)); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %q", err, got)
		}
	}
}
