// Package forward hands on what is not HTTP: TCP connections, UDP datagrams,
// and connections that visitors ask for by SOCKS5. It serves on sockets that it
// is given, and on several at the same time.
//
// It must not know about shares, agents, files or how processes are supervised.
package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Defaults of what an option leaves at zero.
const (
	defaultConns       = 1024
	defaultDialTimeout = 10 * time.Second
	defaultPatience    = 3 * time.Second
)

// Visitors who find every connection in use wait for one, so many at most. The
// others are turned away at once: whoever waits holds a descriptor.
const waitingRoom = 128

// probeTimeout is how long a probe may take to receive its answer.
const probeTimeout = 2 * time.Second

// Probe reports whether the connection or datagram from remote is a probe of
// the supervisor, and what to answer. It is asked about each, and must be quick
// and safe to call from several goroutines. A probe is no visitor: it is
// answered when every connection is in use, too, and counted nowhere.
type Probe func(remote netip.AddrPort) (answer []byte, ok bool)

// Door is who may come in. Its functions must be quick, must not call the
// forwarder, and be safe to call from several goroutines.
type Door struct {
	Admit func(remote netip.AddrPort) bool // asked about each visitor; whom it refuses is denied. nil: all may
	Came  func(remote netip.AddrPort)      // told of each who was let in. nil: nobody wants to know
}

func (d Door) withDefaults() Door {
	if d.Admit == nil {
		d.Admit = func(netip.AddrPort) bool { return true }
	}
	if d.Came == nil {
		d.Came = func(netip.AddrPort) {}
	}
	return d
}

// Options are what every forwarder of connections may be told. The zero value
// has the default of each.
type Options struct {
	Door
	Conns       int           // open at the same time; 0: 1,024
	Idle        time.Duration // without a byte in either direction, then it is cut; 0: never, keep-alive finds the dead
	DialTimeout time.Duration // of one try to connect; 0: 10 s
	Patience    time.Duration // how long a visitor waits for a free connection, or for a target that is down; 0: 3 s, negative: not at all
	Probe       Probe         // nil: there are no probes
	Changed     func()        // called when TargetError says another thing than before; it must not wait
}

