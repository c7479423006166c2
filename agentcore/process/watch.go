package process

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// How often a target is looked at: often while it is down, because somebody
// waits for its return; rarely otherwise, because a hundred idle shares must
// cost next to nothing and an app may log each look. While it is up and used,
// the requests are the look.
const (
	lookDown    = 2 * time.Second
	lookUp      = 15 * time.Second
	lookDoubt   = 100 * time.Millisecond // a request failed in a way that says little
	lookTimeout = 2 * time.Second
)

// watch knows whether a target that listens somewhere is up. Requests that fail
// tell it, and it looks for itself.
type watch struct {
	look    func(context.Context) string // a sentence, "" when the target is up
	changed func()
	log     *slog.Logger
	up      time.Duration // how often it is looked at while it is up
	kick    chan struct{}

	busy   atomic.Bool   // used since the last look
	looked chan struct{} // closed after the first look

	mu  sync.Mutex
	err string
}

func newWatch(look func(context.Context) string, env kindEnv) *watch {
	return &watch{look: look, changed: env.changed, log: env.log, up: lookUp, kick: make(chan struct{}, 1), looked: make(chan struct{})}
}

// used notes that a request goes to the target. It is on the path of each.
func (w *watch) used() {
	if !w.busy.Load() {
		w.busy.Store(true)
	}
}

// sentence says why the target can't be served.
func (w *watch) sentence() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// report takes what a request or a look has found. Only changes are logged: an
// app that is down must not fill the log with its visitors.
func (w *watch) report(sentence string) {
	w.mu.Lock()
	old := w.err
	w.err = sentence
	w.mu.Unlock()
	if old == sentence {
		return
	}
	if sentence == "" {
		w.log.Info("the target is back")
	} else {
		w.log.Warn("the target is down", "reason", sentence)
		w.wake()
	}
	w.changed()
}

// known waits for the first look: what is said of a target is never a guess.
func (w *watch) known() { <-w.looked }

// wake makes run look soon.
func (w *watch) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// run looks at the target until the process ends.
func (w *watch) run() {
	doubt := false
	timer := time.NewTimer(0)
	for first := true; ; first = false {
		select {
		case <-timer.C:
			if used := w.busy.Swap(false); !used || doubt || first || w.sentence() != "" {
				ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
				w.report(w.look(ctx))
				cancel()
			}
			if first {
				close(w.looked)
			}
			doubt = false
		case <-w.kick:
			if doubt {
				continue // it will look soon
			}
			doubt = w.sentence() == ""
		}
		switch {
		case doubt:
			timer.Reset(lookDoubt)
		case w.sentence() != "":
			timer.Reset(lookDown)
		default:
			timer.Reset(w.up)
		}
	}
}
