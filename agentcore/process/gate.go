package process

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// drainQuiet is how long a draining gate waits for one more connection before
// it takes the kernel's queue to be empty; drainBound is when it stops looking.
const (
	drainQuiet = 20 * time.Millisecond
	drainBound = time.Second
)

// stallLimit is how long a visitor may take nothing of what is sent to him: a
// paused download goes on after that long, a dead one holds nothing for longer.
const stallLimit = 15 * time.Minute

type gateState int

const (
	gateOpen gateState = iota
	gatePaused
	gateDraining
	gateClosed
)

// gate is a listener that can hold its breath. While it is paused, connections
// wait in the kernel's queue, for this process or for another that accepts from
// the same socket. What it accepts is the plain TCP connection, so that
// sendfile works.
type gate struct {
	ln   *net.TCPListener
	done chan struct{} // closed when nothing more will be accepted
	busy sync.Mutex    // held while a connection may be accepted

	ending chan struct{} // closed when Drain or Close begins
	end    func()        // closes it

	mu    sync.Mutex
	state gateState
	until time.Time     // draining: the latest end
	moved chan struct{} // closed and replaced when state changes
}

func newGate(ln *net.TCPListener) *gate {
	g := &gate{ln: ln, done: make(chan struct{}), moved: make(chan struct{}), ending: make(chan struct{})}
	g.end = sync.OnceFunc(func() { close(g.ending) })
	return g
}

// Addr is the address that the gate listens on.
func (g *gate) Addr() net.Addr { return g.ln.Addr() }

// Accept waits for a connection, over any number of pauses.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, moved, err := g.accept()
		if c != nil || err != nil {
			return c, err
		}
		if moved != nil {
			<-moved
		}
	}
}

// accept returns a connection, an error, a channel to wait on before the next
// try, or nothing.
func (g *gate) accept() (net.Conn, <-chan struct{}, error) {
	g.busy.Lock()
	defer g.busy.Unlock()
	g.mu.Lock()
	state, moved := g.state, g.moved
	if state == gateDraining {
		if now := time.Now(); now.Before(g.until) {
			_ = g.ln.SetDeadline(now.Add(drainQuiet))
		} else {
			g.closeLocked()
			state = gateClosed
		}
	}
	g.mu.Unlock()
	switch state {
	case gateClosed:
		return nil, nil, net.ErrClosed
	case gatePaused:
		return nil, moved, nil
	}
	c, err := g.ln.AcceptTCP()
	switch {
	case err == nil:
		return c, nil, nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return nil, nil, err
	case state == gateDraining:
		g.Close() // nobody waits any more
	}
	return nil, nil, nil
}

// Pause stops accepting until Resume. When it returns, no connection that is
// made from then on will be accepted.
func (g *gate) Pause() {
	g.set(gateOpen, gatePaused, time.Unix(1, 0))
	g.busy.Lock() // the deadline has ended an accept that was under way
	defer g.busy.Unlock()
}

// Resume accepts again.
func (g *gate) Resume() { g.set(gatePaused, gateOpen, time.Time{}) }

// Drain accepts what waits already or is about to, then closes. It returns when
// that is done.
func (g *gate) Drain() {
	g.mu.Lock()
	g.until = time.Now().Add(drainBound)
	g.mu.Unlock()
	g.set(gateOpen, gateDraining, time.Now().Add(drainQuiet))
	g.end()
	select {
	case <-g.done:
	case <-time.After(drainBound + 100*time.Millisecond): // nobody was in Accept
	}
	_ = g.Close()
}

func (g *gate) set(from, to gateState, deadline time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state != from {
		return
	}
	g.state = to
	_ = g.ln.SetDeadline(deadline)
	close(g.moved)
	g.moved = make(chan struct{})
}

// Close stops accepting for good.
func (g *gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closeLocked()
}

func (g *gate) closeLocked() error {
	if g.state == gateClosed {
		return nil
	}
	g.state = gateClosed
	g.end()
	close(g.moved)
	close(g.done)
	return g.ln.Close()
}
