package logfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// TestMain is also the second process of TestProcessesShareALog.
func TestMain(m *testing.M) {
	if path := os.Getenv("LOGFILE_TEST_WRITE"); path != "" {
		writeNumbers(path, os.Getenv("LOGFILE_TEST_NAME"))
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	numbers      = 2000
	numbersBytes = 16 << 10
)

func writeNumbers(path, name string) {
	w, err := Open(path, numbersBytes, 20)
	if err != nil {
		panic(err)
	}
	for i := range numbers {
		_, _ = fmt.Fprintf(w, "%s %d %s\n", name, i, strings.Repeat("x", i%40))
	}
	if w.Lost() != (Lost{}) {
		panic(fmt.Sprint("lost ", w.Lost()))
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
}

func TestProcessesShareALog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	const processes = 3
	var all []*exec.Cmd
	for i := range processes {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "LOGFILE_TEST_WRITE="+path, "LOGFILE_TEST_NAME=p"+strconv.Itoa(i))
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
	}
	for _, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	// Every line is there once and whole, each process's in order but for the
	// instants of rotations; no file is larger than the bound and a write each.
	seen := map[string]bool{}
	for i := 0; ; i++ {
		data, err := os.ReadFile(numbered(path, i))
		if errors.Is(err, fs.ErrNotExist) {
			if i < 5 {
				t.Fatalf("only %d files: too few rotations to test anything", i)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > numbersBytes+processes*60 {
			t.Errorf("%s has %d bytes", numbered(path, i), len(data))
		}
		for line := range strings.Lines(string(data)) {
			f := strings.Fields(line + ".")
			n, err := strconv.Atoi(f[1])
			if err != nil || line != fmt.Sprintf("%s %d %s\n", f[0], n, strings.Repeat("x", n%40)) || seen[f[0]+" "+f[1]] {
				t.Fatalf("a torn or doubled line: %q", line)
			}
			seen[f[0]+" "+f[1]] = true
		}
	}
	if len(seen) != processes*numbers {
		t.Errorf("%d of %d lines are there", len(seen), processes*numbers)
	}
}

// A log holds the end of what was written, within its bounds, whatever the
// sizes of the writes; Tail returns its lines.
func TestWriterKeepsTheEnd(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "log")
		maxBytes, keep := rapid.Int64Range(1, 300).Draw(t, "max"), rapid.IntRange(0, 3).Draw(t, "keep")
		w, err := Open(path, maxBytes, keep)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = w.Close() }()
		var written []byte
		for range rapid.IntRange(1, 30).Draw(t, "writes") {
			p := rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n\x00\xff")), 0, int(maxBytes)).Draw(t, "write")
			if n, err := w.Write(p); n != len(p) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
			written = append(written, p...)
		}
		var kept []byte
		for i := keep + 1; i >= 0; i-- {
			part, err := os.ReadFile(numbered(path, i))
			if err == nil && (int64(len(part)) > maxBytes || i > keep) {
				t.Fatalf("file %d has %d bytes", i, len(part))
			}
			kept = append(kept, part...)
		}
		if !bytes.HasSuffix(written, kept) || len(kept) == 0 && len(written) > 0 {
			t.Fatalf("kept %q of %q", kept, written)
		}
		if w.Lost() != (Lost{}) {
			t.Fatalf("lost %+v", w.Lost())
		}
		n := rapid.IntRange(0, 40).Draw(t, "lines")
		got, err := Tail(path, n)
		if want := lastOf(kept, n); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("Tail(%d) = %q, %v, want %q", n, got, err, want)
		}
	})
}

// lastOf is Tail in its plainest form.
func lastOf(text []byte, n int) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	return bytes.Join(lines[max(0, len(lines)-n):], nil)
}

func TestWriterIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	w := mustOpen(t, path, 1<<10, 1000)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for j := range 200 {
				_, _ = fmt.Fprintf(w, "%d %d\n", i, j)
			}
		})
	}
	all.Wait()
	got, err := Tail(path, 10_000)
	if lines := bytes.Count(got, []byte("\n")); err != nil || lines != 800 {
		t.Errorf("%d lines, %v", lines, err)
	}
}

func TestWriteLargerThanAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	w := mustOpen(t, path, 200, 1)
	write(t, w, "before\n")
	write(t, w, strings.Repeat("x", 1000))
	got := get(t, path)
	if len(got) != 200 || !strings.HasPrefix(got, "xxx") || !strings.HasSuffix(got, "x\n[sharetray: the rest of a write of 1000 bytes was cut off here]\n") {
		t.Errorf("got %q", got)
	}
	if get(t, path+".1") != "before\n" {
		t.Errorf("got %q", get(t, path+".1"))
	}
}

func TestWriterGoesOnWithoutADisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "log")
	w := mustOpen(t, path, 1000, 1)
	write(t, w, "one\n")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	write(t, w, "two\n")
	write(t, w, "three\n")
	if got := w.Lost(); got != (Lost{Writes: 2, Bytes: 10}) {
		t.Errorf("lost %+v", got)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a removed log was made again: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, w, "four\n")
	write(t, w, "five\n")
	if got := get(t, path); got != "[sharetray: 2 writes, 10 bytes, could not be logged here]\nfour\nfive\n" {
		t.Errorf("got %q", got)
	}
}

