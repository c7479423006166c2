// Package process is what runs inside a share process: it is told over its
// link which share to be, serves it with Caddy, answers for its health, and
// drains when it is asked to stop.
//
// It must not know how the agent supervises, where shares are kept or that
// there are other shares. Nothing outside this package may import Caddy.
package process

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"sharetray/agentcore/link"
	"sharetray/platform"
)

// introduction is how long a process waits for its agent's first hello.
const introduction = 30 * time.Second

// Main is the whole life of a share process. It returns the exit code.
func Main(linkPath, version string) int {
	p := &process{
		linkPath: linkPath,
		version:  version,
		arrived:  make(chan *link.Conn),
		exit:     make(chan int, 1),
		news:     make(chan struct{}, 1),
		warmed:   make(chan struct{}),
	}
	platform.NameProcess(filepath.Base(os.Args[0]))
	collector.comeUp()
	caddy.BufferedLog() // until serve, nothing is logged anywhere
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(newLogHandler(&output)))

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, platform.StopSignals()...)
	ln, err := platform.InheritedLink(linkPath)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sharetray: a share process is started by the agent only: %v\n", err)
		return 1
	}
	defer p.vacate()
	defer platform.RemoveLink(linkPath)
	defer p.removeRecord()
	go p.accept(ln)
	go p.tellNews()
	code := p.live(signals)
	p.slogEnd(code)
	return code
}

// process is one share process.
type process struct {
	linkPath, version string

	arrived chan *link.Conn // agents that have introduced themselves
	exit    chan int
	news    chan struct{} // the target's state has changed
	warmed  chan struct{} // closed when warming up is over

	agent  atomic.Pointer[link.Conn] // the newest
	wanted atomic.Bool               // serve was said: warming up is over

	mu       sync.Mutex
	nonce    string
	stage    *stage // nil until serve
	stages   int
	told     bool        // serve was said, be it in vain
	serves   *link.Serve // what it was told last, from serve to unhold
	held     bool        // it is ready and waits for resume
	paused   bool
	stopping bool
	order    time.Duration // when it began to serve, by the system's steady clock
}

// live waits for what ends the process: a signal, a refusal, the end of a
// drain, or of the time that it may be without an agent.
func (p *process) live(signals <-chan os.Signal) int {
	var agent *link.Conn
	introduced := time.NewTimer(introduction)
	var leaseOver <-chan time.Time // nil: there is an agent
	adopted := func() {}           // ends the search for an agent
	for {
		var gone <-chan struct{}
		if agent != nil {
			gone = agent.Done()
		}
		select {
		case agent = <-p.arrived:
			introduced.Stop()
			adopted()
			leaseOver, adopted = nil, func() {}
		case <-gone:
			agent = nil
			if o, ok := p.orphaned(); ok {
				slog.Warn("the agent is gone, serving on", "for", o.Lease)
				leaseOver, adopted = time.After(o.Lease), p.seekAgent(o)
			} else {
				p.stop()
			}
		case <-leaseOver:
			slog.Warn("no agent has come, draining")
			adopted() // it needs none to end
			p.stop()
		case <-introduced.C:
			p.stop()
		case s := <-signals:
			adopted()
			if p.stop() {
				return 0 // asked twice
			}
			slog.Info("asked to stop", "signal", s.String())
		case code := <-p.exit:
			return code
		}
	}
}

// stop starts the drain, and reports whether it was running already.
func (p *process) stop() (again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping {
		return true
	}
	p.stopping = true
	st, paused := p.stage, p.paused
	go func() {
		if st != nil {
			p.end(st, paused)
			if k, ok := st.kind.(tidier); ok && !paused {
				k.tidy()
			}
		}
		p.exit <- 0
	}()
	return false
}

// end drains a stage, and ends what its kind runs. Of the time that the share's
// stop may take, that needs a part; who is still served then is cut.
func (p *process) end(st *stage, rolled bool) {
	k, ok := st.kind.(ender)
	if !ok {
		st.drain(rolled)
		return
	}
	drained := make(chan struct{})
	go func() {
		st.drain(rolled)
		close(drained)
	}()
	late := make(<-chan time.Time)
	if !rolled {
		late = time.After(p.serves.Share.StopGrace / 2)
	}
	select {
	case <-drained:
	case <-late:
	}
	k.end()
}

// acceptAgain is the pause after an agent could not be let in.
const acceptAgain = 100 * time.Millisecond

// accept lets agents in. One that connects while another is there takes over.
// The link is never closed, so that an error is one that passes: no descriptor
// is free, for one.
func (p *process) accept(ln net.Listener) {
	for first := true; ; {
		conn, err := ln.Accept()
		if err != nil {
			time.Sleep(acceptAgain)
			continue
		}
		s := &session{p: p, ready: make(chan struct{})}
		s.conn = link.New(conn, s.handle)
		close(s.ready)
		if first {
			first = false
			go p.missFounder(s.conn)
		}
	}
}

// missFounder ends a process whose agent has died before it said anything. The
// agent that starts a process is the first to connect.
func (p *process) missFounder(c *link.Conn) {
	<-c.Done()
	p.mu.Lock()
	unknown := p.nonce == ""
	p.mu.Unlock()
	if unknown {
		p.stop()
	}
}

// tellNews tells the agent of each change of the target's state.
func (p *process) tellNews() {
	for range p.news {
		if c := p.agent.Load(); c != nil {
			h := p.health()
			_ = c.Tell(link.Message{Type: link.TypeHealth, Health: &h}) // a lost agent asks again
		}
	}
}

// targetChanged is called by a kind, from any goroutine.
func (p *process) targetChanged() {
	select {
	case p.news <- struct{}{}:
	default: // the one that waits will tell the newest state
	}
}

func (p *process) health() link.Health {
	p.mu.Lock()
	st := p.stage
	p.mu.Unlock()
	if st == nil {
		return link.Health{}
	}
	own := ""
	if k, ok := st.kind.(linker); ok {
		own = k.link(st)
	}
	return link.Health{
		TargetError: st.kind.targetError(),
		Link:        own,
		Expired:     st.expired(),
		Use:         st.use(),
		Uptime:      time.Since(st.since),
		Excess:      st.limits.excess(),
		Full:        st.limits.full(),
		Limits:      st.limits.means(),
	}
}

func (p *process) slogEnd(code int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stage != nil {
		slog.Info("exiting", "code", code, "requests", p.stage.use().Requests)
		p.stage.book.Flush()
	}
}

// viaID names a process in the requests that it proxies, without giving away
// its nonce.
func viaID(nonce string) string {
	sum := sha256.Sum256([]byte("via " + nonce))
	return hex.EncodeToString(sum[:8])
}
