package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"sharetray/agentcore/link"
	"sharetray/agentcore/process/access"
	"sharetray/agentcore/process/usage"
)

// network is Caddy's name for listeners that were handed to this process. An
// address is "held/STAGE:N", N counting from 1.
const network = "held"

func init() { caddy.RegisterNetwork(network, listenHeld) }

// stages are those that a Caddy configuration may refer to. Caddy makes its
// modules from JSON; what JSON can't carry (listeners, counters, an opened
// folder) they find here by the stage's name.
var stages sync.Map // string -> *stage

// stage is where one Caddy configuration meets this process: the listeners it
// accepts on, the kind that serves, and what is known of its visitors. A
// process has two in its life: one to warm up, and its share.
type stage struct {
	name         string
	kind         kind
	listeners    []net.Listener
	packets      []*net.UDPConn
	probes       *expected
	limits       *limits
	book         *usage.Book
	guard        *access.Guard
	secured      secured
	probe, nonce string
	since        time.Time

	requests atomic.Uint64
	active   atomic.Int64 // requests and upgraded connections in flight
	draining atomic.Bool
	sites    []*caddyhttp.Server
	metMu    sync.Mutex
	servers  []*http.Server // of those that were visited
	conns    connTable
	moved    chan struct{} // while draining: something ended
}

func newStage(name string, k kind) *stage {
	return &stage{name: name, kind: k, limits: new(limits), book: usage.New(usage.Options{}), guard: access.New(access.Rules{}, nil), since: time.Now(), moved: make(chan struct{}, 1)}
}

// run starts Caddy on the stage, in place of what Caddy ran before, or a kind that
// does without.
func (s *stage) run() error {
	if c, ok := s.kind.(carrier); ok {
		c.carry(s.listeners, s.packets)
		_ = caddy.Stop() // what it ran before: to warm up, or a share that was held
		return nil
	}
	cfg, err := s.config()
	if err != nil {
		return err
	}
	s.limits.makeRoom = s.conns.makeRoom
	stages.Store(s.name, s)
	unlock, err := s.secured.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := caddy.Run(cfg); err != nil {
		stages.Delete(s.name)
		return err
	}
	return nil
}

func (s *stage) close() {
	stages.Delete(s.name)
	s.limits.close()
	if c, ok := s.kind.(carrier); ok {
		c.close()
	}
	for _, ln := range s.listeners {
		ln.Close()
	}
	for _, conn := range s.packets {
		conn.Close()
	}
}

// use is how much the stage was used so far.
func (s *stage) use() link.Use {
	if c, ok := s.kind.(carrier); ok {
		return c.use()
	}
	u := link.Use{Present: s.book.Present(), Active: int(s.active.Load()), Requests: s.requests.Load()}
	u.BytesIn, u.BytesOut = s.book.Bytes()
	return u
}

// met notes a server that is visited for the first time.
func (s *stage) met(hs *http.Server) {
	s.metMu.Lock()
	defer s.metMu.Unlock()
	s.servers = append(s.servers, hs)
}

func (s *stage) gates() (out []*gate) {
	for _, ln := range s.listeners {
		switch ln := ln.(type) {
		case *gate:
			out = append(out, ln)
		case *limitedListener:
			out = append(out, ln.gate)
		}
	}
	return out
}

func (s *stage) addresses() (out []string) {
	for i := range s.listeners {
		out = append(out, caddy.JoinNetworkAddress(network, s.name, strconv.Itoa(i+1)))
	}
	return out
}

func listenHeld(_ context.Context, _, name, port string, offset uint, _ net.ListenConfig) (any, error) {
	v, ok := stages.Load(name)
	if !ok {
		return nil, fmt.Errorf("no stage is called %q", name)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	lns, i := v.(*stage).listeners, n-1+int(offset)
	if i < 0 || i >= len(lns) {
		return nil, errors.New("no such listener")
	}
	if st := v.(*stage); st.isSecure(caddy.JoinNetworkAddress(network, name, port)) {
		return secureListener{lns[i], http.HandlerFunc(st.greet)}, nil
	}
	return lns[i], nil
}

// stageOf is for modules that know their stage's name.
func stageOf(name string) (*stage, error) {
	v, ok := stages.Load(name)
	if !ok {
		return nil, fmt.Errorf("no stage is called %q", name)
	}
	return v.(*stage), nil
}

// connTable counts a server's connections by state.
type connTable struct {
	mu     sync.Mutex
	states map[net.Conn]connState
	busy   int
}

type connState struct {
	http.ConnState
	since time.Time
}

// set follows one connection. Hijacked ones leave the table: whoever upgraded
// them counts as a request in flight.
func (t *connTable) set(c net.Conn, to http.ConnState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.states == nil {
		t.states = map[net.Conn]connState{}
	}
	if t.states[c].ConnState == http.StateActive { // an unknown one reads as StateNew
		t.busy--
	}
	switch to {
	case http.StateClosed, http.StateHijacked:
		delete(t.states, c)
		return
	case http.StateActive:
		t.busy++
	}
	t.states[c] = connState{to, time.Now()}
}

// How long a connection may be kept open while others wait: after an answer, and
// before the first request.
const (
	idlePatience   = time.Second
	silentPatience = 5 * time.Second
)

// makeRoom closes connections that are open for nothing. A request that is on
// its way there at this moment is lost, as with every server that closes what
// is idle: the visitor's browser asks again.
func (t *connTable) makeRoom() {
	t.mu.Lock()
	var idle []net.Conn
	for c, is := range t.states {
		open := time.Since(is.since)
		if is.ConnState == http.StateIdle && open >= idlePatience || is.ConnState == http.StateNew && open >= silentPatience {
			idle = append(idle, c)
		}
	}
	t.mu.Unlock()
	for _, c := range idle {
		c.Close() // its server tells set
	}
}

// count returns how many connections are open and how many of them are in the
// middle of a request, its answer's last byte included.
func (t *connTable) count() (open, busy int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.states), t.busy
}
