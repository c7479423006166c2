package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

const (
	maxTail = 1 << 20  // bytes that Tail returns at most
	maxLine = 64 << 10 // bytes of one line that Tail returns at most
	cutMark = "…"      // ends a line that was longer

	followPause = 100 * time.Millisecond // how often Follow looks for more
)

// Tail returns the last n lines of a log, across its rotated files: at most
// 1 MiB, and of each line at most 64 KiB. A line without its end counts. A log
// that was never written is empty.
func Tail(path string, n int) ([]byte, error) {
	text, newest, err := tail(path, n)
	closeAll(newest)
	return text, err
}

// Follow writes the last n lines of a log to w, as Tail does, and then what is
// appended to it, across rotations, until ctx ends, which is no error. When w is
// so slow that lines were rotated away unread, it says so in w. A line that a
// second process writes in the instant of a rotation can be missed.
func Follow(ctx context.Context, path string, n int, w io.Writer) error {
	text, file, err := tail(path, n)
	if err != nil {
		return err
	}
	defer func() { closeAll(file) }()
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("follow log %s: %w", path, err)
	}
	tick := time.NewTicker(followPause)
	defer tick.Stop()
	for {
		next, err := advance(path, file, w)
		if err != nil {
			return fmt.Errorf("follow log %s: %w", path, err)
		}
		caughtUp := next == file
		if !caughtUp {
			closeAll(file)
			file = next
		}
		if caughtUp {
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// advance copies to w what file has more, and returns the file to go on with:
// file itself, or the one that follows it when the log has been rotated.
func advance(path string, file *os.File, w io.Writer) (*os.File, error) {
	if file == nil {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return f, err
	}
	next, lost, err := successor(path, file)
	if err != nil {
		return nil, err
	}
	// Copied after the rotation was seen, so that nothing falls between.
	_, err = io.Copy(w, file)
	if err == nil && lost {
		_, err = io.WriteString(w, "\n[sharetray: some lines were rotated away before they could be read]\n")
	}
	switch {
	case err != nil:
		closeAll(next)
		return nil, err
	case next == nil:
		return file, restartIfCut(file)
	}
	return next, nil
}

// successor opens the file that follows file in the log, if there is one. When
// file itself is no longer in the log, that is the oldest one, and what was
// between the two is lost.
func successor(path string, file *os.File) (next *os.File, lost bool, err error) {
	own, err := file.Stat()
	if err != nil {
		return nil, false, err
	}
	newest, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // removed, or in the middle of a rotation
		return nil, false, nil
	case err != nil:
		return nil, false, err
	case os.SameFile(newest, own):
		return nil, false, nil
	}
	files, err := openAll(path)
	if err != nil || len(files) == 0 {
		return nil, false, err
	}
	i := slices.IndexFunc(files, func(f *os.File) bool { return sameFile(f, own) })
	if i == 0 {
		closeAll(files...)
		return nil, false, nil
	}
	lost = i < 0
	if lost {
		i = len(files)
	}
	closeAll(files[:i-1]...)
	closeAll(files[i:]...)
	return files[i-1], lost, nil
}

// restartIfCut goes back to the start of a file that somebody has emptied.
func restartIfCut(file *os.File) error {
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if info, err := file.Stat(); err != nil || info.Size() >= at {
		return err
	}
	_, err = file.Seek(0, io.SeekStart)
	return err
}

// tail returns the last n lines, and the newest file, if there is one, at the
// place where they end.
func tail(path string, n int) (text []byte, newest *os.File, err error) {
	files, err := openAll(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read log %s: %w", path, err)
	}
	if len(files) == 0 {
		return nil, nil, nil
	}
	defer func() {
		closeAll(files[1:]...)
		if err != nil {
			closeAll(files[0])
			newest = nil
		}
	}()
	whole := false // nothing stands before text
	for i, f := range files {
		size, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return nil, nil, fmt.Errorf("read log %s: %w", path, err)
		}
		if n <= 0 {
			break
		}
		want := min(size, int64(maxTail-len(text)))
		part := make([]byte, want, want+int64(len(text)))
		got, err := f.ReadAt(part, size-want)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, fmt.Errorf("read log %s: %w", path, err)
		}
		text = append(part[:got], text...)
		whole = want == size && i == len(files)-1
		if want < size || bytes.Count(text, []byte("\n")) > n {
			break
		}
	}
	return lastLines(text, n, whole), files[0], nil
}

// lastLines cuts text to its last n lines, and each of those to maxLine. Unless
// text is whole its first line lacks its beginning, and goes if others are left.
func lastLines(text []byte, n int, whole bool) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	if !whole && len(lines) > 1 {
		lines = lines[1:]
	}
	lines = lines[max(0, len(lines)-max(0, n)):]
	var out []byte
	for _, line := range lines {
		if body := bytes.TrimSuffix(line, []byte("\n")); len(body) > maxLine {
			out = append(out, body[:maxLine-len(cutMark)]...)
			out = append(out, cutMark...)
			line = line[len(body):]
		}
		out = append(out, line...)
	}
	return out
}

// openAll opens the files of a log, newest first. If the log is rotated
// meanwhile it begins again; when that happens each time, a file may be missing.
func openAll(path string) ([]*os.File, error) {
	for tries := 10; ; tries-- {
		files, err := openOnce(path)
		if err != nil {
			return nil, err
		}
		if tries == 0 || steady(path, files) {
			return files, nil
		}
		closeAll(files...)
	}
}

func openOnce(path string) ([]*os.File, error) {
	var files []*os.File
	for i, missing := 0, 0; missing < 2; i++ { // one is, in the middle of a rotation
		f, err := os.Open(numbered(path, i))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing++
		case err != nil:
			closeAll(files...)
			return nil, err
		default:
			missing = 0
			files = append(files, f)
		}
	}
	return files, nil
}

// steady reports whether files, just opened, are those of one moment: no file
// was opened twice under two numbers, and the newest is still the newest.
func steady(path string, files []*os.File) bool {
	for i, f := range files {
		info, err := f.Stat()
		if err != nil || slices.ContainsFunc(files[i+1:], func(older *os.File) bool { return sameFile(older, info) }) {
			return false
		}
	}
	newest, err := os.Stat(path)
	if err != nil {
		return len(files) == 0
	}
	return len(files) > 0 && sameFile(files[0], newest)
}

func sameFile(f *os.File, other fs.FileInfo) bool {
	info, err := f.Stat()
	return err == nil && os.SameFile(info, other)
}

// closeAll closes files that were only read; nil ones are skipped.
func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
