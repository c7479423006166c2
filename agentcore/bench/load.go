package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Every file that is served is filled with one pattern, repeated. Its length
// is prime, so that a byte in the wrong place is seen.
var pattern = func() []byte {
	b := make([]byte, 1048573)
	random := rand.NewChaCha8([32]byte{'s', 'h', 'a', 'r', 'e'})
	random.Read(b)
	return b
}()

// patternReader yields the pattern without end.
type patternReader struct{ at int }

func (r *patternReader) Read(b []byte) (int, error) {
	n := copy(b, pattern[r.at:])
	r.at = (r.at + n) % len(pattern)
	return n, nil
}

// patternCheck is a writer that fails at the first byte that is not the pattern's.
type patternCheck struct{ at int }

func (c *patternCheck) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		n := min(len(b)-done, len(pattern)-c.at)
		if !bytes.Equal(b[done:done+n], pattern[c.at:c.at+n]) {
			return done, errWrongBytes
		}
		done += n
		c.at = (c.at + n) % len(pattern)
	}
	return len(b), nil
}

var errWrongBytes = errors.New("the answer's bytes are not the file's")

// target is a file that is asked for.
type target struct {
	addr string
	file string
	size int64
	via  way
}

// client asks for one file over and over, on one connection after the other.
// It is deliberately bare: net/http would cost more than some of the servers.
type client struct {
	target
	keepAlive bool
	timeout   time.Duration
	rate      int64         // bytes a second at which it reads; 0: as fast as it can
	pace      time.Duration // it begins a request no sooner than this after the one before

	conn      net.Conn
	expires   time.Time // of conn
	asking    []byte    // the request, made once
	buf       []byte
	sink      io.Writer // gets the body; nil: nobody looks at it
	connected time.Time
}

// outcome says what became of a request.
type outcome uint8

const (
	answered outcome = iota // whole, and every byte right
	refused                 // no connection was had
	cut                     // the connection ended before the answer did
	odd                     // anything else: too late, an error page, wrong bytes
	outcomes
)

// do asks once. The error is nil exactly when the answer was whole.
func (c *client) do() (reused bool, err error) {
	reused = c.conn != nil
	if !reused {
		c.conn, err = c.via.dial(c.addr, c.timeout)
		if err != nil {
			c.conn = nil
			return false, err
		}
		c.connected, c.expires = time.Now(), time.Time{}
	}
	var more bool
	if c.via.datagrams {
		more, err = true, c.echo()
	} else {
		more, err = c.exchange()
	}
	if err != nil || !more || !c.keepAlive {
		c.hangUp()
	}
	return reused, err
}

// hangUp closes without TIME_WAIT, of which a closed loop would soon have
// used up every port. All that was wanted has been read.
func (c *client) hangUp() {
	if c.conn == nil {
		return
	}
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.conn.Close()
	c.conn = nil
}

// exchange sends the request and reads the answer; more says that the
// connection can be used again.
func (c *client) exchange() (more bool, err error) {
	// Moving the deadline costs as much as a request: once in a while will do.
	if now := time.Now(); c.expires.Sub(now) < c.timeout {
		c.expires = now.Add(c.timeout + time.Second)
		if err := c.conn.SetDeadline(c.expires); err != nil {
			return false, err
		}
	}
	if c.asking == nil {
		c.asking = c.request()
	}
	if _, err := c.conn.Write(c.asking); err != nil {
		return false, fmt.Errorf("%w: %w", errSilent, err)
	}
	if c.buf == nil {
		c.buf = make([]byte, 256<<10)
	}
	head, rest, err := readHead(c.conn, c.buf)
	if err != nil {
		return false, err
	}
	if head.status != http.StatusOK {
		return false, fmt.Errorf("%w: status %d", errOdd, head.status)
	}
	if head.length != c.size {
		return false, fmt.Errorf("%w: %d bytes announced, the file has %d", errOdd, head.length, c.size)
	}
	return !head.close, c.readBody(rest)
}

var (
	errOdd    = errors.New("unexpected answer")
	errSilent = errors.New("not a byte of an answer")
)

func (c *client) request() []byte {
	text := "GET /" + c.file + " HTTP/1.1\r\nHost: " + c.addr + "\r\n"
	if !c.keepAlive {
		text += "Connection: close\r\n"
	}
	return []byte(text + "\r\n")
}

func (c *client) readBody(first []byte) error {
	left := c.size
	began := time.Now()
	chunk := first
	for {
		if int64(len(chunk)) > left {
			return fmt.Errorf("%w: more bytes than announced", errOdd)
		}
		if c.sink != nil {
			if _, err := c.sink.Write(chunk); err != nil {
				return err
			}
		}
		left -= int64(len(chunk))
		if left == 0 {
			return nil
		}
		if c.rate > 0 {
			due := time.Duration(float64(c.size-left) / float64(c.rate) * float64(time.Second))
			time.Sleep(due - time.Since(began)) // a slow visitor
		}
		n, err := c.conn.Read(c.buf)
		chunk = c.buf[:n]
		if n == 0 && err != nil {
			return err
		}
	}
}

