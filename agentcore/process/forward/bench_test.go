package forward

import (
	"fmt"
	"io"
	"net"
	"testing"
)

// plainForwarder is what one writes in ten lines: io.Copy both ways.
func plainForwarder(b *testing.B, target string) string {
	ln := listen(b)
	serveTarget(b, ln, func(c net.Conn) {
		t, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer t.Close()
		go func() {
			_, _ = io.Copy(t, c)
			_ = t.(*net.TCPConn).CloseWrite()
		}()
		_, _ = io.Copy(c, t)
	})
	return ln.Addr().String()
}

// beside runs a benchmark with each way to target.
func beside(b *testing.B, target net.Listener, bench func(b *testing.B, addr string)) {
	at := target.Addr().String()
	b.Run("direct", func(b *testing.B) { bench(b, at) })
	b.Run("plain", func(b *testing.B) { bench(b, plainForwarder(b, at)) })
	b.Run("forward", func(b *testing.B) {
		_, addr := startTCP(b, at, Options{})
		bench(b, addr)
	})
	b.Run("wrapped", func(b *testing.B) {
		f := must(NewTCP(at, Options{}))
		own := listen(b)
		served := make(chan error, 1)
		go func() { served <- f.Serve(wrapping{own}) }()
		b.Cleanup(func() { f.Close(); <-served })
		bench(b, own.Addr().String())
	})
}

func BenchmarkBytes(b *testing.B) {
	ln := listen(b)
	load := make([]byte, 1<<20)
	serveTarget(b, ln, func(c net.Conn) {
		for {
			if _, err := c.Write(load); err != nil {
				return
			}
		}
	})
	beside(b, ln, func(b *testing.B, addr string) {
		c := dial(b, addr)
		defer c.Close()
		buf := make([]byte, 256<<10)
		b.SetBytes(1 << 20)
		for b.Loop() {
			if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(struct{ io.Reader }{c}, 1<<20), buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{100, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			ln := listen(b)
			serveTarget(b, ln, func(c net.Conn) {
				buf := make([]byte, size)
				for {
					if _, err := io.ReadFull(c, buf); err != nil {
						return
					}
					if _, err := c.Write(buf); err != nil {
						return
					}
				}
			})
			beside(b, ln, func(b *testing.B, addr string) {
				c := dial(b, addr)
				defer c.Close()
				buf := make([]byte, size)
				for b.Loop() {
					if _, err := c.Write(buf); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(c, buf); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkConnections(b *testing.B) {
	ln := listen(b)
	serveTarget(b, ln, echoes)
	beside(b, ln, func(b *testing.B, addr string) {
		buf := make([]byte, 1)
		for b.Loop() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = c.Write(buf)
			if _, err := io.ReadFull(c, buf); err != nil {
				b.Fatal(err)
			}
			c.Close()
		}
	})
}

func BenchmarkDatagramRoundTrip(b *testing.B) {
	target := echoUDP(b, "127.0.0.1:0").LocalAddr().String()
	bench := func(b *testing.B, addr string) {
		c := dialUDP(b, addr)
		load := make([]byte, 1200)
		buf := make([]byte, 2048)
		for b.Loop() {
			if _, err := c.Write(load); err != nil {
				b.Fatal(err)
			}
			if _, err := c.Read(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("direct", func(b *testing.B) { bench(b, target) })
	b.Run("forward", func(b *testing.B) {
		_, addr := startUDP(b, target, UDPOptions{})
		bench(b, addr)
	})
}

// BenchmarkDatagrams keeps a window of datagrams under way, each of which is
// answered.
func BenchmarkDatagrams(b *testing.B) {
	const window = 64
	target := echoUDP(b, "127.0.0.1:0").LocalAddr().String()
	bench := func(b *testing.B, addr string) {
		c := dialUDP(b, addr)
		load := make([]byte, 1200)
		buf := make([]byte, 2048)
		b.SetBytes(1200)
		sent := 0
		for b.Loop() {
			for ; sent < window; sent++ {
				if _, err := c.Write(load); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := c.Read(buf); err != nil {
				b.Fatal(err)
			}
			sent--
		}
	}
	b.Run("direct", func(b *testing.B) { bench(b, target) })
	b.Run("forward", func(b *testing.B) {
		_, addr := startUDP(b, target, UDPOptions{})
		bench(b, addr)
	})
}