// A stopped process may hold the lock for ever: then what does not fit is lost,
// the bound holds, and nobody waits more than once.
func TestWriterDoesNotWaitForAHeldLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	w := mustOpen(t, path, 100, 1)
	lock := flock.New(path + ".lock")
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 59) + "\n"
	write(t, w, line)
	start := time.Now()
	for range 1000 {
		write(t, w, line)
	}
	if took := time.Since(start); took > 10*time.Second { // it would be 50 s
		t.Errorf("1000 writes took %s", took)
	}
	if got := w.Lost().Writes; got != 1000 || get(t, path) != line {
		t.Errorf("%d writes lost, the log is %q", got, get(t, path))
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.unlocked = time.Time{} // the pause is over
	w.mu.Unlock()
	write(t, w, line)
	if note := get(t, path+".1"); !strings.HasPrefix(note, "[sharetray: 1000 writes") || get(t, path) != line {
		t.Errorf("got %q and %q", note, get(t, path))
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for what, open := range map[string]func() (*Writer, error){
		"a folder":   func() (*Writer, error) { return Open(dir, 100, 1) },
		"no folder":  func() (*Writer, error) { return Open(filepath.Join(dir, "no", "log"), 100, 1) },
		"no size":    func() (*Writer, error) { return Open(filepath.Join(dir, "log"), 0, 1) },
		"minus keep": func() (*Writer, error) { return Open(filepath.Join(dir, "log"), 100, -1) },
	} {
		if w, err := open(); err == nil || w != nil {
			t.Errorf("%s: %v, %v", what, w, err)
		}
	}
	w := mustOpen(t, filepath.Join(dir, "log"), 100, 1)
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a write after Close: %v", err)
	}
}

func TestTailIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if got, err := Tail(path, 10); got != nil || err != nil {
		t.Errorf("without a log: %q, %v", got, err)
	}
	if _, err := Tail(filepath.Dir(path), 10); err == nil {
		t.Error("a folder was read as a log")
	}
	long := strings.Repeat("x", maxLine+1)
	put(t, path, "a\n"+long+"\nb\n")
	if got, err := Tail(path, 2); err != nil || string(got) != long[:maxLine-len(cutMark)]+cutMark+"\nb\n" {
		t.Errorf("a long line: %d bytes, %v", len(got), err)
	}
	line := strings.Repeat("y", 999) + "\n"
	put(t, path, strings.Repeat(line, 3000))
	if got, err := Tail(path, 1<<30); err != nil || len(got) != maxTail/1000*1000 || !strings.HasPrefix(string(got), line) {
		t.Errorf("a long log: %d bytes, %v", len(got), err)
	}
	put(t, path, strings.Repeat("z", 2*maxTail))
	if got, err := Tail(path, 1); err != nil || len(got) != maxLine {
		t.Errorf("one endless line: %d bytes, %v", len(got), err)
	}
	put(t, path, "end of a line\nlast")
	put(t, path+".1", "first\nbeginning and ")
	if got, err := Tail(path, 2); err != nil || string(got) != "beginning and end of a line\nlast" {
		t.Errorf("a line over two files: %q, %v", got, err)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	w := mustOpen(t, path, 300, 50)
	for i := range 40 {
		_, _ = fmt.Fprintln(w, i)
	}
	lines := follow(t, path, 10)
	for i := 30; i < 40; i++ {
		expect(t, lines, strconv.Itoa(i))
	}
	for i := 40; i < 1000; i++ { // over a dozen rotations
		_, _ = fmt.Fprintln(w, i)
	}
	for i := 40; i < 1000; i++ {
		expect(t, lines, strconv.Itoa(i))
	}
	if _, err := os.Stat(path + ".5"); err != nil {
		t.Errorf("too few rotations to test anything: %v", err)
	}
}

func TestFollowFromNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	lines := follow(t, path, 10)
	put(t, path, "one\ntwo\n")
	expect(t, lines, "one")
	expect(t, lines, "two")
	put(t, path, "") // emptied by hand
	w := mustOpen(t, path, 1000, 1)
	write(t, w, "new\n")
	expect(t, lines, "new")
}

func TestFollowSaysWhatItMissed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	put(t, path, "")
	read, file, err := tail(path, 1)
	if err != nil || len(read) != 0 {
		t.Fatal(read, err)
	}
	w := mustOpen(t, path, 10, 1)
	for i := range 20 {
		_, _ = fmt.Fprintf(w, "line %d\n", i)
	}
	var got bytes.Buffer
	for {
		next, err := advance(path, file, &got)
		if err != nil {
			t.Fatal(err)
		}
		if next == file {
			break
		}
		closeAll(file)
		file = next
	}
	closeAll(file)
	if want := "line 0\n\n[sharetray: some lines were rotated away before they could be read]\nline 18\nline 19\n"; got.String() != want {
		t.Errorf("got %q", got.String())
	}
}

func TestFollowEndsWhenItsReaderIsGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	put(t, path, "one\n")
	r, w := io.Pipe()
	_ = r.Close()
	if err := Follow(t.Context(), path, 1, w); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// follow runs Follow and returns its lines.
func follow(t *testing.T, path string, n int) <-chan string {
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	lines := make(chan string)
	var all sync.WaitGroup
	all.Go(func() {
		if err := Follow(ctx, path, n, w); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		_ = w.Close()
	})
	all.Go(func() {
		defer func() { _ = r.Close() }()
		for scan := bufio.NewScanner(r); scan.Scan(); {
			select {
			case lines <- scan.Text():
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	return lines
}

func expect(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	select {
	case got := <-lines:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%q did not come", want)
	}
}

func mustOpen(t *testing.T, path string, maxBytes int64, keep int) *Writer {
	t.Helper()
	w, err := Open(path, maxBytes, keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if n, err := io.WriteString(w, text); n != len(text) || err != nil {
		t.Fatalf("Write: %d, %v", n, err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
