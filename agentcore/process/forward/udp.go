package forward

import (
	"container/list"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultSessions    = 1024
	defaultSessionIdle = 2 * time.Minute

	// maxPacket holds every datagram: 65,507 bytes over IPv4, 20 more over IPv6.
	maxPacket = 65535

	// evictAfter is how long a session that the target has answered must have
	// been silent to make room for another one.
	evictAfter = 10 * time.Second

	// lastSilence replaces the idle time of sessions while the forwarder drains.
	lastSilence = 2 * time.Second

	// refusalDelay is how long no refusal may come back for what was sent to a
	// target that was down, until it counts as up. Not every target answers.
	refusalDelay = time.Second

	// namesLast is how long the addresses of a target's name are used.
	namesLast      = time.Minute
	lookupTimeout  = 5 * time.Second
	lookupPatience = 300 * time.Millisecond
)

// UDPOptions are what a UDP forwarder may be told. The zero value has the
// default of each.
type UDPOptions struct {
	Door                   // Admit is asked about each datagram, Came told of each session
	Sessions int           // visitors (addresses and ports) at the same time; 0: 1,024
	Idle     time.Duration // without a datagram in either direction, then a session ends; 0: 2 min (RFC 4787, REQ-5)
	Probe    Probe         // nil: there are no probes
	Changed  func()        // called when TargetError says another thing than before; it must not wait
}

// UDP forwards datagrams to one target. Each visitor has a session: a socket of
// its own to the target, so that the target can tell visitors apart and answers
// find their way.
//
// When there are as many sessions as there may be, a new one takes the place of
// the one longest unused that the target never answered: a flood of made-up
// addresses evicts itself and not those who talk. If there is none such, it
// takes that of an answered one that has been silent for 10 s, and if there is
// none either, its datagrams are dropped.
type UDP struct {
	counters
	*target
	opt  UDPOptions
	work sync.WaitGroup // a goroutine each

	done  chan struct{} // closed by Close
	names names

	sentSince atomic.Int64 // when the first datagram went to a target that is down, since its last refusal; 0: none

	mu       sync.Mutex
	conns    []*udpPort
	sessions map[netip.AddrPort]*session
	fresh    list.List     // sessions without an answer, the longest unused one first
	proven   list.List     // the others
	paused   chan struct{} // closed by Resume; nil: not paused
	draining bool
	closed   bool
	empty    chan struct{} // closed when draining, and there are no sessions
}

// udpPort is a socket that visitors send to.
type udpPort struct {
	*net.UDPConn
	busy sync.Mutex // held while a datagram may be read
}

// settle returns when no read is under way that a deadline has ended.
func (p *udpPort) settle() {
	p.busy.Lock()
	defer p.busy.Unlock()
}

// session is a visitor's.
type session struct {
	from   netip.AddrPort
	port   *udpPort     // that he sends to, and is answered from
	conn   *net.UDPConn // to the target
	to     netip.AddrPort
	last   atomic.Int64 // when a datagram last passed, by the steady clock
	proven bool         // the target has answered; UDP.mu
	place  *list.Element
}

// NewUDP forwards to target, which is "host:port".
func NewUDP(target string, opt UDPOptions) (*UDP, error) {
	opt.Door = opt.Door.withDefaults()
	if opt.Sessions <= 0 {
		opt.Sessions = defaultSessions
	}
	if opt.Idle <= 0 {
		opt.Idle = defaultSessionIdle
	}
	if opt.Probe == nil {
		opt.Probe = func(netip.AddrPort) ([]byte, bool) { return nil, false }
	}
	if opt.Changed == nil {
		opt.Changed = func() {}
	}
	t, err := newTarget("udp", target, opt.Changed)
	if err != nil {
		return nil, err
	}
	f := &UDP{
		target: t, opt: opt, done: make(chan struct{}),
		sessions: map[netip.AddrPort]*session{}, empty: make(chan struct{}),
	}
	f.names.init(t.addr)
	return f, nil
}

