// Package history keeps, for each share, the last of what happened to it: a line
// of JSON for each thing, in a file that stays small.
//
// It must not know how shares are run, nor who reads it. What it can't read it
// skips: a history is a help, and no share depends on it.
package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
)

// What says what happened.
type What string

const (
	Started   What = "started"   // somebody asked for it, or the agent began
	Ready     What = "ready"     // visitors reach it
	Crashed   What = "crashed"   // its process died unasked; Cause says how
	Recovered What = "recovered" // ready again after Crashed; Downtime is set
	Failed    What = "failed"    // given up; Cause says why
	Blocked   What = "blocked"   // it can't start for now; Cause says why
	Restarted What = "restarted" // another process took over, as somebody asked
	Limited   What = "limited"   // it met a limit of its own; Cause says which
	Expired   What = "expired"   // it came to the end that was set for it; Cause says which
	Adopted   What = "adopted"   // a new agent took over its process
	Upgraded  What = "upgraded"  // a process of another version took over
	Stopped   What = "stopped"   // somebody asked for it, or the agent ended
)

// Entry is one thing that happened to a share. Its pid is not called that in
// JSON: who looks for "pid" in what is told of a share wants the process that
// serves it now, and may want to kill it.
type Entry struct {
	Time     time.Time     `json:"time"`
	What     What          `json:"what"`
	Cause    string        `json:"cause,omitempty"`
	Downtime time.Duration `json:"downtime_ns,omitempty"`
	PID      int           `json:"process_pid,omitempty"` // of the share process that serves from then on
	Version  string        `json:"version,omitempty"`     // of that process
	Restarts int           `json:"restarts"`              // how many there had been by then
}

const (
	maxSize  = 64 << 10 // bytes of a file; before it passes that, it is rewritten with its newest half
	maxCause = 500      // bytes of a cause; what is longer loses its end
	suffix   = ".jsonl"
)

// Log is a folder of histories. Its methods can be called at the same time.
type Log struct {
	dir     string
	writing sync.Mutex
}

// Open returns the histories in dir, which is made when there is something to keep.
func Open(dir string) *Log { return &Log{dir: dir} }

func (l *Log) path(name string) (string, error) {
	n, err := share.ParseName(name) // which leaves room for the suffix
	return filepath.Join(l.dir, n.String()+suffix), err
}

// ShareOf is the share whose history a file of that name is.
func ShareOf(file string) (name string, ok bool) {
	name, ok = strings.CutSuffix(file, suffix)
	if _, err := share.ParseName(name); err != nil {
		return "", false
	}
	return name, ok
}

// Append adds to a share's history. The entry is one write at the file's end, so
// that it is there as a whole, or not at all, when this process is killed. It is
// not synced: after a power cut the last lines of a history are missed by nobody,
// and a share that crashes often must not keep the disk busy.
func (l *Log) Append(name string, e Entry) error {
	path, err := l.path(name)
	if err != nil {
		return err
	}
	if len(e.Cause) > maxCause {
		e.Cause = strings.ToValidUTF8(e.Cause[:maxCause], "") + "…"
	}
	entry, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("put into words what happened to %s: %w", name, err)
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of histories: %w", err)
	}
	if err := add(path, append(entry, '\n')); err != nil {
		return fmt.Errorf("add to the history of %s: %w", name, err)
	}
	return nil
}

func add(path string, line []byte) error {
	if fi, err := os.Stat(path); err == nil && fi.Size()+int64(len(line)) >= maxSize {
		if err := halve(path); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if last := make([]byte, 1); end > 0 {
		if _, err := f.ReadAt(last, end-1); err != nil {
			return err
		}
		if last[0] != '\n' { // a line that was cut off stands alone
			line = append([]byte("\n"), line...)
		}
	}
	_, err = f.Write(line)
	return err
}

// halve rewrites a history with what is newest in it, byte for byte: a line from
// a newer version keeps what this one does not know.
func halve(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, newest, _ := bytes.Cut(data[len(data)-min(len(data), maxSize/2):], []byte("\n"))
	return store.WriteFile(path, newest, 0o600)
}

// Read returns the last n entries of a share's history, the newest last. A share
// without a history has none, nor has what can't be the name of one.
func (l *Log) Read(name string, n int) ([]Entry, error) {
	path, err := l.path(name)
	if err != nil {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the history of %s: %w", name, err)
	}
	var entries []Entry
	for line := range bytes.Lines(data) {
		var e Entry
		if json.Unmarshal(line, &e) == nil && e.What != "" && !e.Time.IsZero() {
			entries = append(entries, e)
		}
	}
	return entries[len(entries)-min(max(n, 0), len(entries)):], nil
}

// Remove forgets a share's history.
func (l *Log) Remove(name string) error {
	path, err := l.path(name)
	if err != nil {
		return err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the history of %s: %w", name, err)
	}
	return nil
}