type head struct {
	status int
	length int64 // -1: not announced
	close  bool
}

// readHead reads up to the end of an answer's head, and what came with it.
func readHead(r io.Reader, buf []byte) (head, []byte, error) {
	have := 0
	for {
		n, err := r.Read(buf[have:])
		have += n
		if end := bytes.Index(buf[:have], []byte("\r\n\r\n")); end >= 0 {
			h, err := parseHead(buf[:end])
			return h, buf[end+4 : have], err
		}
		if err != nil {
			if have == 0 {
				err = fmt.Errorf("%w: %w", errSilent, err)
			}
			return head{}, nil, err
		}
		if have == len(buf) {
			return head{}, nil, fmt.Errorf("%w: a head without end", errOdd)
		}
	}
}

func parseHead(b []byte) (head, error) {
	line, rest, _ := bytes.Cut(b, []byte("\r\n"))
	h := head{length: -1}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return h, fmt.Errorf("%w: %q", errOdd, line)
	}
	var err error
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, fmt.Errorf("%w: %q", errOdd, line)
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(key, []byte("Content-Length")):
			if h.length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return h, fmt.Errorf("%w: %q", errOdd, line)
			}
		case bytes.EqualFold(key, []byte("Connection")):
			h.close = bytes.EqualFold(value, []byte("close"))
		}
	}
	return h, nil
}

// classify says what an error of do means.
func classify(err error) outcome {
	switch {
	case err == nil:
		return answered
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused
	case errors.Is(err, errOdd), errors.Is(err, errWrongBytes), errors.Is(err, os.ErrDeadlineExceeded):
		return odd
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return cut
	default:
		return odd
	}
}

// sample is one request. The times are since the load began.
type sample struct {
	begun, connected, ended time.Duration
	outcome                 outcome
	idle                    bool // cut on a connection that had carried another, before any byte of an answer
}

// afterRefusal is how long a client that was refused waits before it tries
// again: one that spins would take the processor from the server that starts.
const afterRefusal = 2 * time.Millisecond

// load is a number of clients, each in a closed loop.
type load struct {
	began   time.Time
	quit    chan struct{}
	once    sync.Once
	clients sync.WaitGroup

	mu      sync.Mutex
	samples []sample
	oddity  string // the first error that was odd

	watched atomic.Pointer[watch]
}

// watch is told of the first request that began later than it and was answered.
type watch struct {
	after time.Duration
	seen  chan struct{}
	once  sync.Once
}

// startLoad runs n clients that are like the given one. A request that was
// begun is always seen through: ending the load cuts nothing.
func startLoad(n int, like client) *load {
	l := &load{began: time.Now(), quit: make(chan struct{})}
	for range n {
		c := like
		l.clients.Go(func() { l.loop(&c) })
	}
	return l
}

func (l *load) now() time.Duration { return time.Since(l.began) }

func (l *load) loop(c *client) {
	defer c.hangUp()
	var mine []sample
	var oddity string
	for !l.ended() {
		c.sink = &patternCheck{}
		s := sample{begun: l.now()}
		next := s.begun + c.pace
		reused, err := c.do()
		s.ended, s.outcome = l.now(), classify(err)
		s.idle = s.outcome == cut && reused && errors.Is(err, errSilent)
		if s.outcome != refused {
			s.connected = c.connected.Sub(l.began)
		}
		mine = append(mine, s)
		if w := l.watched.Load(); w != nil && s.outcome == answered && s.begun > w.after {
			w.once.Do(func() { close(w.seen) })
		}
		switch s.outcome {
		case odd:
			if oddity == "" {
				oddity = err.Error()
			}
			time.Sleep(afterRefusal)
		case refused:
			time.Sleep(afterRefusal)
		}
		l.rest(next)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples = append(l.samples, mine...)
	if l.oddity == "" {
		l.oddity = oddity
	}
}

// rest waits until a moment, or until the load ends.
func (l *load) rest(until time.Duration) {
	left := until - l.now()
	if left <= 0 {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-l.quit:
	case <-timer.C:
	}
}

func (l *load) ended() bool {
	select {
	case <-l.quit:
		return true
	default:
		return false
	}
}

// end lets the clients finish what they do, and returns all samples.
func (l *load) end() []sample {
	l.once.Do(func() { close(l.quit) })
	l.clients.Wait()
	return l.samples
}

// awaitAnswer waits until a request that began from now on was answered.
func (l *load) awaitAnswer(ctx context.Context, patience time.Duration) error {
	w := &watch{after: l.now(), seen: make(chan struct{})}
	l.watched.Store(w)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-w.seen:
		return nil
	case <-timer.C:
		return fmt.Errorf("no request was answered for %v", patience)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// count is how many requests had which outcome.
type count struct {
	by   [outcomes]int
	idle int // of the cut: a kept connection, closed as the next request was on its way
}

func tally(samples []sample) count {
	var c count
	for _, s := range samples {
		c.by[s.outcome]++
		if s.idle {
			c.idle++
		}
	}
	return c
}
