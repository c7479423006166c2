package forward

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// A direction is copied through a small buffer until it fills one: then there is
// more to come, and the kernel moves it from socket to socket (splice(2)), until
// there is a lull. A splice needs a pipe, which is two descriptors and up to a
// megabyte of the kernel's memory, also while it waits for bytes. So connections
// that are idle or chat don't hold one.
const (
	chatBuffer = 4 << 10
	copyBuffer = 32 << 10 // where the kernel can't do it
	bulkPiece  = 1 << 20
	bulkLull   = 100 * time.Millisecond
)

// stallPatience replaces a shorter idle timeout while a splice is under way: how
// much of its piece has gone out can't be seen until the whole of it has.
const stallPatience = 15 * time.Minute

// relay is two connections whose bytes go to each other.
type relay struct {
	visitor, target net.Conn
	in, out         *atomic.Uint64
	idle            time.Duration // 0: no limit

	last   atomic.Int64 // when a byte was last handed on, by the steady clock
	bulk   atomic.Int32 // directions that splice
	broken atomic.Bool  // one of the connections failed: the other one is reset
}

// run returns when both directions have ended, and both connections are closed.
//
// The end of one direction (FIN) is handed on as such, and the other one goes on
// (RFC 9293, section 3.6: half-closed). A reset is handed on as a reset.
func (r *relay) run() {
	defer r.watchIdle()()
	back := make(chan struct{})
	go func() {
		defer close(back)
		r.pump(r.visitor, r.target, r.out)
	}()
	r.pump(r.target, r.visitor, r.in)
	<-back
	if r.broken.Load() {
		r.abort()
	}
	r.visitor.Close()
	r.target.Close()
}

// abort resets both connections, which ends both directions.
func (r *relay) abort() {
	r.broken.Store(true)
	reset(r.visitor)
	reset(r.target)
}

// pump copies from src to dst until src ends or one of them fails.
func (r *relay) pump(dst, src net.Conn, passed *atomic.Uint64) {
	srcFailed, dstFailed := r.copy(dst, src, passed)
	switch {
	case srcFailed:
		r.abort()
	case dstFailed:
		// dst may have sent an answer before it went: the other direction
		// brings it, and then ends by itself.
		r.broken.Store(true)
	case r.broken.Load(): // src failed while the other direction wrote to it, and so had no error left for us
		r.abort()
	default:
		if half, ok := dst.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		} else {
			dst.Close()
		}
	}
}

func (r *relay) copy(dst, src net.Conn, passed *atomic.Uint64) (srcFailed, dstFailed bool) {
	kernel := canSplice(dst, src)
	size := copyBuffer
	if kernel {
		size = chatBuffer
	}
	buf := make([]byte, size)
	for {
		n, err := src.Read(buf)
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return false, true
			}
			r.passed(n, passed)
		}
		switch {
		case err == io.EOF:
			return false, false
		case err != nil:
			return true, false
		}
		if kernel && n == len(buf) {
			ended, err := r.splice(dst, src, passed)
			if err != nil {
				dstFailed := whoseIsIt(dst, src)
				return !dstFailed, dstFailed
			}
			if ended {
				return false, false
			}
		}
	}
}

// splice lets the kernel copy until there is a lull, or src has ended. It goes
// through pieces that end soon, so as to count them.
func (r *relay) splice(dst, src net.Conn, passed *atomic.Uint64) (ended bool, err error) {
	r.bulk.Add(1)
	defer r.bulk.Add(-1)
	for {
		if err := src.SetReadDeadline(time.Now().Add(bulkLull)); err != nil {
			return false, err
		}
		var n int64
		whole := false
		switch dst := dst.(type) {
		case *net.TCPConn:
			n, err = dst.ReadFrom(&io.LimitedReader{R: src, N: bulkPiece})
			whole = n == bulkPiece
		case *net.UnixConn:
			n, err = src.(*net.TCPConn).WriteTo(dst)
		}
		r.passed(int(n), passed)
		switch {
		case err == nil && !whole:
			return true, nil
		case err == nil, errors.Is(err, os.ErrDeadlineExceeded) && n > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, src.SetReadDeadline(time.Time{})
		default:
			return false, err
		}
	}
}

// whoseIsIt reports whether dst has failed, and not src, when a splice between
// them did: the error does not tell. A TCP connection that was reset can't be
// shut any more, and to one that was not it does no harm: if the other one has
// failed, nothing more is read from it.
func whoseIsIt(dst, src net.Conn) (dstFailed bool) {
	if dst, ok := dst.(*net.TCPConn); ok {
		return dst.CloseRead() != nil
	}
	return src.(*net.TCPConn).CloseRead() == nil
}

// canSplice reports whether package net has the kernel copy from src to dst.
func canSplice(dst, src net.Conn) bool {
	if runtime.GOOS != "linux" {
		return false
	}
	_, dstTCP := dst.(*net.TCPConn)
	_, srcTCP := src.(*net.TCPConn)
	_, dstUnix := dst.(*net.UnixConn)
	_, srcUnix := src.(*net.UnixConn)
	return dstTCP && (srcTCP || srcUnix) || dstUnix && srcTCP
}

func (r *relay) passed(n int, counter *atomic.Uint64) {
	counter.Add(uint64(n))
	if r.idle > 0 {
		r.last.Store(int64(time.Since(began)))
	}
}

// began is where the steady clock of this package starts.
var began = time.Now()

// watchIdle aborts the relay when it has been idle for too long. It returns what
// stops it.
func (r *relay) watchIdle() (stop func()) {
	if r.idle <= 0 {
		return func() {}
	}
	r.last.Store(int64(time.Since(began)))
	done := make(chan struct{})
	var look func()
	timer := time.AfterFunc(time.Hour, func() { look() })
	look = func() {
		limit := r.idle
		if r.bulk.Load() > 0 {
			limit = max(limit, stallPatience)
		}
		left := limit - (time.Since(began) - time.Duration(r.last.Load()))
		switch {
		case isClosed(done):
		case left <= 0:
			r.abort()
		default:
			timer.Reset(min(left, r.idle))
		}
	}
	timer.Reset(r.idle)
	return func() {
		close(done)
		timer.Stop()
	}
}
