package agentcore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/gofrs/flock"

	"sharetray/agentcore/problem"
	"sharetray/agentcore/pulse"
	"sharetray/platform"
)

// place is what one agent has at a time: the lock, and with it the folders. The
// lock's file says more than the lock: an agent that is quit removes it, so that
// a file which nobody has locked tells of an agent that died.
type place struct{ lock *flock.Flock }

// lockLook is how often it is looked whether another agent has given up its
// place; SuccessionPatience is for how long, when it is known to be about to.
const (
	lockLook           = 5 * time.Millisecond
	SuccessionPatience = 5 * time.Second
)

// glance is how long a share process may have the lock, which looks whether an
// agent does.
const glance = 50 * time.Millisecond

// takePlace fails when another agent has the place for longer than patience, and
// says which.
func takePlace(paths Paths, patience time.Duration) (*place, error) {
	for end := time.Now().Add(max(patience, glance)); ; {
		if err := makePlaces(paths); err != nil {
			return nil, err
		}
		p := &place{flock.New(paths.Lock)}
		got, err := p.lock.TryLock()
		switch {
		case errors.Is(err, fs.ErrNotExist): // an agent that ended has tidied up meanwhile
			continue
		case err != nil:
			return nil, problem.New(problem.Internal, "the lock %s can't be taken: %w", paths.Lock, err)
		case got && !p.isAt(paths.Lock): // it was another's, who has removed it
			_ = p.release()
			continue
		case got:
			// The folders may have been removed before the lock was. The pid is a help
			// for people, not the lock: that ends with the process.
			if err := makePlaces(paths); err != nil {
				return nil, errors.Join(err, p.release())
			}
			return p, os.WriteFile(paths.Lock, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
		}
		_ = p.lock.Close()
		if !time.Now().Before(end) {
			return nil, otherAgent(paths)
		}
		time.Sleep(lockLook)
	}
}

func otherAgent(paths Paths) error {
	who := ""
	if b, err := os.ReadFile(paths.Lock); err == nil && len(b) > 0 {
		who = " (pid " + strings.TrimSpace(string(b)) + ")"
	}
	return problem.New(problem.Exists, "an agent is running already%s: see its shares with sharetray list", who)
}

// isAt reports whether the lock is the one that others see.
func (p *place) isAt(path string) bool {
	now, err := os.Stat(path)
	if err != nil {
		return false
	}
	held, err := p.lock.Stat()
	return err == nil && os.SameFile(now, held)
}

func (p *place) release() error { return p.lock.Unlock() }

// clear removes what tells of this agent, while nobody else can be there. The
// folder of links goes before the lock: afterwards it may be another agent's.
func (p *place) clear(paths Paths) {
	if !p.isAt(paths.Lock) {
		return
	}
	for _, path := range []string{paths.Links, paths.Revive, paths.Lock} {
		os.Remove(path) // a folder in which somebody still is stays
	}
}

// makePlaces makes the folders that an agent needs. One that ends tidies up, and may
// take away a folder in the moment in which another is made in it.
func makePlaces(paths Paths) error {
	const tries = 100
	for _, dir := range []string{paths.State, paths.Logs, paths.Records, paths.Links, filepath.Dir(paths.Control)} {
		err := platform.PrivateDir(dir)
		for n := 1; n < tries && errors.Is(err, fs.ErrNotExist); n++ {
			err = platform.PrivateDir(dir)
		}
		if err != nil {
			return problem.New(problem.Conflict, "a private folder can't be had: %w; make it yours alone, or remove it", err)
		}
	}
	return nil
}

// WatchGone receives whenever the file at path may have been removed, until ctx
// ends: when the system tells, and now and then, should it not. Somebody may
// clean up the folder for temporary files.
func WatchGone(ctx context.Context, path string) <-chan struct{} {
	gone := make(chan struct{}, 1)
	look := time.NewTimer(pulse.Next())
	dir := filepath.Dir(path)
	notify, err := fsnotify.NewWatcher()
	var events <-chan fsnotify.Event
	if err == nil {
		events = notify.Events
		_ = notify.Add(dir) // looking will do
	}
	go func() {
		defer look.Stop()
		if notify != nil {
			defer notify.Close()
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
				look.Reset(pulse.Next())
				if notify != nil && len(notify.WatchList()) == 0 {
					_ = notify.Add(dir) // it was removed, and is there again
				}
			case e := <-events:
				if !e.Has(fsnotify.Remove) && !e.Has(fsnotify.Rename) {
					continue
				}
			}
			select {
			case gone <- struct{}{}:
			default:
			}
		}
	}()
	return gone
}

// keepPlaces makes the lock and the folder of links anew when somebody has
// removed them, so that there is one agent, and that it finds its share processes
// again. An agent that was started meanwhile has taken over.
func (a *Agent) keepPlaces(ctx context.Context) {
	gone := WatchGone(ctx, a.paths.Lock)
	for {
		select {
		case <-ctx.Done():
			return
		case <-gone:
		}
		a.findLost(ctx)
		a.placeMu.Lock()
		there := a.place.isAt(a.paths.Lock)
		a.placeMu.Unlock()
		if a.ending() {
			continue
		}
		if there {
			if err := makePlaces(a.paths); err != nil { // what is in it may be gone
				a.opt.Log.Error("the runtime folder can't be used", "error", err)
			}
			continue
		}
		a.opt.Log.Warn("the runtime folder was removed; it is made anew")
		place, err := takePlace(a.paths, 0)
		if problem.Is(err, problem.Exists) {
			a.Leave()
			return
		} else if err != nil {
			a.opt.Log.Error("the runtime folder can't be made anew", "error", err)
			continue
		}
		a.placeMu.Lock()
		_ = a.place.lock.Close()
		a.place = place
		a.placeMu.Unlock()
	}
}
