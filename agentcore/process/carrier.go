package process

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"sharetray/agentcore/link"
	"sharetray/agentcore/process/access"
	"sharetray/agentcore/process/forward"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// carrier is a kind that serves by itself, without Caddy: what visitors speak is
// not HTTP.
type carrier interface {
	kind
	// carry serves on what was handed over, until drain or close.
	carry(lns []net.Listener, packets []*net.UDPConn)
	use() link.Use
	// drain finishes what is in flight, and takes nothing new; it has no limit.
	drain()
	// pause takes nothing from packets until resume.
	pause()
	resume()
	close()
}

// probeLife is how long it is known that a probe will come from an address.
const probeLife = 10 * time.Second

// expected are the addresses from which the supervisor is about to probe: what
// comes from there is answered with the nonce, once. Only connections of this
// computer's own can be announced, so that nobody in between can be one.
type expected struct {
	nonce string

	mu   sync.Mutex
	from map[netip.AddrPort]time.Time // until when
}

// expect notes that a probe will come from an address.
func (e *expected) expect(from netip.AddrPort) bool {
	from = plainAddr(from)
	if !from.Addr().IsLoopback() {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for a, until := range e.from {
		if now.After(until) {
			delete(e.from, a)
		}
	}
	if e.from == nil {
		e.from = map[netip.AddrPort]time.Time{}
	}
	e.from[from] = now.Add(probeLife)
	return true
}

// comes reports whether a probe is to come from there.
func (e *expected) comes(from netip.AddrPort) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	until, ok := e.from[from]
	return ok && time.Now().Before(until)
}

// probe is a forward.Probe.
func (e *expected) probe(from netip.AddrPort) (answer []byte, ok bool) {
	if ok = e.comes(from); ok {
		e.mu.Lock()
		delete(e.from, from)
		e.mu.Unlock()
	}
	return []byte(e.nonce), ok
}

// door decides who comes in to a carrier.
type door struct {
	probes   *expected
	networks access.Networks
	expires  share.Moment
}

// opens reports whether whoever is at an address may come in.
func (d *door) opens(from netip.AddrPort) bool {
	return d.probes.comes(from) || d.networks.Allow(from.Addr()) && !d.expires.Passed(time.Now())
}

// forwarder is what package forward makes.
type forwarder interface {
	Stats() forward.Stats
	Drain(context.Context) error
	Close() error
}

// carried is what carriers have in common.
type carried struct {
	noHTTP
	forward forwarder
	door    *door
	tcp     func(net.Listener) error // serves; nil: not by TCP
	udp     *forward.UDP             // nil: not by UDP
	watch   *watch                   // of the target; nil: there is none
	changed func()
	visited chan struct{} // has a value when somebody has come
	done    chan struct{}
	end     func() // closes it
}

// newCarried is what a carrier begins with, without its forwarder.
func newCarried(s share.Share, env kindEnv) (*carried, error) {
	networks, err := access.ParseNetworks(s.Networks.Values())
	if err != nil {
		return nil, err
	}
	k := &carried{changed: env.changed, visited: make(chan struct{}, 1), done: make(chan struct{})}
	k.door = &door{probes: env.probes, networks: networks, expires: s.Expires}
	k.end = sync.OnceFunc(func() { close(k.done) })
	return k, nil
}

// watchTarget has a target looked after.
func (k *carried) watchTarget(look func(context.Context) string, env kindEnv) {
	k.watch = &watch{look: look, changed: env.changed, log: env.log, kick: make(chan struct{}, 1), looked: make(chan struct{})}
}

func (k *carried) carry(lns []net.Listener, packets []*net.UDPConn) {
	for _, ln := range lns {
		go k.tcp(guarded{ln, k})
	}
	for _, conn := range packets {
		go k.udp.Serve(conn)
	}
	go k.tellUse()
}

// visit notes that somebody has come.
func (k *carried) visit() {
	collector.visit()
	select {
	case k.visited <- struct{}{}:
	default:
	}
}

// useEvery is how often the numbers are told, while they change.
const useEvery = time.Second

// tellUse has changed numbers told. While nobody comes, it sleeps.
func (k *carried) tellUse() {
	var told link.Use
	for {
		select {
		case <-k.done:
			return
		case <-k.visited:
		}
		for busy := true; busy; {
			select {
			case <-k.done:
				return
			case <-time.After(useEvery):
			}
			now := k.use()
			if busy = now != told || now.Active > 0; now != told {
				told = now
				k.changed()
			}
		}
	}
}

func (k *carried) use() link.Use {
	s := k.forward.Stats()
	return link.Use{Active: int(s.Active), Requests: s.Total, BytesIn: s.In, BytesOut: s.Out}
}

func (k *carried) drain() {
	_ = k.forward.Drain(context.Background())
	k.end()
}

func (k *carried) close() {
	_ = k.forward.Close()
	k.end()
}

func (k *carried) pause() {
	if k.udp != nil {
		k.udp.Pause()
	}
}

func (k *carried) resume() {
	if k.udp != nil {
		k.udp.Resume()
	}
}

func (k *carried) check() {
	if k.watch != nil {
		k.watch.known()
	}
}

func (k *carried) targetError() string {
	if k.watch == nil {
		return ""
	}
	return k.watch.sentence()
}

func (k *carried) start() {
	if k.watch != nil {
		go k.watch.run()
	}
}

// guarded is a listener behind a door: who may not come in is reset.
type guarded struct {
	net.Listener
	k *carried
}

// Accept waits for somebody who may come in.
func (g guarded) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g.k.visit()
		if a, ok := c.RemoteAddr().(*net.TCPAddr); ok && g.k.door.opens(plainAddr(a.AddrPort())) {
			return c, nil
		}
		if l, ok := c.(interface{ SetLinger(int) error }); ok {
			_ = l.SetLinger(0)
		}
		c.Close()
	}
}

func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// noHTTP is the part of a kind that only those have to which visitors speak HTTP.
type noHTTP struct{}

func (noHTTP) handlers() []json.RawMessage                                     { return nil }
func (noHTTP) tune(*caddyhttp.Server)                                          {}
func (noHTTP) admit(http.ResponseWriter, *http.Request) bool                   { return true }
func (noHTTP) explain(_ http.ResponseWriter, _ *http.Request, err error) error { return err }

func (s *stage) isCarrier() bool {
	_, ok := s.kind.(carrier)
	return ok
}

// holdAll returns holds on all sockets of a stage.
func (s *stage) holdAll() (held []*platform.Socket, err error) {
	for _, g := range s.gates() {
		sock, err := platform.HoldListener(g.ln)
		if err != nil {
			closeAll(held)
			return nil, err
		}
		held = append(held, sock)
	}
	for _, conn := range s.packets {
		sock, err := platform.HoldPacketConn(conn)
		if err != nil {
			closeAll(held)
			return nil, err
		}
		held = append(held, sock)
	}
	return held, nil
}
