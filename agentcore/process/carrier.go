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
	// cut ends what is open, as nobody may come any more.
	cut()
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
	from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()) // as forward says it
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

// probe is a forward.Probe.
func (e *expected) probe(from netip.AddrPort) (answer []byte, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	until, ok := e.from[from]
	if !ok {
		return nil, false
	}
	delete(e.from, from)
	return []byte(e.nonce), time.Now().Before(until)
}

// forwarder is what package forward makes.
type forwarder interface {
	Stats() forward.Stats
	Drain(context.Context) error
	Cut()
	Close() error
}

// carried is what carriers have in common.
type carried struct {
	noHTTP
	forward forwarder
	door    forward.Door
	probe   forward.Probe
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
	k := &carried{changed: env.changed, probe: env.probes.probe, visited: make(chan struct{}, 1), done: make(chan struct{})}
	k.door.Admit = func(from netip.AddrPort) bool {
		if !networks.Allow(from.Addr()) || s.Expires.Passed(time.Now()) {
			return false
		}
		collector.visit()
		return true
	}
	k.door.Came = func(from netip.AddrPort) {
		k.came()
		env.came(from.Addr())
	}
	k.end = sync.OnceFunc(func() { close(k.done) })
	return k, nil
}

// watchTarget has a target looked after.
func (k *carried) watchTarget(look func(context.Context) string, every time.Duration, env kindEnv) {
	k.watch = newWatch(look, env)
	k.watch.up = every
}

func (k *carried) carry(lns []net.Listener, packets []*net.UDPConn) {
	for _, ln := range lns {
		go k.tcp(ln)
	}
	for _, conn := range packets {
		go k.udp.Serve(conn)
	}
	go k.tellUse()
}

// came notes that somebody has come.
func (k *carried) came() {
	if k.watch != nil {
		k.watch.used()
	}
	select {
	case k.visited <- struct{}{}:
	default:
	}
}

// How often the numbers are told while somebody is there: more rarely the longer
// they have not changed.
const (
	useEvery = time.Second
	useAtAll = time.Minute
)

// tellUse has changed numbers told. While nobody is there, it sleeps.
func (k *carried) tellUse() {
	var told link.Use
	for {
		select {
		case <-k.done:
			return
		case <-k.visited:
		}
		for wait := useEvery; ; {
			visited := k.visited
			if wait == useEvery {
				visited = nil // it is soon enough
			}
			select {
			case <-k.done:
				return
			case <-visited:
				wait = useEvery
				continue
			case <-time.After(wait):
			}
			now := k.use()
			if now != told {
				told, wait = now, useEvery
				k.changed()
				continue
			}
			if now.Active == 0 {
				break
			}
			wait = min(2*wait, useAtAll)
		}
	}
}

func (k *carried) use() link.Use {
	s := k.forward.Stats()
	return link.Use{Present: int(s.Active), Active: int(s.Active), Requests: s.Total, BytesIn: s.In, BytesOut: s.Out}
}

func (k *carried) drain() {
	_ = k.forward.Drain(context.Background())
	k.end()
}

func (k *carried) close() {
	_ = k.forward.Close()
	k.end()
}

func (k *carried) cut() { k.forward.Cut() }

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
