package agentcore

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	"sharetray/agentcore/history"
	"sharetray/agentcore/logfile"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
)

// Discarded is a share that was removed, with all that it takes to have it back.
type Discarded struct {
	Name string
	file []byte
	log  []byte // its last lines
	past []history.Entry
}

const (
	keptLines   = 100_000 // of the log of a share that was removed
	keptHistory = 10_000  // entries; more than there are
)

// Discard is Remove for those who may think better of it: Restore undoes it.
func (a *Agent) Discard(ctx context.Context, name string) (Discarded, error) {
	st, err := a.Get(name)
	if err != nil {
		return Discarded{}, err
	}
	r := Discarded{Name: st.Name}
	if r.file, err = os.ReadFile(st.File); err != nil {
		return r, problem.New(problem.Conflict, "the file of the share %s can't be read, so it could not be brought back: %w", st.Name, err)
	}
	// What is missing of these is no reason to keep a share.
	r.log, _ = logfile.Tail(a.logPath(st.Name), keptLines)
	r.past, _ = a.History(st.Name, keptHistory)
	return r, a.Remove(ctx, st.Name)
}

// Restore brings back a share that was discarded, as it was: its file, the end of
// its log and its history. It waits until the share is up, unless it was paused, and
// returns how it is.
func (a *Agent) Restore(ctx context.Context, r Discarded) (Status, error) {
	name, err := share.ParseName(r.Name)
	if err != nil {
		return Status{}, err
	}
	if err := a.restore(name, r); err != nil {
		return Status{}, err
	}
	st, err := a.Get(r.Name)
	if err != nil || st.Paused {
		return st, err
	}
	return a.settled(ctx, r.Name)
}

func (a *Agent) restore(name share.Name, r Discarded) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := a.store.Restore(name, r.file); err != nil {
		return err
	}
	path := a.logPath(r.Name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err == nil && len(r.log) > 0 {
		log, err := logfile.Open(path, a.settings.Logs.MaxBytes, a.settings.Logs.Keep)
		if err == nil {
			for line := range bytes.Lines(r.log) {
				_, _ = log.Write(line) // a log that is lost is no reason to lose the share
			}
			_ = log.Close()
		}
	}
	for _, e := range r.past {
		a.scribe.remember(r.Name, e)
	}
	return a.reloadLocked()
}
