package process

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"sharetray/agentcore/failpoint"
	"sharetray/agentcore/link"
	"sharetray/agentcore/logfile"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/process/usage"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// session is one connection of an agent.
type session struct {
	p     *process
	ready chan struct{} // closed when conn is set
	conn  *link.Conn
	known bool // hello was said; only handle touches it
	chief bool // this is the process's agent; only handle touches it
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
	case m.Type == link.TypeAdopt:
		return s.adopt()
	case !s.chief:
		closeAll(socks)
		return refuse("adopt this process first", false)
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
	case m.Type == link.TypeExpect && m.Source.IsValid():
		if st := s.p.serving(); st == nil || !st.probes.expect(m.Source) {
			return refuse("no probe can come from there", false)
		}
		return &link.Message{Type: link.TypeOK}
	case m.Type == link.TypeGuests:
		h := s.p.health()
		return &link.Message{Type: link.TypeGuests, Guests: s.p.guests(), Health: &h}
	case m.Type == link.TypePing:
		s.p.checkTarget()
		h := s.p.health()
		return &link.Message{Type: link.TypeHealth, Health: &h}
	}
	closeAll(socks)
	return refuse(fmt.Sprintf("this process does not know what %q means", m.Type), false)
}

// hello introduces the process. The agent that started it brings the nonce.
func (s *session) hello(h link.Hello) *link.Message {
	if h.Protocol < link.OldestProtocol {
		return refuse(fmt.Sprintf("this process speaks versions %d to %d of the link, the agent version %d",
			link.OldestProtocol, link.Protocol, h.Protocol), false)
	}
	p := s.p
	p.mu.Lock()
	founder := p.nonce == "" && h.Nonce != ""
	if founder {
		p.nonce = h.Nonce
	}
	nonce := p.nonce
	p.mu.Unlock()
	if nonce == "" {
		return refuse("the first hello must bring a nonce", false)
	}
	s.known = true
	if founder {
		if h.Standby {
			go p.warmUp()
		} else {
			close(p.warmed)
		}
		s.lead()
	}
	p.mu.Lock()
	role := p.role()
	p.mu.Unlock()
	return &link.Message{Type: link.TypeHello, Role: &role, Hello: &link.Hello{
		Protocol: min(link.Protocol, h.Protocol), Version: p.version, Image: platform.ImageID(), PID: os.Getpid(), Nonce: nonce,
	}}
}

// role is what the process is at. p.mu is held.
func (p *process) role() link.Role {
	r := link.Role{Duty: link.Idle, Alone: p.alone()}
	switch {
	case p.stopping:
		r.Duty, r.Serve, r.Order = link.Draining, p.serves, p.order
	case p.serves != nil && !p.held:
		r.Duty, r.Serve, r.Order = link.Serves, p.serves, p.order
	}
	return r
}

// lead makes this session's agent the process's agent.
func (s *session) lead() {
	s.chief = true
	old := s.p.agent.Swap(s.conn)
	s.p.arrived <- s.conn
	if old != nil {
		_ = old.Tell(link.Message{Type: link.TypeTaken}) // it may be dead
		old.Close()
	}
}

// adopt makes another agent the process's own, and gives it the sockets.
func (s *session) adopt() *link.Message {
	if !s.chief {
		s.lead()
	}
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	role := p.role()
	answer := &link.Message{Type: link.TypeAdopt, Role: &role}
	if role.Duty != link.Serves {
		return answer
	}
	held, err := p.stage.holdAll()
	if err != nil {
		return refuse(fmt.Sprintf("can't give the socket away: %v", err), false)
	}
	answer.Sockets = held
	slog.Info("adopted by another agent")
	return answer
}

