package process

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"sharetray/agentcore/share"
)

// warmUp makes a standby ready to be any share: what serving runs for the first
// time (tables, pages of the executable), it runs on itself, over a listener
// that nobody else can reach. As soon as the share is known, it gives way. A
// process that a share waits for is not warmed up: it would take as long again.
func (p *process) warmUp() {
	defer close(p.warmed)
	addTypes()
	exe, _ := os.Executable()
	for _, w := range []struct {
		share share.Share
		path  string
	}{
		{share.Share{Kind: share.Web, Target: filepath.Dir(exe)}, "/" + filepath.Base(exe)},
		{share.Share{Kind: share.Web, Target: filepath.Dir(p.linkPath), Listing: true}, "/"},
		{share.Share{Kind: share.Proxy, Target: "http://127.0.0.1:1"}, "/"}, // tcpmux: nobody there
	} {
		if !p.warm(w.share, w.path) {
			return
		}
	}
	// Out of the way now, rather than when a share waits for it.
	if p.unlessTold(func() { _ = caddy.Stop() }) {
		collector.rest()
	}
}

// warm is a share for one request, and reports whether there is time for more.
func (p *process) warm(s share.Share, path string) bool {
	k, err := kinds[s.Kind](s, kindEnv{changed: func() {}, log: slog.New(slog.DiscardHandler), via: "warm"})
	if err != nil {
		return true
	}
	ln := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	st := newStage("warm", k)
	st.listeners = []net.Listener{ln}
	if !p.unlessTold(func() { err = st.run() }) {
		return false
	}
	if err == nil && !p.wanted.Load() {
		ln.ask(path)
	}
	st.close()
	return !p.wanted.Load()
}

// unlessTold does f unless serve was said, and reports whether it did. A serve
// that comes meanwhile waits for it.
func (p *process) unlessTold(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told {
		return false
	}
	f()
	return true
}

// pipeListener is a listener within the process.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

// ask sends one request to whoever accepts, and reads the answer.
func (l *pipeListener) ask(path string) {
	client, server := net.Pipe()
	defer client.Close()
	l.conns <- server
	req, err := http.NewRequest(http.MethodGet, "http://warm"+path, nil)
	if err != nil {
		return
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("Range", "bytes=0-4095")
	req.Close = true
	go req.Write(client)
	if resp, err := http.ReadResponse(bufio.NewReader(client), req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
