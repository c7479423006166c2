// Package logfile is a share's log on disk: bytes, appended to one file that is
// rotated and bounded, by several processes at once if need be, and read back
// from its end. A log never stands in the way: what the disk won't take is
// counted and dropped.
//
// It must not know what is written to it, nor by which share.
package logfile

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
)

// Writer appends to a log. Its methods may be called at the same time, and
// other processes may have a Writer on the same log, as an old share process
// does that finishes its transfers beside the new one.
//
// The files of a log, path, path.1 (newer) to path.KEEP (oldest), take at most
// (keep+1) times maxBytes together; processes that write in the same instant
// can exceed that by one write each. There is also path.lock, which is empty.
type Writer struct {
	path     string
	maxBytes int64
	keep     int

	mu       sync.Mutex
	file     *os.File // nil while the log can't be opened
	info     fs.FileInfo
	closed   bool
	unlocked time.Time // when to ask again for a lock that was not to be had
	lost     Lost
	told     Lost // of lost, what the log itself already says
}

// Lost counts what could not be written.
type Lost struct {
	Writes int64
	Bytes  int64
}

const (
	lockPatience = 50 * time.Millisecond // a rotation takes far less, unless its process was stopped
	lockPause    = time.Second
)

// Open returns a Writer on the log at path, which it creates; its folder must
// exist. maxBytes bounds each file, keep is the number of older files kept. The
// error is not for users: it names the path and the cause.
func Open(path string, maxBytes int64, keep int) (*Writer, error) {
	if maxBytes < 1 || keep < 0 {
		return nil, fmt.Errorf("open log %s: bad bounds: %d bytes, %d older files", path, maxBytes, keep)
	}
	w := &Writer{path: path, maxBytes: maxBytes, keep: keep}
	if err := w.reopen(); err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return w, nil
}

// Write appends p, in one piece and without waiting for others. It always
// succeeds while the Writer is open: what can't be written counts as lost. Of a
// p larger than a whole file only the beginning is kept, with a note.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, fmt.Errorf("write log %s: %w", w.path, fs.ErrClosed)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if w.lost != w.told {
		note := fmt.Sprintf("[sharetray: %d writes, %d bytes, could not be logged here]\n", w.lost.Writes-w.told.Writes, w.lost.Bytes-w.told.Bytes)
		if _, err := w.appendBounded([]byte(note)); err == nil {
			w.told = w.lost
		}
	}
	if n, err := w.appendBounded(p); err != nil {
		w.lost.Writes++
		w.lost.Bytes += int64(len(p) - n)
	}
	return len(p), nil
}

// Lost is what could not be written since Open.
func (w *Writer) Lost() Lost {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close ends writing. A second one does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return w.release()
}

// appendBounded is append for a p of any size.
func (w *Writer) appendBounded(p []byte) (int, error) {
	if int64(len(p)) <= w.maxBytes {
		return w.append(p)
	}
	note := fmt.Sprintf("\n[sharetray: the rest of a write of %d bytes was cut off here]\n", len(p))
	head := max(0, w.maxBytes-int64(len(note)))
	cut := append(p[:head:head], note...)
	if _, err := w.append(cut[:min(int64(len(cut)), w.maxBytes)]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// append writes p, which fits into one file, to the file that is at path now,
// or to a new one when it would not fit into that.
func (w *Writer) append(p []byte) (int, error) {
	info, err := os.Stat(w.path)
	if err != nil || w.file == nil || !os.SameFile(info, w.info) {
		if err := w.reopen(); err != nil { // another process has rotated
			return 0, err
		}
		info = w.info
	}
	if info.Size() > 0 && info.Size()+int64(len(p)) > w.maxBytes {
		if err := w.rotate(int64(len(p))); err != nil {
			return 0, err
		}
	}
	return w.file.Write(p)
}

// rotate makes path a file with room for the given bytes, unless another
// process already has. It does not wait for a process that holds the lock for
// long: that one may be stopped.
func (w *Writer) rotate(room int64) error {
	if time.Now().Before(w.unlocked) {
		return fmt.Errorf("rotate log %s: its lock is held", w.path)
	}
	lock := flock.New(w.path+".lock", flock.SetPermissions(0o600))
	defer func() { _ = lock.Close() }()
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(time.Millisecond) {
		locked, err := lock.TryLock()
		if err != nil {
			return err
		}
		if locked {
			break
		}
		if time.Now().After(deadline) {
			w.unlocked = time.Now().Add(lockPause)
			return fmt.Errorf("rotate log %s: its lock is held", w.path)
		}
	}
	if info, err := os.Stat(w.path); err == nil && info.Size()+room > w.maxBytes {
		if err := w.release(); err != nil { // Windows renames no open file
			return err
		}
		if err := w.shift(); err != nil {
			return err
		}
	}
	return w.reopen()
}

// shift moves each file to the next number, and the last out of existence. Oldest
// first: a reader that goes from new to old misses none.
func (w *Writer) shift() error {
	if err := remove(numbered(w.path, w.keep)); err != nil {
		return err
	}
	for i := w.keep; i > 0; i-- {
		if err := os.Rename(numbered(w.path, i-1), numbered(w.path, i)); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

func (w *Writer) reopen() error {
	if err := w.release(); err != nil {
		return err
	}
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file but %s", w.path, info.Mode().Type())
	}
	if err != nil {
		_ = f.Close()
		return err
	}
	w.file, w.info = f, info
	return nil
}

func (w *Writer) release() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file, w.info = nil, nil
	return f.Close()
}

// numbered is the path of a log's i-th older file; of the log itself for 0.
func numbered(path string, i int) string {
	if i == 0 {
		return path
	}
	return path + "." + strconv.Itoa(i)
}

// Name is what a log is called in a folder of its own.
const Name = "log"

// AccessName is what the log of requests beside it is called.
const AccessName = "access.log"

// What a share process keeps beside its log, so that it goes with the share: how
// often it was downloaded, which locks a drive's visitors have, and which files
// visitors have added.
const (
	TallyName    = "downloads"
	LocksName    = "locks"
	ReceivedName = "received"
)

// IsName reports whether a file of that name is one of such logs', or is kept
// beside them.
func IsName(name string) bool {
	switch strings.TrimSuffix(name, ".lock") {
	case TallyName, LocksName, ReceivedName:
		return true
	}
	rest, ok := strings.CutPrefix(name, AccessName)
	if !ok {
		rest, ok = strings.CutPrefix(name, Name)
	}
	if _, err := strconv.ParseUint(strings.TrimPrefix(rest, "."), 10, 16); err == nil {
		return ok && rest[0] == '.'
	}
	return ok && (rest == "" || rest == ".lock")
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
