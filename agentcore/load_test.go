package agentcore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sharetray/platform"
)

// load is a crowd of clients that ask for one file, over and over, each request
// as soon as the one before is answered. They speak HTTP by hand, because a
// well-behaved client would hide what went wrong by asking again.
type load struct {
	answered atomic.Int64
	cancel   context.CancelFunc
	wg       sync.WaitGroup

	mu      sync.Mutex
	refused []error // no connection was made
	cut     []error // one was made, and no whole answer came
}

// startLoad starts n clients on connections that they keep, and n that make a
// new one each time. It returns once all have been answered.
func startLoad(t *testing.T, url, want string, n int) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	addr, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	var up sync.WaitGroup
	for i := range 2 * n {
		up.Add(1)
		l.wg.Go(func() {
			first := sync.OnceFunc(up.Done)
			defer first()
			l.client(ctx, addr, "/"+path, want, i%2 == 0, first)
		})
	}
	up.Wait()
	t.Cleanup(func() { l.stop() })
	return l
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
}

// mustBeClean ends the load and fails the test if anybody was turned away.
func (l *load) mustBeClean(t *testing.T) {
	t.Helper()
	l.stop()
	if len(l.refused)+len(l.cut) > 0 {
		t.Errorf("%d answered, %d refused %v, %d cut %v", l.answered.Load(), len(l.refused), first(l.refused), len(l.cut), first(l.cut))
	}
	t.Logf("%d requests answered", l.answered.Load())
}

func first(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

func (l *load) client(ctx context.Context, addr, path, want string, keep bool, answered func()) {
	var conn net.Conn
	var r *bufio.Reader
	for ctx.Err() == nil {
		if conn == nil {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err != nil {
				l.fault(ctx, &l.refused, err)
				if platform.IsConnRefused(err) {
					return // the share is gone
				}
				continue
			}
			conn, r = c, bufio.NewReader(c)
		}
		more, err := ask(conn, r, addr, path, want, keep)
		if err != nil {
			l.fault(ctx, &l.cut, err)
		} else {
			l.answered.Add(1)
			answered()
		}
		if err != nil || !more {
			conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		conn.Close()
	}
}

func (l *load) fault(ctx context.Context, list *[]error, err error) {
	if ctx.Err() != nil {
		return // the test's own end
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	*list = append(*list, err)
}

// ask makes one request and reports whether the connection can take another.
func ask(conn net.Conn, r *bufio.Reader, addr, path, want string, keep bool) (more bool, err error) {
	header := ""
	if !keep {
		header = "Connection: close\r\n"
	}
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, addr, header); err != nil {
		return false, err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return false, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	switch {
	case err != nil:
		return false, err
	case resp.StatusCode != http.StatusOK || string(body) != want:
		return false, errors.New("a wrong answer: " + resp.Status)
	}
	return keep && !resp.Close, nil
}
