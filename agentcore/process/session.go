package process

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2"

	"sharetray/agentcore/link"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// session is one connection of an agent.
type session struct {
	p     *process
	ready chan struct{} // closed when conn is set
	conn  *link.Conn
	known bool // hello was said; only handle touches it
}

// handle is the link.Handler of a share process.
func (s *session) handle(m link.Message, socks []*platform.Socket) *link.Message {
	<-s.ready
	if m.Type != link.TypeServe {
		closeAll(socks)
	}
	switch {
	case m.Type == link.TypeHello && m.Hello != nil:
		return s.hello(*m.Hello)
	case !s.known:
		closeAll(socks)
		return refuse("say hello first", false)
	case m.Type == link.TypeServe && m.Serve != nil:
		return s.serve(m, socks)
	case m.Type == link.TypePause:
		s.p.setPaused(true)
		return &link.Message{Type: link.TypeOK}
	case m.Type == link.TypeResume:
		s.p.setPaused(false)
		return &link.Message{Type: link.TypeOK}
	case m.Type == link.TypeUnhold:
		s.p.unhold()
		return &link.Message{Type: link.TypeOK}
	case m.Type == link.TypePing:
		s.p.checkTarget()
		h := s.p.health()
		return &link.Message{Type: link.TypeHealth, Health: &h}
	}
	closeAll(socks)
	return refuse(fmt.Sprintf("this process does not know what %q means", m.Type), false)
}

func (s *session) hello(h link.Hello) *link.Message {
	if h.Protocol != link.Protocol {
		return refuse(fmt.Sprintf("this process speaks version %d of the link, the agent version %d",
			link.Protocol, h.Protocol), false)
	}
	p := s.p
	p.mu.Lock()
	if p.nonce == "" {
		p.nonce = h.Nonce
	}
	nonce := p.nonce
	p.mu.Unlock()
	if nonce == "" {
		return refuse("the first hello must bring a nonce", false)
	}
	if !s.known {
		s.known = true
		if old := p.agent.Swap(s.conn); old != nil {
			old.Close()
		}
		p.arrived <- s.conn
	}
	return &link.Message{Type: link.TypeHello, Hello: &link.Hello{
		Protocol: link.Protocol, Version: p.version, PID: os.Getpid(), Nonce: nonce,
	}}
}

// serve answers by itself when the process has to end after the answer: what a
// handler returns is sent too late for that.
func (s *session) serve(m link.Message, socks []*platform.Socket) *link.Message {
	r := s.p.serve(*m.Serve, socks)
	if r == nil {
		return &link.Message{Type: link.TypeOK}
	}
	if !r.Permanent {
		return &link.Message{Type: link.TypeRefuse, Refusal: r}
	}
	_ = s.conn.Tell(link.Message{ID: m.ID, Answer: true, Type: link.TypeRefuse, Refusal: r})
	s.p.exit <- link.ExitConfig
	return nil
}

// serve makes this process the share. nil means that it is.
func (p *process) serve(m link.Serve, socks []*platform.Socket) *link.Refusal {
	if m.Hold {
		<-p.warmed // nobody waits for it yet
	}
	p.wanted.Store(true)
	defer closeAll(socks) // of those that became listeners, nothing is left to close
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopping:
		return &link.Refusal{Sentence: "this process is stopping"}
	case p.told && p.held == nil:
		return &link.Refusal{Sentence: "this process has been told already which share to be"}
	case len(socks) == 0:
		return &link.Refusal{Sentence: "no socket came with the share"}
	}
	p.told = true
	newKind, ok := kinds[m.Share.Kind]
	if !ok {
		return permanent("shares of kind %q can't be served by this version", m.Share.Kind)
	}
	target, err := share.NormalizeTarget(m.Share.Kind, m.Share.Target)
	if err != nil {
		return permanent("%s", problem.Sentence(err))
	}
	m.Share.Target = target
	kind, err := newKind(m.Share, kindEnv{changed: p.targetChanged, log: slog.Default(), via: viaID(p.nonce)})
	if err != nil {
		return permanent("%v", err)
	}
	p.stages++
	st := newStage(fmt.Sprintf("share%d", p.stages), kind)
	st.probe, st.nonce = m.Probe, p.nonce
	for _, s := range socks {
		ln, err := s.Listener()
		if err != nil {
			st.close()
			return &link.Refusal{Sentence: fmt.Sprintf("can't use the socket: %v", err)}
		}
		_ = platform.LimitStall(ln, stallLimit) // without it, a stalled visitor stays
		g := newGate(ln)
		if m.Hold {
			g.Pause()
		}
		st.listeners = append(st.listeners, g)
	}
	if !m.Hold {
		openLog(m.Log)
	}
	if err := st.run(); err != nil {
		slog.Error("Caddy refused the configuration", "error", err)
		st.close()
		return permanent("Caddy refused the configuration: %v", err)
	}
	if p.stage != nil { // it was held, and Caddy has left it for the new one
		p.stage.close()
	}
	p.stage, p.held, p.paused = st, nil, m.Hold
	if m.Hold {
		p.held = &m
	} else {
		p.begin(m)
	}
	return nil
}

// begin is what a stage does once visitors come in.
func (p *process) begin(m link.Serve) {
	slog.Info("serving", "share", m.Share.Name, "kind", m.Share.Kind, "target", m.Share.Target,
		"address", addresses(p.stage.listeners), "pid", os.Getpid(), "version", p.version)
	p.stage.kind.start()
	time.AfterFunc(tidyAfter+rand.N(tidyAfter), func() {
		runtime.GC() // what pools keep goes with the second collection
		debug.FreeOSMemory()
	})
}

// tidyAfter is when a process that serves gives back, once, the memory that it
// used to get there. Many that start together do it one after the other.
const tidyAfter = 2 * time.Second

// unhold makes this process again one that waits for a share.
func (p *process) unhold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil || p.stopping {
		return
	}
	_ = caddy.Stop()
	p.stage.close()
	p.stage, p.held, p.paused, p.told = nil, nil, false, false
}

func (p *process) setPaused(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stage == nil || p.stopping {
		return
	}
	p.paused = paused
	if held := p.held; held != nil && !paused {
		p.held = nil
		p.stage.since = time.Now()
		defer func() { // visitors first
			openLog(held.Log)
			p.begin(*held)
		}()
	}
	for _, g := range p.stage.gates() {
		if paused {
			g.Pause()
		} else {
			g.Resume()
		}
	}
}

// checkTarget looks after the target before a ping is answered, but never
// longer than a moment: a folder on a dead network drive may not answer at all.
func (p *process) checkTarget() {
	p.mu.Lock()
	st := p.stage
	p.mu.Unlock()
	if st == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		st.kind.check()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(300 * time.Millisecond):
	}
}

func refuse(sentence string, permanent bool) *link.Message {
	return &link.Message{Type: link.TypeRefuse, Refusal: &link.Refusal{Sentence: sentence, Permanent: permanent}}
}

func permanent(format string, args ...any) *link.Refusal {
	return &link.Refusal{Sentence: fmt.Sprintf(format, args...), Permanent: true}
}

func closeAll(socks []*platform.Socket) {
	for _, s := range socks {
		s.Close()
	}
}

func addresses(lns []net.Listener) (out []string) {
	for _, ln := range lns {
		out = append(out, ln.Addr().String())
	}
	return out
}
