package forward

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should happen at once.
const patience = 30 * time.Second

// eventually waits for what nobody tells.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for late := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("never: ", what)
		}
	}
}

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0")).(*net.TCPListener)
	t.Cleanup(func() { ln.Close() })
	return ln
}

// must is for what does not fail on a computer on which tests can run.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// serveTarget gives each connection of ln to handle, and closes it then.
func serveTarget(t testing.TB, ln net.Listener, handle func(net.Conn)) {
	t.Helper()
	done := make(chan struct{})
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
}

// server of any kind.
type servant interface {
	Serve(net.Listener) error
	Close() error
	Stats() Stats
}

// start serves on a listener of its own, and returns its address.
func start(t testing.TB, f servant) string {
	t.Helper()
	ln := listen(t)
	served := make(chan error, 1)
	go func() { served <- f.Serve(ln) }()
	t.Cleanup(func() {
		f.Close()
		if err := <-served; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve returned %v", err)
		}
		if s := f.Stats(); s.Active != 0 {
			t.Errorf("after Close: %+v", s)
		}
	})
	return ln.Addr().String()
}

func startTCP(t testing.TB, target string, opt Options) (*TCP, string) {
	t.Helper()
	f := must(NewTCP(target, opt))
	return f, start(t, f)
}

func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c.(*net.TCPConn)
}

func say(t testing.TB, c net.Conn, s string) {
	t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		t.Fatal(err)
	}
}

func hear(t testing.TB, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if n, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("heard %d bytes, %.40q, %v; want %.40q", n, b[:n], err, want)
	}
}

// end reads to the end of c.
func end(c net.Conn) string {
	b, err := io.ReadAll(c)
	switch {
	case isReset(err):
		return string(b) + "<reset>"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return string(b) + "<open>"
	case err != nil:
		return string(b) + "<" + err.Error() + ">"
	}
	return string(b)
}

func isReset(err error) bool {
	const wsaConnReset = syscall.Errno(10054)
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, wsaConnReset)
}

// noise is n bytes that nobody guesses, the same for the same seed.
func noise(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8(sha256.Sum256([]byte{seed})), n)
}

func sum(r io.Reader) (int64, [32]byte, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return n, [32]byte(h.Sum(nil)), err
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// echoes answers what it is sent.
func echoes(c net.Conn) { _, _ = io.Copy(c, c) }

var big = strings.Repeat("0123456789abcdef", 1<<12) // more than a buffer
