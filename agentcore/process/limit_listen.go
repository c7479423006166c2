package process

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sharetray/agentcore/share"
)

// crowdedAfter is how long all connections must be in use before it is worth
// telling, and before those that are open for nothing have to make room.
const crowdedAfter = time.Second

// listen limits what is accepted from a gate. It returns the gate itself when
// there is nothing to limit.
func (l *limits) listen(g *gate) net.Listener {
	if l.slots.limit == 0 && l.sent == nil {
		return g
	}
	return &limitedListener{gate: g, limits: l}
}

// crowded reports whether every connection is in use, so that answers have to
// end theirs. It is on the path of every request.
func (l *limits) crowded() bool { return l.slots.taken() }

// limitedListener accepts no more connections than there are slots, and throttles
// them. While there is no slot, connections wait in the kernel's queue. If there
// are several listeners, each may hold one more that it accepted in the moment
// in which another took the last slot.
type limitedListener struct {
	*gate
	limits *limits
}

// Accept waits for a slot, and for a connection.
func (ln *limitedListener) Accept() (net.Conn, error) {
	l := ln.limits
	l.slots.wait(ln.ending)
	accepted, err := ln.gate.Accept()
	if err != nil {
		return nil, err
	}
	c := accepted
	if l.slots.limit > 0 {
		l.slots.take(ln.ending)
		c = &slotConn{TCPConn: accepted.(*net.TCPConn), leave: sync.OnceFunc(l.slots.leave)}
	}
	if l.sent != nil {
		c = newThrottled(c, l.sent, l.taken)
	}
	return c, nil
}

// slotConn is a connection that has a slot. All else is as it was, so that
// sendfile works.
type slotConn struct {
	*net.TCPConn
	leave func()
}

func (c *slotConn) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

// slots are how many connections there may be at the same time.
type slots struct {
	limit  int                        // 0: none
	filled func(crowded, turned bool) // called every while that it is crowded, and when that is over

	mu     sync.Mutex
	used   int
	free   chan struct{} // closed when there is room again; nil: nobody waits
	full   bool          // it was at the last look, and had been
	look   *time.Timer   // nil: no look is due
	closed bool
}

// wait returns when there is a slot, or when ending is closed: a gate that ends
// takes whoever has waited.
func (s *slots) wait(ending <-chan struct{}) { s.await(ending, 0) }

// take waits for a slot and takes it.
func (s *slots) take(ending <-chan struct{}) { s.await(ending, 1) }

func (s *slots) await(ending <-chan struct{}, n int) {
	if s.limit == 0 {
		return
	}
	for {
		s.mu.Lock()
		if s.used < s.limit || isClosed(ending) {
			s.used += n
			if s.used >= s.limit {
				s.lookLaterLocked()
			}
			s.mu.Unlock()
			return
		}
		if s.free == nil {
			s.free = make(chan struct{})
		}
		free := s.free
		s.mu.Unlock()
		select {
		case <-free:
		case <-ending:
		}
	}
}

// leave gives a slot back.
func (s *slots) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used--
	if s.used < s.limit && s.free != nil {
		close(s.free)
		s.free = nil
	}
}

// taken reports whether every slot is in use.
func (s *slots) taken() bool {
	if s.limit == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used >= s.limit
}

// crowded reports whether every slot has been in use for a while.
func (s *slots) crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// lookLaterLocked sees to it that somebody looks whether it is still crowded.
func (s *slots) lookLaterLocked() {
	if s.look == nil && !s.closed {
		s.look = time.AfterFunc(crowdedAfter, s.lookNow)
	}
}

func (s *slots) lookNow() {
	s.mu.Lock()
	before, now := s.full, s.used >= s.limit
	s.full, s.look = now, nil
	if now {
		s.lookLaterLocked()
	}
	s.mu.Unlock()
	if now || before {
		s.filled(now, now != before)
	}
}

func (s *slots) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.look != nil {
		s.look.Stop()
	}
}

// newBucket lets through so many bytes in a second, and at once no more than in
// a tenth of one.
func newBucket(perSecond share.Bytes) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), int(max(perSecond/10, 1<<10)))
}

