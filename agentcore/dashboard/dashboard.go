// Package dashboard is the page on loopback for what a menu can't hold: shares with
// their live state, forms for every kind, logs, visitors, codes for phones, settings.
//
// It is made on the server and works without scripts; a little script keeps it live.
// It must not know how shares are run, nor who opens it.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/history"
	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/agentcore/words"
	"sharetray/assets/dashboard"
	"sharetray/platform"
)

// Agent is what the page shows and drives. *agentcore.Agent is one.
type Agent interface {
	Info() agentcore.Info
	List() []agentcore.Status
	Get(name string) (agentcore.Status, error)
	Look(ctx context.Context, name string) (agentcore.Status, error)
	Declared(name string) (share.Share, error)
	Add(context.Context, agentcore.NewShare) (agentcore.Status, error)
	Set(ctx context.Context, name string, changes map[string]string) (agentcore.Status, error)
	Start(ctx context.Context, name string) (agentcore.Status, error)
	Stop(ctx context.Context, name string) (agentcore.Status, error)
	Restart(ctx context.Context, name string) (agentcore.Status, error)
	Discard(ctx context.Context, name string) (agentcore.Discarded, error)
	Restore(context.Context, agentcore.Discarded) (agentcore.Status, error)
	LogPath(name string) (string, error)
	History(name string, n int) ([]history.Entry, error)
	Subscribe() (now []agentcore.Status, events <-chan agentcore.Event, cancel func())
	Settings() store.Settings
	SetSettings(changes map[string]string) error
	Language() *words.Language
	Upgrade(exe string) (agentcore.Upgrade, error)
}

var _ Agent = (*agentcore.Agent)(nil)

// Options are what the page asks the system. What is nil is not offered.
type Options struct {
	State        string // the folder in which to keep port and key
	ChooseFolder func(ctx context.Context, title string) (string, error)
	Serving      func(context.Context) ([]platform.Serving, error)
	Firewall     func(ctx context.Context, port uint16, udp bool) platform.Firewall
	Autostart    func() (on bool, err error)
	SetAutostart func(on bool) error
}

// Dashboard serves the page.
type Dashboard struct {
	agent   Agent
	opt     Options
	door    *door
	samples *samples
	undo    undo
	life    context.Context
	ready   chan struct{} // closed when it listens
	changed *broadcast
}

// fileName is in Options.State.
const fileName = "dashboard.json"

// portPatience is how long the port of the last time may take to become free: the
// agent before this one may still be leaving.
const portPatience = 5 * time.Second

// New makes a dashboard, which Serve serves.
func New(agent Agent, opt Options) *Dashboard {
	return &Dashboard{agent: agent, opt: opt, samples: newSamples(), ready: make(chan struct{}), changed: newBroadcast()}
}

// Serve serves until ctx ends.
func (d *Dashboard) Serve(ctx context.Context) error {
	var err error
	if d.door, err = openDoor(filepath.Join(d.opt.State, fileName)); err != nil {
		slog.Warn("who had the dashboard open must open it anew", "error", err)
	}
	ln, err := listen(ctx, d.door.kept.Port)
	if err != nil {
		return fmt.Errorf("listen for the dashboard: %w", err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	if err := d.door.opened(uint16(port)); err != nil {
		slog.Warn("the dashboard will have another address next time", "error", err)
	}
	d.life = ctx
	var around sync.WaitGroup
	defer around.Wait()
	around.Go(func() { d.follow(ctx) })
	srv := &http.Server{
		Handler:     d.guard(d.routes()),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, otherUser{}, !platform.OwnPeer(c))
		},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	close(d.ready)
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the dashboard: %w", err)
	}
	return nil
}

// listen takes the port of the last time, so that open pages and bookmarks go on, or
// any other when somebody else has it.
func listen(ctx context.Context, port uint16) (net.Listener, error) {
	var config net.ListenConfig
	at := func(port uint16) (net.Listener, error) {
		return config.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	}
	for end := time.Now().Add(portPatience); port != 0; {
		ln, err := at(port)
		if err == nil || ctx.Err() != nil {
			return ln, err
		}
		if time.Now().After(end) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return at(0)
}

// Address is one that opens the page at path in a browser, without a password. It is
// good once, for a minute.
func (d *Dashboard) Address(ctx context.Context, path string) (string, error) {
	select {
	case <-d.ready:
		return d.door.address(localPath(path)), nil
	case <-ctx.Done():
		return "", fmt.Errorf("the dashboard does not answer yet: %w", ctx.Err())
	}
}

// localPath is path if that is one of this page, which no other site is.
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n") {
		return "/"
	}
	return path
}