// Serve forwards what arrives at conn until it is closed, by its owner or by
// Drain or Close, and returns net.ErrClosed then. It may be called for several
// sockets at the same time. A socket for all addresses of a computer that has
// several may answer from another one than was asked: give it one for each.
func (f *UDP) Serve(conn *net.UDPConn) error {
	p := &udpPort{UDPConn: conn}
	f.mu.Lock()
	if f.draining {
		f.mu.Unlock()
		conn.Close()
		return net.ErrClosed
	}
	f.conns = append(f.conns, p)
	if f.paused != nil {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
	f.work.Add(1)
	f.mu.Unlock()
	defer f.work.Done()
	defer func() {
		f.mu.Lock()
		f.conns = slices.DeleteFunc(f.conns, func(o *udpPort) bool { return o == p })
		f.mu.Unlock()
	}()
	known := make(chan struct{})
	f.work.Go(func() {
		defer close(known)
		f.learn()
	})
	select { // a datagram that comes before is lost, but probes can't wait for a DNS that is down
	case <-known:
	case <-time.After(lookupPatience):
	}
	buf := make([]byte, maxPacket)
	for {
		err := f.next(p, buf)
		switch {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return net.ErrClosed
		case errors.Is(err, os.ErrDeadlineExceeded):
			f.mu.Lock()
			paused := f.paused
			f.mu.Unlock()
			if paused != nil {
				select {
				case <-paused:
				case <-f.done:
				}
			}
		default: // Windows tells here that a visitor is gone; others run out of memory
			select {
			case <-time.After(time.Millisecond):
			case <-f.done:
			}
		}
	}
}

// next waits for one datagram and hands it on.
func (f *UDP) next(p *udpPort, buf []byte) error {
	p.busy.Lock()
	defer p.busy.Unlock()
	n, from, err := p.ReadFromUDPAddrPort(buf)
	if err != nil {
		return err
	}
	f.arrived(p, plain(from), buf[:n])
	return nil
}

// arrived hands on a visitor's datagram.
func (f *UDP) arrived(p *udpPort, from netip.AddrPort, b []byte) {
	if answer, ok := f.opt.Probe(from); ok {
		_, _ = p.WriteToUDPAddrPort(answer, from)
		return
	}
	if !f.opt.Admit(from) {
		f.denied.Add(1)
		return
	}
	s := f.sessionOf(p, from)
	if s == nil {
		f.denied.Add(1)
		return
	}
	now := int64(time.Since(began))
	s.last.Store(now)
	if f.TargetError() != "" {
		f.sentSince.CompareAndSwap(0, now)
	}
	_, err := s.conn.Write(b)
	if isRefused(err) { // that was about an earlier datagram; this one was not sent
		if f.refused(s, err) {
			f.end(s)
			if s = f.sessionOf(p, from); s == nil {
				f.denied.Add(1)
				return
			}
		}
		_, err = s.conn.Write(b)
	}
	if err != nil {
		f.denied.Add(1)
		return
	}
	f.in.Add(uint64(len(b)))
}

// sessionOf returns the session of a visitor, which may be a new one; nil when
// there is no room, no address to send to, or nothing new is taken.
func (f *UDP) sessionOf(p *udpPort, from netip.AddrPort) *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sessions[from]; s != nil {
		s.port = p
		f.listOf(s).MoveToBack(s.place)
		return s
	}
	if f.draining {
		return nil
	}
	addr, stale := f.names.pick()
	if stale {
		f.work.Go(f.learn)
	}
	if !addr.IsValid() || len(f.sessions) >= f.opt.Sessions && !f.evictLocked() {
		return nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		f.work.Go(func() { f.found(err) }) // Changed may want what is locked here
		return nil
	}
	s := &session{from: from, port: p, conn: conn, to: addr}
	s.last.Store(int64(time.Since(began)))
	s.place = f.fresh.PushBack(s)
	f.sessions[from] = s
	f.total.Add(1)
	f.active.Add(1)
	f.opt.Came(from)
	f.work.Go(func() { f.answers(s) })
	return s
}

