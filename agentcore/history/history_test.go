package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// appenderVar makes the test binary append to the histories in the folder that
// it names, until it is killed.
const appenderVar = "SHARETRAY_TEST_APPENDER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(appenderVar); dir != "" {
		l := Open(dir)
		for i := 0; ; i++ {
			if err := l.Append("photos", entry(i)); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			if i == 0 {
				fmt.Println("begun")
			}
		}
	}
	os.Exit(m.Run())
}

var began = time.Date(2026, 11, 22, 23, 41, 7, 0, time.UTC)

// entry is the i-th of a history: its number is in it twice, so that one whose
// parts do not belong together is found out.
func entry(i int) Entry {
	return Entry{Time: began.Add(time.Duration(i) * time.Second), What: Crashed, Cause: "crash " + strconv.Itoa(i), PID: i + 1, Restarts: i}
}

func folder(t *testing.T) (l *Log, path string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state", "history")
	return Open(dir), filepath.Join(dir, "photos"+suffix)
}

func add1(t *testing.T, l *Log, e Entry) {
	t.Helper()
	if err := l.Append("photos", e); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, l *Log, n int) []Entry {
	t.Helper()
	entries, err := l.Read("photos", n)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsKeptIsRead(t *testing.T) {
	t.Parallel()
	l, path := folder(t)
	if got := read(t, l, 10); len(got) != 0 {
		t.Errorf("before anything happened: %v", got)
	}
	want := []Entry{
		{Time: began, What: Started},
		{Time: began.Add(time.Millisecond), What: Ready, PID: 41, Version: "v1"},
		{Time: began.Add(time.Hour), What: Crashed, Cause: "it was killed by SIGKILL\n\"quoted\" \x00\xff<&>", PID: 41, Version: "v1", Restarts: 1},
		{Time: began.Add(time.Hour), What: Recovered, Downtime: 4 * time.Millisecond, PID: 42, Version: "v1", Restarts: 1},
	}
	for _, e := range want {
		add1(t, l, e)
	}
	want[2].Cause = strings.ToValidUTF8(want[2].Cause, "\ufffd")
	for n, first := range map[int]int{-1: 4, 0: 4, 1: 3, 4: 0, 99: 0} {
		got := read(t, l, n)
		if len(got) != len(want)-first {
			t.Fatalf("the last %d are %v", n, got)
		}
		for i := range got {
			if got[i] != want[first+i] {
				t.Errorf("the last %d: %+v, want %+v", n, got[i], want[first+i])
			}
		}
	}
	if other, err := l.Read("other", 10); len(other) != 0 || err != nil {
		t.Errorf("another share has %v, %v", other, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(string(data), "\n"); first != `{"time":"2026-11-22T23:41:07Z","what":"started","restarts":0}` {
		t.Errorf("the first line is %s", first)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for p, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if fi, err := os.Stat(p); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", p, fi.Mode(), err)
		}
	}
}

// TestBounded: a history does not grow past its bound, and it is always the
// newest that is left, without a gap.
func TestBounded(t *testing.T) {
	t.Parallel()
	l, path := folder(t)
	largest, halved := int64(0), 0
	const n = 2000
	for i := range n {
		add1(t, l, entry(i))
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Size() < largest && halved == 0 {
			halved = i
			if fi.Size() < maxSize/2-200 {
				t.Errorf("only %d bytes were kept", fi.Size())
			}
		}
		largest = max(largest, fi.Size())
	}
	if largest > maxSize || halved == 0 {
		t.Errorf("it grew to %d bytes, and was halved at entry %d", largest, halved)
	}
	got := read(t, l, n)
	for i, e := range got {
		if want := entry(n - len(got) + i); e != want {
			t.Fatalf("entry %d of %d is %v, want %v", i, len(got), e, want)
		}
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm()&0o077 != 0 {
		t.Errorf("rewritten, it has mode %v (%v)", fi.Mode(), err)
	}
	if files, err := os.ReadDir(l.dir); err != nil || len(files) != 1 {
		t.Errorf("beside it there is something: %v, %v", files, err)
	}
}

func TestLongCause(t *testing.T) {
	t.Parallel()
	l, path := folder(t)
	add1(t, l, Entry{Time: began, What: Failed, Cause: strings.Repeat("ä\x01", 100_000)})
	add1(t, l, entry(1))
	got := read(t, l, 2)
	if len(got) != 2 || !strings.HasPrefix(got[0].Cause, "ä\x01ä") || !strings.HasSuffix(got[0].Cause, "…") || strings.Contains(got[0].Cause, "\ufffd") {
		t.Errorf("%+v", got)
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() > 4<<10 {
		t.Errorf("%v, %v", fi.Size(), err)
	}
}

func TestNamesFit(t *testing.T) {
	t.Parallel()
	l, _ := folder(t)
	for _, name := range []string{"a", "a.jsonl", "my photos, 100% größer", strings.Repeat("x", 200), strings.Repeat("日", 80)} {
		if err := l.Append(name, entry(1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := l.Read(name, 1); err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../escaped", "a/b", `a\b`, "a\x00b", strings.Repeat("x", 300)} {
		if err := l.Append(name, entry(1)); err == nil {
			t.Errorf("%q was taken for a name", name)
		}
		if got, err := l.Read(name, 1); err != nil || len(got) != 0 {
			t.Errorf("%q has a history: %v, %v", name, got, err)
		}
		if l.Remove(name) == nil {
			t.Errorf("%q was removed", name)
		}
	}
	if _, err := os.Stat(filepath.Join(l.dir, "..", "escaped"+suffix)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name led out of the folder: %v", err)
	}
}

// TestWhatCannotBeReadIsSkipped: lines that were cut off, are nonsense, or come
// from a newer version cost no other line.
func TestWhatCannotBeReadIsSkipped(t *testing.T) {
	t.Parallel()
	const (
		good  = `{"time":"2026-11-22T23:41:07Z","what":"ready","restarts":3}`
		newer = `{"time":"2026-11-22T23:41:08Z","what":"teleported","to":{"planet":"moon"},"restarts":4}`
	)
	for what, c := range map[string]struct {
		content string
		want    []What
	}{
		"empty":                {"", nil},
		"newlines":             {"\n\n\n", nil},
		"cut off":              {good + "\n" + good[:30], []What{Ready}},
		"cut off at its end":   {good + "\n" + good, []What{Ready, Ready}},
		"cut off, nothing yet": {"{", nil},
		"zeros":                {good + "\n" + strings.Repeat("\x00", 4096) + "\n" + good + "\n", []What{Ready, Ready}},
		"nonsense":             {"hello\n[]\nnull\n7\n{}\n{\"what\":\"ready\"}\n{\"time\":7}\n\xff\n" + good + "\n", []What{Ready}},
		"newer":                {newer + "\n" + good + "\n", []What{"teleported", Ready}},
		"without a newline":    {strings.Repeat("x", 3*maxSize), nil},
		"other line ends":      {good + "\r\n" + good + "\r\n", []What{Ready, Ready}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l, path := folder(t)
			write(t, path, c.content)
			check := func(want []What) {
				t.Helper()
				got := read(t, l, 100)
				if len(got) != len(want) {
					t.Fatalf("%v, want %v", got, want)
				}
				for i := range got {
					if got[i].What != want[i] {
						t.Errorf("%v, want %v", got, want)
					}
				}
			}
			check(c.want)
			add1(t, l, entry(1)) // which must not be glued to what was cut off
			check(append(c.want, Crashed))
		})
	}
}

// TestNewerLinesSurvive: what a newer version wrote is kept as it is, even when
// this one rewrites the file.
func TestNewerLinesSurvive(t *testing.T) {
	t.Parallel()
	l, path := folder(t)
	const newer = `{"time":"2026-11-22T23:41:08Z","what":"teleported","to":{"planet":"moon"}}` + "\n"
	write(t, path, strings.Repeat("x", maxSize)+"\n"+newer)
	add1(t, l, entry(1))
	data, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(data), newer) {
		t.Errorf("%.200q, %v", data, err)
	}
}

// TestKilledWhileWriting: whoever is killed leaves whole lines, and a next one
// that goes on.
func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	l, path := folder(t)
	for range 20 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), appenderVar+"="+l.dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		word := make([]byte, len("begun\n"))
		if _, err := out.Read(word); err != nil || string(word) != "begun\n" {
			t.Errorf("%q, %v", word, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, l, 1<<20)
		if lines := strings.Count(string(data), "\n"); len(got) != lines || !strings.HasSuffix(string(data), "\n") {
			t.Fatalf("%d entries in %d lines: …%q", len(got), lines, data[max(0, len(data)-200):])
		}
		for i, e := range got {
			if want := entry(e.Restarts); e != want {
				t.Fatalf("entry %d is %v", i, e)
			}
		}
		add1(t, l, entry(0))
	}
}

// TestTogether: appends and reads at the same time, while the file is rewritten
// again and again.
func TestTogether(t *testing.T) {
	t.Parallel()
	l, _ := folder(t)
	var writers, readers sync.WaitGroup
	end := make(chan struct{})
	readers.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
				entries, err := l.Read("photos", 1<<20)
				if err != nil {
					t.Error(err)
				}
				for _, e := range entries {
					if e != entry(e.Restarts) {
						t.Errorf("read %v", e)
					}
				}
			}
		}
	})
	const each = 300
	for w := range 4 {
		writers.Go(func() {
			for i := range each {
				if err := l.Append("photos", entry(w*each+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(end)
	readers.Wait()
	// The newest of each writer are there, without a gap.
	last := map[int]int{}
	for _, e := range read(t, l, 1<<20) {
		w := e.Restarts / each
		if before, ok := last[w]; ok && e.Restarts != before+1 {
			t.Errorf("writer %d: %d follows %d", w, e.Restarts, before)
		}
		last[w] = e.Restarts
	}
	if len(last) == 0 {
		t.Error("nothing is left")
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	l, path := folder(t)
	if err := l.Remove("photos"); err != nil {
		t.Errorf("what is not there: %v", err)
	}
	add1(t, l, entry(1))
	if err := l.Append("photos-2", entry(2)); err != nil {
		t.Fatal(err)
	}
	if err := l.Remove("photos"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
	if got, err := l.Read("photos-2", 1); err != nil || len(got) != 1 {
		t.Errorf("the other one has %v, %v", got, err)
	}
}

// TestTrouble: a folder that is away is made again, and what can't be written or
// read is an error, not more.
func TestTrouble(t *testing.T) {
	t.Parallel()
	l, path := folder(t)
	add1(t, l, entry(1))
	if err := os.RemoveAll(l.dir); err != nil {
		t.Fatal(err)
	}
	add1(t, l, entry(2))
	if got := read(t, l, 10); len(got) != 1 || got[0] != entry(2) {
		t.Errorf("%v", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.Append("photos", entry(3)); err == nil || !strings.Contains(err.Error(), "photos") {
		t.Errorf("appended to a folder: %v", err)
	}
	if _, err := l.Read("photos", 1); err == nil {
		t.Error("a folder was read")
	}
	taken := filepath.Join(t.TempDir(), "taken")
	write(t, taken, "")
	if err := Open(taken).Append("photos", entry(1)); err == nil {
		t.Error("appended below a file")
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("this system has no disk that is always full")
	}
	l, path := folder(t)
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	if err := l.Append("photos", entry(1)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
}
