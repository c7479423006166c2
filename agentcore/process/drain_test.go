package process

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sharetray/agentcore/link"
	"sharetray/agentcore/share"
)

// TestStopUnderLoad stops a share in the midst of new connections, kept ones,
// and a download: every request whose connection was made before is answered
// whole.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	small := strings.Repeat("s", 4096)
	large := strings.Repeat("0123456789abcdef", 4<<20/16*8) // 32 MiB: more than sockets buffer
	sock := listen(t)
	c := startChild(t)
	c.hello()
	c.serveOn(share.Share{Kind: share.Web, Target: files(t, map[string]string{"small": small, "large": large})}, sock)

	slow, err := net.Dial("tcp", c.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
	download, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil {
		t.Fatal(err)
	}

	var stopping atomic.Bool
	var answered, closedPolitely atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { // a new connection for each request
			for {
				before := !stopping.Load()
				conn, err := net.Dial("tcp", c.addr)
				if err != nil {
					return
				}
				made := before && !stopping.Load()
				_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
				fmt.Fprint(conn, "GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				var b []byte
				if err == nil {
					b, err = io.ReadAll(resp.Body)
				}
				conn.Close()
				if err != nil || string(b) != small {
					if made {
						t.Errorf("a request from before the stop was cut: %v", err)
					}
					return
				}
				answered.Add(1)
			}
		})
		wg.Go(func() { // one connection, in a tight loop
			conn, err := net.Dial("tcp", c.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			r := bufio.NewReader(conn)
			for {
				fmt.Fprint(conn, "GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n")
				resp, err := http.ReadResponse(r, nil)
				var b []byte
				if err == nil {
					b, err = io.ReadAll(resp.Body)
				}
				if err != nil || string(b) != small {
					t.Errorf("a kept connection was cut: %v", err)
					return
				}
				if resp.Close {
					closedPolitely.Add(1)
					return
				}
			}
		})
	}
	eventually(t, "some load", func() bool { return answered.Load() > 200 })
	stopping.Store(true)
	sock.Close() // the agent lets go of the port first
	c.askToStop()
	wg.Wait()
	if n := closedPolitely.Load(); n != 4 {
		t.Errorf("%d of 4 kept connections were closed politely", n)
	}
	select {
	case <-c.exited:
		t.Fatal("it ended in the middle of a download")
	default:
	}
	sum := sha256.New()
	if n, err := io.Copy(sum, download.Body); err != nil || n != int64(len(large)) {
		t.Errorf("the download: %d bytes, %v", n, err)
	}
	if want := sha256.Sum256([]byte(large)); string(sum.Sum(nil)) != string(want[:]) {
		t.Error("the download differs")
	}
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestQueuedConnectionsAreAnswered: connections that wait in the kernel when
// the stop comes.
func TestQueuedConnectionsAreAnswered(t *testing.T) {
	t.Parallel()
	c := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "hello"})})
	c.signal("STOP")
	var conns []net.Conn
	for range 50 {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
		conns = append(conns, conn)
	}
	c.askToStop()
	c.signal("CONT")
	for _, conn := range conns {
		_ = conn.SetDeadline(time.Now().Add(patience))
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 200 {
			t.Fatalf("not answered: %v", err)
		}
	}
	c.exit()
}

func TestIdleConnectionsDoNotHoldTheEnd(t *testing.T) {
	t.Parallel()
	for name, paused := range map[string]bool{"stopped": false, "rolled": true} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, share.Share{Kind: share.Web, Target: files(t, map[string]string{"a": "hello"})})
			for i := range 20 {
				conn, err := net.Dial("tcp", c.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if i%2 == 0 { // the others have not said anything yet
					fmt.Fprint(conn, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
					if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			limit := lameDuck
			if paused {
				c.mustAsk(link.Message{Type: link.TypePause})
				limit = lameDuckRolled
			}
			start := time.Now()
			c.askToStop()
			c.exit()
			if took := time.Since(start); took > limit+lastClose+10*time.Second { // the connections would stay for two minutes
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestRolledLeavesTheQueue: a paused process that stops leaves what waits in
// the queue to its successor.
func TestRolledLeavesTheQueue(t *testing.T) {
	t.Parallel()
	sock := listen(t)
	dir := files(t, map[string]string{"a": "hello"})
	web := share.Share{Kind: share.Web, Target: dir}
	old := startChild(t)
	old.hello()
	old.serveOn(web, sock)
	old.mustAsk(link.Message{Type: link.TypePause})
	waits, err := net.Dial("tcp", old.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer waits.Close()
	fmt.Fprint(waits, "GET / HTTP/1.1\r\nHost: localhost\r\n"+link.ProbeHeader+": new\r\n\r\n")
	old.askToStop()
	old.exit()
	next := startChild(t)
	next.probe = "new"
	next.hello()
	next.serveOn(web, sock)
	_ = waits.SetDeadline(time.Now().Add(patience))
	if resp, err := http.ReadResponse(bufio.NewReader(waits), nil); err != nil || resp.Header.Get(link.NonceHeader) != next.nonce {
		t.Errorf("answered by %v, %v", resp, err)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	app := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			close(began)
			<-r.Context().Done()
		}
	})
	c := serve(t, share.Share{Kind: share.Proxy, Target: app})
	go func() {
		if resp, err := http.Get(c.url("/hang")); err == nil {
			resp.Body.Close()
		}
	}()
	<-began
	c.askToStop()
	if !refusedSoon(c) {
		t.Error("it goes on accepting")
	}
	select {
	case <-c.exited:
		t.Fatal("it did not wait for the request")
	default:
	}
	c.askToStop()
	if code := c.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(filepath.Dir(c.path)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link's socket is still there: %v", err)
	}
}

// refusedSoon waits until the process has closed its gate. The test holds the
// socket too, so that connections are not refused but unanswered.
func refusedSoon(c *child) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		conn, err := net.Dial("tcp", c.addr)
		if err != nil {
			return true
		}
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n"+link.ProbeHeader+": "+c.probe+"\r\n\r\n")
		_, err = http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
		if err != nil {
			return true
		}
	}
	return false
}
