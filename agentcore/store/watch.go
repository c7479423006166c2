package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watch sends the list of shares at once, and again, whole, whenever it has
// become another, whoever changed it. What a slow receiver has not taken yet is
// replaced by what is newer. The channel is closed when ctx ends.
//
// The folder may be removed and come back. Where the system can't watch (too
// many watches, a network folder, a link's far end) changes are seen by looking
// every few seconds.
func (s *Store) Watch(ctx context.Context) (<-chan []Entry, error) {
	first, err := s.Load()
	if err != nil {
		return nil, err
	}
	w := &watch{store: s, looked: s.look(), known: first, out: make(chan []Entry)}
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		w.notify = nil // looking will do
	}
	w.arm()
	go w.run(ctx)
	return w.out, nil
}

// watch is owned by the goroutine in run.
type watch struct {
	store  *Store
	notify *fsnotify.Watcher // nil when the system has none to give
	looked string            // what look said when the folder was last read
	known  []Entry           // what was last read
	out    chan []Entry
}

func (w *watch) run(ctx context.Context) {
	defer close(w.out)
	var events <-chan fsnotify.Event
	var failures <-chan error
	if w.notify != nil {
		defer func() { _ = w.notify.Close() }()
		events, failures = w.notify.Events, w.notify.Errors
	}
	poll := time.NewTimer(w.store.poll())
	defer poll.Stop()
	settled := time.NewTimer(0) // what changed before the watch was armed counts
	defer settled.Stop()
	var disturbed time.Time // since when events have come without a pause
	unsent := true

	disturb := func() {
		now := time.Now()
		if disturbed.IsZero() {
			disturbed = now
		}
		// A folder that is never quiet is read all the same.
		settled.Reset(min(w.store.settle, disturbed.Add(10*w.store.settle).Sub(now)))
	}
	for {
		out := w.out
		if !unsent {
			out = nil
		}
		select {
		case <-ctx.Done():
			return
		case out <- w.known:
			unsent = false
		case e, ok := <-events:
			if !ok {
				events = nil
			} else if w.concerns(e) {
				disturb()
			}
		case <-failures:
			disturb() // events were lost
		case <-poll.C:
			poll.Reset(w.store.poll())
			w.arm()
			if disturbed.IsZero() && w.store.look() != w.looked {
				disturb()
			}
		case <-settled.C:
			disturbed = time.Time{}
			w.arm()
			if w.reload() {
				unsent = true
			}
		}
	}
}

// arm watches the folder, and the one above it, which tells of the folder being
// made. Watching what is watched already does no harm.
func (w *watch) arm() {
	if w.notify != nil {
		_ = w.notify.Add(filepath.Dir(w.store.dir)) // looking will do
		_ = w.notify.Add(w.store.dir)
	}
}

func (w *watch) concerns(e fsnotify.Event) bool {
	return e.Name == w.store.dir || filepath.Dir(e.Name) == w.store.dir && !strings.HasPrefix(filepath.Base(e.Name), ".")
}

// reload reads the folder and reports whether the shares have changed. While
// the folder can't be read, nothing has: that is no reason to stop every share.
func (w *watch) reload() bool {
	looked := w.store.look()
	entries, err := w.store.Load()
	if err != nil {
		return false
	}
	w.looked = looked
	if same(entries, w.known) {
		return false
	}
	w.known = entries
	return true
}

func same(a, b []Entry) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].File != b[i].File || a[i].Share != b[i].Share || fmt.Sprint(a[i].Err) != fmt.Sprint(b[i].Err) {
			return false
		}
	}
	return true
}

// look describes the folder by what can be seen without reading its files.
func (s *Store) look() string {
	names, err := s.files()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, name := range names {
		if info, err := os.Stat(s.path(name)); err == nil {
			fmt.Fprintln(&b, name, info.Size(), info.ModTime().UnixNano(), info.Mode())
		} else {
			fmt.Fprintln(&b, name, err)
		}
	}
	return b.String()
}
