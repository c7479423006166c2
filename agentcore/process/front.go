package process

import (
	"context"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"sharetray/agentcore/link"
)

func init() { caddy.RegisterModule(front{}) }

// front is the Caddy handler that stands first in every share. It answers
// probes, counts what is in flight, moves clients away while the process
// drains or others wait, and lets the kind explain its errors. It never wraps the response
// writer: sendfile depends on what that is.
type front struct {
	// Stage names the stage that the handler belongs to.
	Stage string `json:"stage"`

	stage *stage
}

// CaddyModule returns the Caddy module information.
func (front) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.sharetray_front",
		New: func() caddy.Module { return new(front) },
	}
}

// Provision finds the stage and follows the server's connections.
func (f *front) Provision(ctx caddy.Context) error {
	st, err := stageOf(f.Stage)
	if err != nil {
		return err
	}
	f.stage = st
	if p, ok := st.kind.(provisioner); ok {
		if err := p.provision(ctx); err != nil {
			return err
		}
	}
	srv := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	srv.RegisterConnState(func(c net.Conn, to http.ConnState) {
		st.conns.set(c, to)
		st.ended()
	})
	// Caddy keeps its http.Server to itself; the first connection shows it.
	var known atomic.Bool
	srv.RegisterConnContext(func(ctx context.Context, _ net.Conn) context.Context {
		if hs, ok := ctx.Value(http.ServerContextKey).(*http.Server); ok && !known.Swap(true) {
			st.met(hs)
		}
		return ctx
	})
	st.sites = append(st.sites, srv)
	return nil
}

// ServeHTTP is on the path of every request.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	st := f.stage
	if st.answersProbe(w, r) {
		return nil
	}
	dropDashboard(r)
	addTypes()
	collector.visit()
	st.requests.Add(1)
	st.active.Add(1)
	defer func() {
		st.active.Add(-1)
		st.ended()
	}()
	if (st.draining.Load() || st.limits.crowded()) && r.Header["Upgrade"] == nil {
		w.Header()["Connection"] = []string{"close"}
	}
	q := st.book.Begin(w, r)
	defer q.End()
	in, user := st.admit(q, r)
	if in == nil {
		return nil
	}
	q.Admit(user)
	if r = in; !st.kind.admit(q, r) {
		return nil
	}
	err := next.ServeHTTP(q, r)
	if q.Over() {
		st.answerOver(q, r)
		return nil
	}
	if err != nil {
		return st.kind.explain(q, r, err)
	}
	return nil
}

// dropDashboard takes the cookie of the agent's dashboard out of a request. Browsers
// do not keep cookies apart by port, so they send it to shares on this computer, and
// an app behind one could act as the user with it.
func dropDashboard(r *http.Request) {
	for i, line := range r.Header["Cookie"] {
		if !strings.Contains(line, link.DashboardCookie) {
			continue
		}
		kept := slices.DeleteFunc(strings.Split(line, ";"), func(c string) bool {
			return strings.HasPrefix(strings.TrimSpace(c), link.DashboardCookie)
		})
		r.Header["Cookie"][i] = strings.TrimSpace(strings.Join(kept, ";"))
	}
}

// answersProbe answers a request of the supervisor's own. What only looks like
// one is a request like any other.
func (s *stage) answersProbe(w http.ResponseWriter, r *http.Request) bool {
	probe := r.Header[link.ProbeHeader]
	if probe == nil {
		return false
	}
	if len(probe) != 1 || s.probe == "" || subtle.ConstantTimeCompare([]byte(probe[0]), []byte(s.probe)) != 1 {
		delete(r.Header, link.ProbeHeader)
		return false
	}
	h := w.Header()
	h.Set(link.NonceHeader, s.nonce)
	h.Set("Cache-Control", "no-store")
	if s.draining.Load() || s.limits.crowded() {
		h.Set("Connection", "close")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