// serve answers by itself when the process has to end after the answer: what a
// handler returns is sent too late for that.
func (s *session) serve(m link.Message, socks []*platform.Socket) *link.Message {
	r := s.p.serve(*m.Serve, socks)
	if r == nil {
		return &link.Message{Type: link.TypeOK, Listen: s.p.listens()}
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
	if err := failpoint.Here("process.serve." + m.Share.Name.String()); err != nil {
		return &link.Refusal{Sentence: err.Error()}
	}
	p.wanted.Store(true)
	defer closeAll(socks) // of those that became listeners, nothing is left to close
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stopping:
		return &link.Refusal{Sentence: "this process is stopping"}
	case p.told && !p.held:
		return &link.Refusal{Sentence: "this process has been told already which share to be"}
	case len(socks) == 0:
		return &link.Refusal{Sentence: "no socket came with the share"}
	}
	p.told = true // be it in vain
	newKind, ok := kinds[m.Share.Kind]
	if !ok {
		return permanent("shares of kind %q can't be served by this version", m.Share.Kind)
	}
	target, err := share.NormalizeTarget(m.Share.Kind, m.Share.Target)
	if err != nil {
		return permanent("%s", problem.Sentence(err))
	}
	m.Share.Target = target
	env := kindEnv{changed: p.targetChanged, log: slog.Default(), via: viaID(p.nonce), probes: &expected{nonce: p.nonce}}
	if m.Log.Path != "" {
		env.locks = filepath.Join(filepath.Dir(m.Log.Path), logfile.LocksName)
		env.received = filepath.Join(filepath.Dir(m.Log.Path), logfile.ReceivedName)
	}
	var book *usage.Book
	env.came = func(addr netip.Addr) { book.Came(addr.String()) }
	env.uploaded = func(r *http.Request, path string, size int64) { book.Uploaded(r, path, size) }
	kind, err := newKind(m.Share, env)
	if err != nil {
		return permanent("%v", err)
	}
	if missing := missingPorts(kind, socks); len(missing) > 0 {
		p.told = false
		return &link.Refusal{Sentence: fmt.Sprintf("it needs the ports %v, too", missing), Listen: missing}
	}
	p.stages++
	st := newStage(fmt.Sprintf("share%d", p.stages), kind)
	st.probe, st.nonce, st.probes = m.Probe, p.nonce, env.probes
	st.limits = newLimits(m.Share, p.targetChanged, slog.Default())
	if st.guard, err = newGuard(m); err != nil {
		return permanent("%v", err)
	}
	book = p.newBook(m, st.guard)
	st.book = book
	if c, ok := kind.(carrier); ok && m.Hold {
		c.pause() // before it begins
	}
	for _, s := range socks {
		if s.IsUDP() != (m.Share.Kind == share.UDP) {
			st.close()
			return &link.Refusal{Sentence: "the socket is of the wrong kind"}
		}
		if s.IsUDP() {
			conn, err := s.PacketConn()
			if err != nil {
				st.close()
				return &link.Refusal{Sentence: fmt.Sprintf("can't use the socket: %v", err)}
			}
			st.packets = append(st.packets, conn)
			continue
		}
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
		st.listeners = append(st.listeners, st.limits.listen(g))
	}
	st.secured = secured{m.Share.TLS, m.Share.TLSCert, m.Share.TLSKey, m.Authority, nil}
	if st.secured.how == share.LocalTLS {
		st.secured.names = certifiable(st.listeners, m.Share.Hosts.Values())
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
	p.stage, p.serves, p.held, p.paused = st, &m, m.Hold, m.Hold
	if !m.Hold {
		p.begin(m)
	}
	return nil
}

// missingPorts are those that a kind wants and of which there is no socket.
func missingPorts(k kind, socks []*platform.Socket) (missing []uint16) {
	c, ok := k.(configurer)
	if !ok {
		return nil
	}
	for _, port := range c.wants() {
		if !slices.ContainsFunc(socks, func(s *platform.Socket) bool { return s.Addr().Port() == port }) {
			missing = append(missing, port)
		}
	}
	return missing
}

// listens are the ports that are used besides the share's own.
func (p *process) listens() []uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stage == nil {
		return nil
	}
	c, ok := p.stage.kind.(configurer)
	if !ok {
		return nil
	}
	return c.wants()
}

// begin is what a stage does once visitors come in.
func (p *process) begin(m link.Serve) {
	slog.Info("serving", "share", m.Share.Name, "kind", m.Share.Kind, "target", m.Share.Target,
		"address", p.stage.listensAt(), "pid", os.Getpid(), "version", p.version)
	p.stage.limits.apply()
	p.stage.kind.start()
	p.tellEnd(p.stage, m.Share)
	p.order = platform.SteadyClock()
	go p.leaveRecord(m)
	collector.begin(p.stage)
}

// unhold makes this process again one that waits for a share.
func (p *process) unhold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held || p.stopping {
		return
	}
	if !p.stage.isCarrier() {
		_ = caddy.Stop()
	}
	p.stage.close()
	p.stage, p.serves, p.held, p.paused, p.told = nil, nil, false, false, false
}

func (p *process) setPaused(paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stage == nil || p.stopping {
		return
	}
	p.paused = paused
	if p.held && !paused {
		p.held = false
		p.stage.since = time.Now()
		defer func() { // visitors first
			openLog(p.serves.Log)
			p.begin(*p.serves)
		}()
	}
	if c, ok := p.stage.kind.(carrier); ok {
		if paused {
			c.pause()
		} else {
			c.resume()
		}
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
	st := p.serving()
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

// listensAt are the addresses that the stage's sockets have.
func (s *stage) listensAt() (out []string) {
	for _, ln := range s.listeners {
		out = append(out, ln.Addr().String())
	}
	for _, conn := range s.packets {
		out = append(out, conn.LocalAddr().String())
	}
	return out
}

// serving is the stage that serves, or is about to; nil is none.
func (p *process) serving() *stage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stage
}