func (f *UDP) listOf(s *session) *list.List {
	if s.proven {
		return &f.proven
	}
	return &f.fresh
}

// evictLocked ends a session for another one, if there is one to spare.
func (f *UDP) evictLocked() bool {
	e := f.fresh.Front()
	if e == nil {
		e = f.proven.Front()
		if e == nil || silence(e.Value.(*session)) < evictAfter {
			return false
		}
	}
	f.endLocked(e.Value.(*session))
	return true
}

func silence(s *session) time.Duration { return time.Since(began) - time.Duration(s.last.Load()) }

// end ends a session, if it has not ended.
func (f *UDP) end(s *session) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endLocked(s)
}

func (f *UDP) endLocked(s *session) {
	if f.sessions[s.from] != s {
		return
	}
	delete(f.sessions, s.from)
	f.listOf(s).Remove(s.place)
	f.active.Add(-1)
	s.conn.Close()
	f.seeEmptyLocked()
}

// answers brings back what the target sends, until the session ends.
func (f *UDP) answers(s *session) {
	defer f.end(s)
	in, err := newReceiver(s.conn)
	if err != nil {
		return
	}
	first := true
	back := func(b []byte) {
		f.mu.Lock()
		p := s.port
		if first && f.sessions[s.from] == s {
			f.fresh.Remove(s.place)
			s.proven, s.place = true, f.proven.PushBack(s)
		}
		f.mu.Unlock()
		first = false
		s.last.Store(int64(time.Since(began)))
		if _, err := p.WriteToUDPAddrPort(b, s.from); err == nil {
			f.out.Add(uint64(len(b)))
		}
	}
	for {
		if limit, quiet := f.idle(), silence(s); quiet >= limit {
			return
		} else if err := s.conn.SetReadDeadline(time.Now().Add(limit - quiet)); err != nil {
			return
		}
		for err = nil; err == nil; {
			if err = in.receive(back); err == nil && f.TargetError() != "" {
				f.found(nil)
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case isRefused(err):
			if f.refused(s, err) {
				return
			}
		default:
			return
		}
	}
}

// refused notes that nothing listens at the target (ICMP port unreachable). It
// reports whether the session should end, and the next one try another address.
func (f *UDP) refused(s *session, err error) (another bool) {
	f.sentSince.Store(0)
	another, all := f.names.next(s.to)
	if all {
		f.found(err)
	}
	return another
}

// Check returns what TargetError says from then on. It sends nothing: no
// datagram is sure to do no harm. A target that was down is up when something
// was sent to it and no refusal came back.
func (f *UDP) Check(context.Context) string {
	since := f.sentSince.Load()
	if since != 0 && time.Since(began)-time.Duration(since) >= refusalDelay {
		f.found(nil)
	}
	return f.TargetError()
}

func (f *UDP) idle() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.draining {
		return min(f.opt.Idle, lastSilence)
	}
	return f.opt.Idle
}

// Pause takes no more datagrams until Resume. When it returns, those that arrive
// from then on wait in the kernel, for this process or for another one that has
// the same sockets. Answers still go back.
func (f *UDP) Pause() {
	f.mu.Lock()
	if f.paused == nil {
		f.paused = make(chan struct{})
	}
	conns := slices.Clone(f.conns)
	for _, p := range conns {
		_ = p.SetReadDeadline(time.Unix(1, 0))
	}
	f.mu.Unlock()
	for _, p := range conns {
		p.settle()
	}
}

// Resume takes datagrams again.
func (f *UDP) Resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.paused == nil {
		return
	}
	for _, p := range f.conns {
		_ = p.SetReadDeadline(time.Time{})
	}
	close(f.paused)
	f.paused = nil
}

