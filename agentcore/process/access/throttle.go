package access

import (
	"container/list"
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// How wrong passwords are slowed, for each address: some are free, then each has
// to wait twice as long as the one before. It is forgotten in time.
const (
	freeTries   = 5
	firstDelay  = time.Second
	longestWait = time.Minute
	forgotten   = 15 * time.Minute
	maxAddrs    = 4096 // that are remembered
)

// Slow is the error of somebody who has to wait before he tries another password.
type Slow struct{ For time.Duration }

func (s Slow) Error() string {
	return fmt.Sprintf("too many wrong passwords: wait %v", s.For.Round(time.Second))
}

// Throttle slows down who guesses passwords, by address: one of IPv6 stands for
// its network, of which each visitor has a whole one. It is safe for concurrent
// use.
type Throttle struct {
	now func() time.Time

	mu     sync.Mutex
	byAddr map[netip.Addr]*list.Element
	latest list.List // of *guesser, the last one first
}

type guesser struct {
	addr  netip.Addr
	tries int // in a row, of which none was right so far
	last  time.Time
}

// NewThrottle knows of nobody.
func NewThrottle(now func() time.Time) *Throttle {
	return &Throttle{now: now, byAddr: map[netip.Addr]*list.Element{}}
}

// Wait counts a try before it is known how it goes, so that many at once are many.
// The error is a Slow: it does not wait itself, since whoever waits holds a
// connection.
func (t *Throttle) Wait(_ context.Context, addr netip.Addr) error {
	if d := t.Slow(addr); d > 0 {
		return Slow{d}
	}
	t.failed(addr)
	return nil
}

// Tried is told how a try went.
func (t *Throttle) Tried(addr netip.Addr, ok bool) {
	if !ok {
		return // it was counted
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byAddr[network(addr)]; e != nil {
		t.latest.Remove(e)
		delete(t.byAddr, network(addr))
	}
}

// Slow is how long somebody has to wait before he tries again; 0: not at all.
func (t *Throttle) Slow(addr netip.Addr) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byAddr[network(addr)]
	if e == nil {
		return 0
	}
	g := e.Value.(*guesser)
	if g.tries < freeTries {
		return 0
	}
	delay := longestWait
	if over := g.tries - freeTries; over < 6 {
		delay = firstDelay << over
	}
	return max(0, g.last.Add(min(delay, longestWait)).Sub(t.now()))
}

func (t *Throttle) failed(addr netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key, now := network(addr), t.now()
	e := t.byAddr[key]
	if e == nil {
		if t.latest.Len() >= maxAddrs {
			oldest := t.latest.Back()
			delete(t.byAddr, oldest.Value.(*guesser).addr)
			t.latest.Remove(oldest)
		}
		e = t.latest.PushFront(&guesser{addr: key})
		t.byAddr[key] = e
	}
	t.latest.MoveToFront(e)
	g := e.Value.(*guesser)
	if now.Sub(g.last) > forgotten {
		g.tries = 0
	}
	g.tries++
	g.last = now
}

// network is what one visitor has for himself.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	p, _ := addr.Prefix(64)
	return p.Addr()
}
