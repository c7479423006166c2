package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestParseHead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want head
		ok   bool
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 12", head{200, 12, false}, true},
		{"HTTP/1.1 503 Gone\r\ncontent-length:  3 \r\nCONNECTION: Close", head{503, 3, true}, true},
		{"HTTP/1.1 200 OK", head{200, -1, false}, true},
		{"HTTP/1.1 2x0 OK", head{}, false},
		{"SSH-2.0-OpenSSH_9.2", head{}, false},
		{"", head{}, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: many", head{}, false},
	} {
		got, err := parseHead([]byte(tt.text))
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%q: %+v, %v; want %+v, ok %v", tt.text, got, err, tt.want, tt.ok)
		}
		if err != nil && classify(err) != odd {
			t.Errorf("%q: %v is not odd", tt.text, err)
		}
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want outcome
	}{
		{nil, answered},
		{&net.OpError{Err: syscall.ECONNREFUSED}, refused},
		{io.EOF, cut},
		{fmt.Errorf("reading: %w", syscall.ECONNRESET), cut},
		{fmt.Errorf("%w: %w", errSilent, syscall.EPIPE), cut},
		{errWrongBytes, odd},
		{fmt.Errorf("%w: status 500", errOdd), odd},
		{errors.New("who knows"), odd},
	} {
		if got := classify(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

// serving is a web server with the pattern as its file.
func serving(t *testing.T, size int64, handler http.HandlerFunc) target {
	t.Helper()
	if handler == nil {
		handler = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
			io.Copy(w, io.LimitReader(&patternReader{}, size))
		}
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return target{addr: s.Listener.Addr().String(), file: "file", size: size}
}

func TestClientReadsWholeAnswers(t *testing.T) {
	t.Parallel()
	for _, keepAlive := range []bool{false, true} {
		// Larger than the pattern, so that its repetition is read too.
		to := serving(t, 3<<20, nil)
		c := client{target: to, keepAlive: keepAlive, timeout: 5 * time.Second}
		defer c.hangUp()
		for i := range 3 {
			c.sink = &patternCheck{}
			reused, err := c.do()
			if err != nil {
				t.Fatal(err)
			}
			if want := keepAlive && i > 0; reused != want {
				t.Errorf("keep-alive %v, request %d: reused is %v", keepAlive, i, reused)
			}
		}
	}
}

func TestClientTellsWhatWentWrong(t *testing.T) {
	t.Parallel()
	const size = 512 << 10
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(pattern[:size/2])
		panic(http.ErrAbortHandler)
	}
	wrong := func(w http.ResponseWriter, _ *http.Request) {
		body := bytes.Clone(pattern[:size])
		body[size-1]++
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Write(body)
	}
	short := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "an error page, perhaps") }
	fails := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadGateway) }
	silent := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		want    outcome
		silent  bool
	}{
		{"cut in the middle", half, cut, false},
		{"closed without an answer", silent, cut, true},
		{"a wrong byte at the end", wrong, odd, false},
		{"another length", short, odd, false},
		{"an error", fails, odd, false},
	} {
		c := client{target: serving(t, size, tt.handler), timeout: 5 * time.Second, sink: &patternCheck{}}
		_, err := c.do()
		if classify(err) != tt.want || errors.Is(err, errSilent) != tt.silent {
			t.Errorf("%s: %v", tt.name, err)
		}
	}

	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	c := client{target: target{addr: address(ports[0]), file: "file", size: size}, timeout: 5 * time.Second}
	if _, err := c.do(); classify(err) != refused {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestLoadCountsConnectionsClosedWhileIdle(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	to := serving(t, 4, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1)%3 == 0 {
			panic(http.ErrAbortHandler)
		}
		w.Write(pattern[:4])
	})
	l := startLoad(1, client{target: to, keepAlive: true, timeout: 5 * time.Second})
	for range 4 {
		if err := l.awaitAnswer(t.Context(), 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	c := tally(l.end())
	if c.by[answered] < 4 || c.by[cut] < 1 || c.idle != c.by[cut] || c.by[refused]+c.by[odd] != 0 {
		t.Errorf("%+v", c)
	}
}

func TestLoadEndsWithoutCutting(t *testing.T) {
	t.Parallel()
	to := serving(t, 1<<20, nil)
	l := startLoad(3, client{target: to, timeout: 5 * time.Second, rate: 16 << 20})
	samples := l.end()
	for _, s := range samples {
		if s.outcome != answered {
			t.Errorf("ending the load cost a request: %+v", s)
		}
	}
}

func TestAwaitAnswerGivesUp(t *testing.T) {
	t.Parallel()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	l := startLoad(1, client{target: target{addr: address(ports[0]), file: "file", size: 4}, timeout: time.Second})
	defer l.end()
	if err := l.awaitAnswer(t.Context(), 20*time.Millisecond); err == nil {
		t.Error("an answer, where nobody listens")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.awaitAnswer(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("after an interrupt: %v", err)
	}
}

// TestWorker is the worker as a process of its own: this very test's executable.
func TestWorker(t *testing.T) {
	t.Parallel()
	to := serving(t, 4096, nil)
	done, err := throughput(t.Context(), workSpec{
		Addr: to.addr, File: to.file, Size: to.size, Conns: 2,
		Warmup: 10 * time.Millisecond, Window: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	// A request in flight at either end of the window may be counted in one figure only.
	if ratio := done.Bytes / done.Requests; done.Requests == 0 || ratio < 3500 || ratio > 4700 {
		t.Errorf("%+v", done)
	}
	_, err = throughput(t.Context(), workSpec{Addr: to.addr, File: to.file, Size: 1, Conns: 1, Window: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "4096 bytes announced") {
		t.Errorf("a server that sends another file: %v", err)
	}
}

func TestMain(m *testing.M) {
	workerMain()
	mortalMain()
	goleak.VerifyTestMain(m)
}