// Drain takes no new visitors and waits until the sessions have been silent for
// 2 s each, or ctx ends; then it closes everything. It returns ctx's error if
// sessions were cut. One that is paused when it drains takes no datagrams of the
// sessions either: they are another process's.
func (f *UDP) Drain(ctx context.Context) error {
	f.mu.Lock()
	f.draining = true
	for _, s := range f.sessions {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // it looks again at how long it may be silent
	}
	f.seeEmptyLocked()
	f.mu.Unlock()
	var err error
	select {
	case <-f.empty:
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = f.Close()
	return err
}

// Close closes the sockets, and waits until nothing is left of the sessions.
func (f *UDP) Close() error {
	f.mu.Lock()
	f.draining = true
	if !f.closed {
		f.closed = true
		close(f.done)
	}
	for _, p := range f.conns {
		p.Close()
	}
	for _, s := range f.sessions {
		f.endLocked(s)
	}
	f.seeEmptyLocked()
	f.mu.Unlock()
	f.work.Wait()
	return nil
}

// Cut ends all sessions. It takes new ones as before.
func (f *UDP) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sessions {
		f.endLocked(s)
	}
}

func (f *UDP) seeEmptyLocked() {
	if f.draining && len(f.sessions) == 0 && !isClosed(f.empty) {
		close(f.empty)
	}
}

// learn asks for the addresses of the target's name.
func (f *UDP) learn() {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-f.done:
			cancel()
		case <-stop:
		}
	}()
	if err := f.names.look(ctx); err != nil && !isClosed(f.done) {
		f.found(err)
	}
}

// names are the addresses of a target. A name may have several, of which not all
// need be listened at: localhost is two on most computers.
type names struct {
	host string // "": the address was given
	port uint16

	mu      sync.Mutex
	addrs   []netip.AddrPort
	at      int // which one is used
	looking bool
	since   time.Time
}

func (n *names) init(hostport string) {
	if a, err := netip.ParseAddrPort(hostport); err == nil {
		n.addrs = []netip.AddrPort{plain(a)}
		return
	}
	host, port, _ := net.SplitHostPort(hostport) // newTarget has read it
	p, _ := strconv.ParseUint(port, 10, 16)
	n.host, n.port = host, uint16(p)
}

// pick returns an address, or an invalid one if none is known, and whether
// somebody should look the name up.
func (n *names) pick() (addr netip.AddrPort, stale bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	stale = n.host != "" && !n.looking && time.Since(n.since) >= namesLast
	if stale {
		n.looking = true
	}
	if len(n.addrs) > 0 {
		addr = n.addrs[n.at]
	}
	return addr, stale
}

// next is told that nothing listens at an address. It reports whether there is
// another one, which is used from now on, and whether all have been tried.
func (n *names) next(used netip.AddrPort) (another, all bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.addrs) < 2 {
		return false, true
	}
	if n.addrs[n.at] != used {
		return true, false // somebody was quicker
	}
	n.at = (n.at + 1) % len(n.addrs)
	return true, n.at == 0
}

func (n *names) look(ctx context.Context) error {
	if n.host == "" {
		return nil
	}
	n.mu.Lock()
	n.looking = true
	n.mu.Unlock()
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", n.host)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.looking = false
	if err != nil {
		if len(n.addrs) == 0 {
			n.since = time.Now().Add(lookupTimeout - namesLast) // soon again
			return err
		}
		return nil // those known will do
	}
	var addrs []netip.AddrPort
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), n.port))
	}
	// IPv4 first: who listens at one of the two only, listens at that.
	slices.SortStableFunc(addrs, func(a, b netip.AddrPort) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	if !slices.Equal(addrs, n.addrs) {
		n.addrs, n.at = addrs, 0
	}
	n.since = time.Now()
	return nil
}