// follow counts what happens, and wakes the pages that are open.
func (d *Dashboard) follow(ctx context.Context) {
	for ctx.Err() == nil {
		now, events, cancel := d.agent.Subscribe()
		for _, st := range now {
			d.samples.add(st.Name, st.Use, time.Now())
		}
		d.changed.tell("")
		for open := true; open; {
			select {
			case <-ctx.Done():
				open = false
			case e, ok := <-events:
				if open = ok; ok {
					d.hear(e)
				}
			}
		}
		cancel()
		select { // the agent is ending, or this was too slow
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (d *Dashboard) hear(e agentcore.Event) {
	if e.Type == agentcore.Removed {
		d.samples.forget(e.Share.Name)
	} else {
		d.samples.add(e.Share.Name, e.Share.Use, time.Now())
	}
	d.changed.tell(e.Share.Name)
}

// routes are the pages.
func (d *Dashboard) routes() http.Handler {
	mux := http.NewServeMux()
	for name, file := range dashboard.Files {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", file.Type)
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("ETag", file.ETag)
			if r.Header.Get("If-None-Match") == file.ETag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = w.Write(file.Data)
		})
	}
	page := func(pattern string, f func(http.ResponseWriter, *http.Request)) { mux.HandleFunc(pattern, f) }
	page("GET /enter/{token}", d.enter)
	page("GET /{$}", d.list)
	page("GET /live", d.live)
	page("GET /add", d.kinds)
	page("GET /add/{kind}", d.addForm)
	page("POST /add/{kind}", d.add)
	page("POST /choose", d.choose)
	page("GET /shares/{name}", d.share)
	page("GET /shares/{name}/edit", d.editForm)
	page("POST /shares/{name}/edit", d.edit)
	page("GET /shares/{name}/log", d.log)
	page("GET /shares/{name}/log/live", d.liveLog)
	page("GET /shares/{name}/qr", d.phone)
	page("POST /shares/{name}/open-up", d.openUp)
	for _, action := range []string{"start", "stop", "restart"} {
		page("POST /shares/{name}/"+action, func(w http.ResponseWriter, r *http.Request) { d.act(w, r, action) })
	}
	page("POST /shares/{name}/remove", d.remove)
	page("POST /undo/{id}", d.restore)
	page("GET /settings", d.settingsForm)
	page("POST /settings", d.settings)
	page("POST /upgrade", d.upgrade)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			d.wrong(w, r, http.StatusNotFound, d.language(r).Say("page.not_found"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isPublic reports whether a file holds nothing of the user's: a page that refuses
// somebody needs its style.
func isPublic(path string) bool {
	_, ok := dashboard.Files[strings.TrimPrefix(path, "/")]
	return ok
}

// policy is the Content-Security-Policy: this program's own files, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxForm bounds what a form may carry, in bytes.
const maxForm = 256 << 10

// guard lets only the user's own browser in.
func (d *Dashboard) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin") // with less, browsers call the origin of forms "null"
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if why := d.door.judge(r); why != nil {
			d.wrong(w, r, why.status, d.language(r).Say(why.key))
			return
		}
		d.door.renew(w, r, time.Now())
		if !isReading(r.Method) {
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(30 * time.Second))
		}
		next.ServeHTTP(w, r)
	})
}

// enter exchanges the token of an address for a session.
func (d *Dashboard) enter(w http.ResponseWriter, r *http.Request) {
	if !d.door.redeem(r.PathValue("token")) {
		// Whoever goes back to the address that let them in is in already.
		if c, err := r.Cookie(d.door.cookie()); err == nil {
			if _, ok := d.door.known(c.Value, time.Now()); ok {
				http.Redirect(w, r, localPath(r.FormValue("to")), http.StatusSeeOther)
				return
			}
		}
		d.wrong(w, r, http.StatusUnauthorized, d.language(r).Say("page.refused_token"))
		return
	}
	d.door.setCookie(w, time.Now())
	http.Redirect(w, r, localPath(r.FormValue("to")), http.StatusSeeOther)
}

// language is that of the user's choice, or else the browser's.
func (d *Dashboard) language(r *http.Request) *words.Language {
	if tag := d.agent.Settings().Language; tag != store.AutoLanguage {
		return words.Preferred(tag)
	}
	if accept := r.Header.Get("Accept-Language"); accept != "" {
		return words.Preferred(accept)
	}
	return d.agent.Language()
}
