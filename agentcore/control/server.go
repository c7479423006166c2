package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/history"
	"sharetray/agentcore/logfile"
	"sharetray/agentcore/problem"
)

const (
	heartbeat    = 15 * time.Second // between signs of life on a quiet event stream
	readTimeout  = 10 * time.Second // for a request's body to arrive
	writeTimeout = 30 * time.Second // for a stream's client to take one piece
	pageTime     = 8 * time.Second  // for the dashboard to come up
	lastAnswers  = time.Second      // what is under way when Serve ends may take this long
)

// Serve answers on ln, which it closes, until ctx ends.
func Serve(ctx context.Context, ln net.Listener, a Agent) error {
	s := &server{agent: a, life: ctx, heartbeat: heartbeat, closed: make(chan struct{})}
	srv := &http.Server{
		Handler:           s.routes(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    maxBody,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	srv.RegisterOnShutdown(func() { close(s.closed) })
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAnswers)
		defer cancel()
		if srv.Shutdown(last) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(ln)
	if !stop() { // ctx ended: so must all that it set going
		<-ended
		return nil
	}
	srv.Close()
	return fmt.Errorf("serve the control API: %w", err)
}

type server struct {
	agent     Agent
	life      context.Context // the agent's: for what must not be left half done
	heartbeat time.Duration
	closed    chan struct{} // closed once nobody new is let in, at the end
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/agent", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.agent.Info(), nil) })
	mux.HandleFunc("GET /v1/shares", s.list)
	mux.HandleFunc("POST /v1/shares", s.add)
	mux.HandleFunc("GET /v1/shares/{name}", func(w http.ResponseWriter, r *http.Request) {
		st, err := s.agent.Look(r.Context(), r.PathValue("name"))
		answerStatus(w, st, err)
	})
	mux.HandleFunc("PATCH /v1/shares/{name}", s.set)
	mux.HandleFunc("DELETE /v1/shares/{name}", s.remove)
	// A client that hangs up stops waiting for a start, but a stop goes on.
	mux.HandleFunc("POST /v1/shares/{name}/start", func(w http.ResponseWriter, r *http.Request) {
		st, err := s.agent.Start(r.Context(), r.PathValue("name"))
		s.did(w, st, err)
	})
	mux.HandleFunc("POST /v1/shares/{name}/restart", func(w http.ResponseWriter, r *http.Request) {
		st, err := s.agent.Restart(r.Context(), r.PathValue("name"))
		s.did(w, st, err)
	})
	mux.HandleFunc("POST /v1/shares/{name}/stop", func(w http.ResponseWriter, r *http.Request) {
		st, err := s.agent.Stop(s.life, r.PathValue("name"))
		s.did(w, st, err)
	})
	mux.HandleFunc("GET /v1/shares/{name}/log", s.log)
	mux.HandleFunc("GET /v1/shares/{name}/history", s.history)
	mux.HandleFunc("GET /v1/events", s.events)
	mux.HandleFunc("POST /v1/upgrade", s.upgrade)
	mux.HandleFunc("POST /v1/dashboard", s.dashboard)
	mux.HandleFunc("POST /v1/quit", s.quit)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			noSuchCall(mux, w, r)
			return
		}
		if s.agent.Leaving() {
			w.Header().Set("Retry-After", "0")
			answer(w, nil, errEnding)
			return
		}
		if asks := r.Method == http.MethodGet && r.URL.Path != "/v1/agent" || r.URL.Path == "/v1/quit"; !asks && s.ending() {
			answer(w, nil, errEnding)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

var errEnding = problem.New(problem.Unavailable, "the agent is ending: try again when it has")

func (s *server) ending() bool {
	select {
	case <-s.agent.Quitting():
		return true
	default:
		return false
	}
}

// did answers with what came of an action.
func (s *server) did(w http.ResponseWriter, st agentcore.Status, err error) {
	if err != nil && s.ending() {
		err = errEnding // which is why, whatever it looked like
	}
	answerStatus(w, st, err)
}

// noSuchCall answers a request that no pattern takes, which a client of another
// version may send.
func noSuchCall(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	status := http.StatusNotFound
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "" {
			status = http.StatusMethodNotAllowed
			w.Header().Add("Allow", method)
		}
	}
	writeJSON(w, status, fault{problem.Unsupported,
		fmt.Sprintf("the running agent does not know %s %s: if it is of another version, `sharetray quit` ends it", r.Method, r.URL.Path)})
}

func (s *server) list(w http.ResponseWriter, _ *http.Request) {
	answer(w, neverNull(s.agent.List()), nil)
}

func (s *server) add(w http.ResponseWriter, r *http.Request) {
	var n agentcore.NewShare
	if err := readJSON(w, r, &n); err != nil {
		answer(w, nil, err)
		return
	}
	st, err := s.agent.Add(r.Context(), n)
	s.did(w, st, err)
}

func (s *server) set(w http.ResponseWriter, r *http.Request) {
	var changes map[string]string
	err := readJSON(w, r, &changes)
	if err == nil && len(changes) == 0 {
		err = problem.New(problem.Invalid, "say what to change, as in port=8080")
	}
	if err != nil {
		answer(w, nil, err)
		return
	}
	st, err := s.agent.Set(s.life, r.PathValue("name"), changes)
	s.did(w, st, err)
}

func (s *server) remove(w http.ResponseWriter, r *http.Request) {
	if err := s.agent.Remove(s.life, r.PathValue("name")); err != nil {
		s.did(w, agentcore.Status{}, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *server) log(w http.ResponseWriter, r *http.Request) {
	path, err := s.agent.LogPath(r.PathValue("name"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	n, err := number(r, "lines", 50, maxLogLines)
	if err != nil {
		answer(w, nil, err)
		return
	}
	follow := r.FormValue("follow") == "1"
	out := &stream{w: w, rc: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "application/octet-stream")
	if !follow {
		data, err := logfile.Tail(path, n)
		if err != nil {
			answer(w, nil, err)
			return
		}
		_, _ = out.Write(data)
		return
	}
	w.WriteHeader(http.StatusOK)
	_ = out.rc.Flush()
	if err := logfile.Follow(r.Context(), path, n, out); err != nil && r.Context().Err() == nil {
		slog.Warn("follow a log", "path", path, "err", err)
		panic(http.ErrAbortHandler) // the one way left to say that this is not the end
	}
}

func (s *server) history(w http.ResponseWriter, r *http.Request) {
	n, err := number(r, "entries", 20, maxHistory)
	if err != nil {
		answer(w, nil, err)
		return
	}
	entries, err := s.agent.History(r.PathValue("name"), n)
	answer(w, append([]history.Entry{}, entries...), err)
}

// number is how many of something the request asks for.
func number(r *http.Request, what string, usual, most int) (int, error) {
	v := r.FormValue("n")
	if v == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > most {
		return 0, problem.New(problem.Invalid, "the number of %s must be from 0 to %d", what, most)
	}
	return n, nil
}

// events sends a snapshot and then what happens. When events were missed, by a
// client that reads too slowly, another snapshot makes up for them.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(&stream{w: w, rc: http.NewResponseController(w)})
	enc.SetEscapeHTML(false)
	beat := time.NewTicker(s.heartbeat)
	defer beat.Stop()
	for s.subscribed(r.Context(), enc, beat.C) && !s.agent.Leaving() {
	}
}

// subscribed serves one subscription. It reports whether another one makes
// sense: not when the client or the agent is gone, which closes every new
// subscription's channel at once.
func (s *server) subscribed(ctx context.Context, enc *json.Encoder, beat <-chan time.Time) (again bool) {
	now, events, cancel := s.agent.Subscribe()
	defer cancel()
	if enc.Encode(line{Snapshot: neverNull(now)}) != nil {
		return false
	}
	for heard := false; ; {
		var l line
		select {
		case <-ctx.Done():
			return false
		case <-beat:
		case e, ok := <-events:
			if !ok {
				return heard
			}
			heard = true
			e.Share.URLs = append([]string{}, e.Share.URLs...)
			l.Event = &e
		}
		if enc.Encode(l) != nil {
			return false
		}
	}
}

func (s *server) upgrade(w http.ResponseWriter, r *http.Request) {
	var to newProgram
	if err := readJSON(w, r, &to); err != nil {
		answer(w, nil, err)
		return
	}
	up, err := s.agent.Upgrade(to.Exe)
	answer(w, up, err)
}

func (s *server) dashboard(w http.ResponseWriter, r *http.Request) {
	var to place
	if err := readJSON(w, r, &to); err != nil {
		answer(w, nil, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pageTime)
	defer cancel()
	address, err := s.agent.Dashboard(ctx, to.Path)
	if err != nil {
		err = problem.New(problem.Unavailable, "the dashboard is not up yet: try again in a moment (%w)", err)
	}
	answer(w, place{URL: address}, err)
}

// quit keeps its answer open: the client sees it end when Serve does.
func (s *server) quit(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	_ = http.NewResponseController(w).Flush()
	s.agent.Quit()
	<-r.Context().Done()
	if s.life.Err() != nil {
		<-s.closed // whoever asks next finds nobody
	}
}

// stream writes pieces that must go out at once, and gives up on a client that
// does not take them.
type stream struct {
	w  io.Writer
	rc *http.ResponseController
}

func (s *stream) Write(p []byte) (int, error) {
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := s.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, s.rc.Flush()
}

func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	// http.Server's ReadTimeout would go on to cut requests that wait for a share.
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(readTimeout))
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); err == nil {
			err = errors.New("there is more than one value")
		} else if errors.Is(err, io.EOF) {
			return nil
		}
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return problem.New(problem.Invalid, "the request is larger than %d bytes", tooLarge.Limit)
	}
	return problem.New(problem.Invalid, "the request is not understood: %w", err)
}

func answerStatus(w http.ResponseWriter, st agentcore.Status, err error) {
	if st.URLs == nil {
		st.URLs = []string{}
	}
	answer(w, st, err)
}

func answer(w http.ResponseWriter, v any, err error) {
	if err == nil {
		writeJSON(w, http.StatusOK, v)
		return
	}
	code := problem.CodeOf(err)
	if code == problem.Internal {
		slog.Error("a request failed", "err", err, "cause", errors.Unwrap(err))
	}
	writeJSON(w, httpStatus(code), fault{code, problem.Sentence(err)})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // the client has gone: nobody to tell
}

func neverNull(list []agentcore.Status) []agentcore.Status {
	out := append([]agentcore.Status{}, list...)
	for i := range out {
		if out[i].URLs == nil {
			out[i].URLs = []string{}
		}
	}
	return out
}
