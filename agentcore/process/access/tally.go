package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/gofrs/flock"
)

// Tally counts finished downloads, of which there may be a number. It is kept in
// a file, so that it outlives the process; for a moment two processes of one
// share may use it.
type Tally struct {
	path string
	most int
	done atomic.Int64

	mu    sync.Mutex
	under int // downloads that are under way
}

type tallyFile struct {
	Downloads int64 `json:"downloads"`
}

// OpenTally goes on with the tally at path; most is how many downloads there may
// be.
func OpenTally(path string, most int) (*Tally, error) {
	t := &Tally{path: path, most: most}
	n, err := t.read()
	t.done.Store(n)
	return t, err
}

// Forget removes a tally: the next one begins at 0.
func Forget(path string) error {
	for _, p := range []string{path, path + ".lock"} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Ended reports whether all downloads that there may be are done.
func (t *Tally) Ended() bool { return t.done.Load() >= int64(t.most) }

// Begin is asked before a download. It is told at the end whether all of it was
// sent; not ok is when those that are under way may be the last ones, or all are
// done. An error of end is one of the disk: the tally may be short by one after
// the process.
func (t *Tally) Begin() (end func(whole bool) error, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, err := t.read(); err == nil { // another process may have counted
		t.done.Store(max(n, t.done.Load()))
	}
	if t.done.Load()+int64(t.under) >= int64(t.most) {
		return nil, false
	}
	t.under++
	return t.end, true
}

func (t *Tally) end(whole bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.under--
	if !whole {
		return nil
	}
	t.done.Add(1)
	l := flock.New(t.path + ".lock")
	if err := l.Lock(); err != nil {
		return fmt.Errorf("count a download: %w", err)
	}
	defer l.Unlock()
	n, err := t.read()
	if err != nil {
		n = t.done.Load() - 1
	}
	t.done.Store(max(n+1, t.done.Load()))
	if err := t.write(); err != nil {
		return fmt.Errorf("count a download: %w", err)
	}
	return nil
}

func (t *Tally) read() (int64, error) {
	b, err := os.ReadFile(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	var f tallyFile
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		return 0, fmt.Errorf("the count of downloads can't be read: %w", err)
	}
	return f.Downloads, nil
}

func (t *Tally) write() (err error) {
	b, err := json.Marshal(tallyFile{t.done.Load()})
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(t.path), filepath.Base(t.path)+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), t.path)
	}
	return err
}