// throttled is a connection that shares its bandwidth with others. They take
// turns, a piece each.
type throttled struct {
	net.Conn
	sent, taken *rate.Limiter
	piece       int
	closed      chan struct{}
	close       func()
	read, write alarm
}

func newThrottled(c net.Conn, sent, taken *rate.Limiter) *throttled {
	t := &throttled{Conn: c, sent: sent, taken: taken, closed: make(chan struct{})}
	t.piece = min(max(sent.Burst()/8, 512), 256<<10)
	t.close = sync.OnceFunc(func() { close(t.closed) })
	return t
}

// Write sends b in pieces, each when it is its turn.
func (t *throttled) Write(b []byte) (n int, err error) {
	for {
		piece := b[n:min(n+t.piece, len(b))]
		if err := t.wait(t.sent, len(piece), &t.write); err != nil {
			return n, err
		}
		m, err := t.Conn.Write(piece)
		n += m
		if err != nil || n == len(b) {
			return n, err
		}
	}
}

// ReadFrom sends a file in pieces that the system copies (sendfile). What is not
// of a known length goes by Write: it would wait for a whole piece.
func (t *throttled) ReadFrom(r io.Reader) (n int64, err error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{t}, r)
	}
	for limited.N > 0 {
		piece := &io.LimitedReader{R: limited.R, N: min(limited.N, int64(t.piece))}
		want := piece.N
		if err := t.wait(t.sent, int(want), &t.write); err != nil {
			return n, err
		}
		m, err := t.Conn.(io.ReaderFrom).ReadFrom(piece)
		n += m
		limited.N -= m
		if err != nil || m < want {
			return n, err
		}
	}
	return n, nil
}

// Read takes what is there, and waits afterwards for as long as that should
// have taken. Meanwhile the kernel's buffer fills, and the visitor has to wait.
func (t *throttled) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b[:min(len(b), t.piece)])
	if n > 0 {
		_ = t.wait(t.taken, n, &t.read) // what was read was read
	}
	return n, err
}

// CloseWrite tells the visitor that there is nothing more to come.
func (t *throttled) CloseWrite() error {
	return t.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// SetLinger says what becomes of what is not sent when it is closed.
func (t *throttled) SetLinger(sec int) error {
	return t.Conn.(interface{ SetLinger(int) error }).SetLinger(sec)
}

// Close ends whatever waits.
func (t *throttled) Close() error {
	t.close()
	return t.Conn.Close()
}

func (t *throttled) SetDeadline(at time.Time) error {
	t.read.set(at)
	t.write.set(at)
	return t.Conn.SetDeadline(at)
}

func (t *throttled) SetReadDeadline(at time.Time) error {
	t.read.set(at)
	return t.Conn.SetReadDeadline(at)
}

func (t *throttled) SetWriteDeadline(at time.Time) error {
	t.write.set(at)
	return t.Conn.SetWriteDeadline(at)
}

// wait returns when n bytes may pass.
func (t *throttled) wait(bucket *rate.Limiter, n int, a *alarm) error {
	turn := bucket.ReserveN(time.Now(), n)
	delay := turn.Delay()
	if delay == 0 {
		return nil
	}
	ready := time.NewTimer(delay)
	defer ready.Stop()
	for {
		late, moved := a.wait()
		select {
		case <-ready.C:
			return nil
		case <-late:
			turn.Cancel()
			return os.ErrDeadlineExceeded
		case <-t.closed:
			turn.Cancel()
			return net.ErrClosed
		case <-moved:
		}
	}
}

// alarm is a deadline that can be moved while somebody waits for it.
type alarm struct {
	mu    sync.Mutex
	at    time.Time
	moved chan struct{} // closed when at changes; nil: nobody waits
}

func (a *alarm) set(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = at
	if a.moved != nil {
		close(a.moved)
		a.moved = nil
	}
}

// wait returns a channel that fires when it is late, and one that is closed when
// the deadline is moved.
func (a *alarm) wait() (late <-chan time.Time, moved <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.moved == nil {
		a.moved = make(chan struct{})
	}
	if !a.at.IsZero() {
		late = time.After(time.Until(a.at))
	}
	return late, a.moved
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
