package process

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore/share"
)

// TestSlowVisitors: two thousand connections that say a little now and then take
// nothing from somebody who asks properly.
func TestSlowVisitors(t *testing.T) {
	p := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": strings.Repeat("x", 4096)})})
	client := &http.Client{Timeout: patience}
	rate := func() (n int) {
		for end := time.Now().Add(time.Second); time.Now().Before(end); n++ {
			resp, err := client.Get(p.url("/a"))
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return n
	}
	rate() // it warms up
	before := rate()
	for i := range 2000 {
		c, err := net.Dial("tcp", p.addr)
		if err != nil {
			t.Fatal(i, err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: %d", i)
	}
	// A machine that has other things to do takes its part, so that this is only about
	// being starved: on a quiet one, nearly all of the speed is kept.
	if after := rate(); after < before/4 {
		t.Errorf("%d requests in a second, %d without the others", after, before)
	}
}

// TestLargeHeaders: what is too much is refused, and costs the others nothing.
func TestLargeHeaders(t *testing.T) {
	t.Parallel()
	p := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "hello"})})
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go io.WriteString(conn, "GET /a HTTP/1.1\r\nHost: localhost\r\nX-Large: "+strings.Repeat("x", 1<<20)+"\r\n\r\n")
	b := make([]byte, 12)
	if n, err := io.ReadFull(conn, b); err == nil && string(b) != "HTTP/1.1 431" {
		t.Errorf("%q, %v", b[:n], err) // its end may be a reset, as it still sends
	}
	if a := p.get("/a"); a.body != "hello" {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
}