func (o Options) withDefaults() Options {
	o.Door = o.Door.withDefaults()
	if o.Conns <= 0 {
		o.Conns = defaultConns
	}
	if o.DialTimeout <= 0 {
		o.DialTimeout = defaultDialTimeout
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.Probe == nil {
		o.Probe = func(netip.AddrPort) ([]byte, bool) { return nil, false }
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return o
}

// Stats is what a forwarder has counted. Bytes are payload, and counted when
// they are handed on, those of a fast transfer about ten times a second.
type Stats struct {
	Active int64  // connections or sessions that are open
	Total  uint64 // that were let in, served or not; of sessions, those that began
	In     uint64 // bytes from visitors to the target
	Out    uint64 // bytes from the target to visitors
	Denied uint64 // connections that were not served, or datagrams: no room, target down, not allowed
}

// counters are read and written without a lock.
type counters struct {
	active                 atomic.Int64
	total, in, out, denied atomic.Uint64
}

// Stats may be called at any time. The numbers are each true, but not all of
// the same instant.
func (c *counters) Stats() Stats {
	return Stats{Active: c.active.Load(), Total: c.total.Load(), In: c.in.Load(), Out: c.out.Load(), Denied: c.denied.Load()}
}

// server accepts connections and bounds, tracks and ends them. What is done
// with one is its handler's.
type server struct {
	counters
	opt     Options
	handle  visit
	slots   chan struct{}
	waiting atomic.Int64
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	work    sync.WaitGroup // a goroutine each

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[net.Conn]struct{} // of visitors and of targets
	visits    int                   // visitors that are being served, or wait
	draining  bool
	empty     chan struct{} // closed when draining, and there are no visits
}

// visit serves a connection, between enter and leave. It returns when that is
// done with, and whether it was served.
type visit func(context.Context, net.Conn) (served bool)

func newServer(opt Options, handle visit) *server {
	s := &server{
		opt: opt.withDefaults(), handle: handle,
		listeners: map[net.Listener]struct{}{}, conns: map[net.Conn]struct{}{}, empty: make(chan struct{}),
	}
	s.slots = make(chan struct{}, s.opt.Conns)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve accepts connections from ln until it is closed, by its owner or by
// Drain or Close, and returns net.ErrClosed then. Connections go on. It may be
// called for several listeners at the same time.
//
// Give it listeners whose connections are *net.TCPConn if it can be: others are
// copied through this process's memory.
func (s *server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		ln.Close()
		return net.ErrClosed
	}
	s.listeners[ln] = struct{}{}
	s.work.Add(1) // with the lock held: Close has not begun to wait
	s.mu.Unlock()
	defer s.work.Done()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, ln)
		s.mu.Unlock()
	}()
	for again := time.Duration(0); ; {
		c, err := ln.Accept()
		if err == nil {
			again = 0
			s.accepted(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return net.ErrClosed
		}
		again = min(max(2*again, 5*time.Millisecond), time.Second) // descriptors are short; some will be given back
		select {
		case <-time.After(again):
		case <-s.ctx.Done():
			return net.ErrClosed
		}
	}
}

// accepted answers a probe, or serves a visitor, in a goroutine of its own.
func (s *server) accepted(c net.Conn) {
	from := addrPort(c.RemoteAddr())
	answer, probe := s.opt.Probe(from)
	if !probe && !s.opt.Admit(from) {
		s.denied.Add(1)
		reset(c)
		return
	}
	if !s.track(c) { // closed meanwhile
		return
	}
	if !probe {
		s.mu.Lock()
		s.visits++
		s.mu.Unlock()
		s.total.Add(1)
		s.opt.Came(from)
	}
	s.work.Go(func() {
		defer s.untrack(c)
		if probe {
			_ = c.SetDeadline(time.Now().Add(probeTimeout))
			_, _ = c.Write(answer)
			return
		}
		defer s.left()
		if !s.handle(s.ctx, c) {
			s.denied.Add(1)
			reset(c) // if it is still open, nobody has said why
		}
	})
}

// enter takes a slot, and waits for one if it has to. Who has one is active.
func (s *server) enter() bool {
	if !s.takeSlot() {
		return false
	}
	s.active.Add(1)
	return true
}

// leave gives the slot back.
func (s *server) leave() {
	s.active.Add(-1)
	<-s.slots
}

func (s *server) takeSlot() bool {
	select {
	case s.slots <- struct{}{}:
		return true
	default:
	}
	defer s.waiting.Add(-1)
	if s.waiting.Add(1) > waitingRoom {
		return false
	}
	late := time.NewTimer(s.opt.Patience)
	defer late.Stop()
	select {
	case s.slots <- struct{}{}:
		return true
	case <-late.C:
	case <-s.ctx.Done():
	}
	return false
}

// track sees to it that Close ends c. It reports false, and has closed c, when
// that was already.
func (s *server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		reset(c)
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// untrack closes c, which may be closed.
func (s *server) untrack(c net.Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	c.Close()
}

func (s *server) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visits--
	s.seeEmptyLocked()
}

func (s *server) seeEmptyLocked() {
	if s.draining && s.visits == 0 && !isClosed(s.empty) {
		close(s.empty)
	}
}

// Drain closes the listeners and waits for the connections that are open. When
// ctx ends before they do, it cuts them and returns ctx's error. Listeners that
// should first accept what waits in the kernel's queue are closed by their owner
// after that, and before Drain.
func (s *server) Drain(ctx context.Context) error {
	s.shut()
	var err error
	select {
	case <-s.empty:
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = s.Close()
	return err
}

// Close closes the listeners, cuts all connections and waits until nothing is
// left of them. What is cut is reset: nobody takes a part for the whole.
func (s *server) Close() error {
	s.shut()
	s.mu.Lock()
	s.cancel()
	for c := range s.conns {
		reset(c)
	}
	s.mu.Unlock()
	s.work.Wait()
	return nil
}

// Cut resets all connections that are open. It takes new ones as before.
func (s *server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		reset(c)
	}
}

func (s *server) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for ln := range s.listeners {
		ln.Close()
	}
	s.seeEmptyLocked()
}

// reset closes c so that its other end learns that it was cut, where the system
// can say so.
func reset(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return plain(t.AddrPort())
}

// plain writes an IPv4 address that a socket for both families shows as an IPv6
// one as what it is.
func plain(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
