package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for what must come.
const patience = 20 * time.Second

func TestWatchTellsEachRealChangeOnce(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	s.settle = time.Second // a busy machine must not stretch one change into two
	put(t, s.path("photos"), photosFile)
	changes := watchStore(t, s)
	expect(t, changes, "photos:8080")

	// What an editor does: move the file away, write a new one, tidy up.
	put(t, filepath.Join(s.dir, ".photos.toml.swp"), "x")
	if err := os.Rename(s.path("photos"), s.path("photos")+"~"); err != nil {
		t.Fatal(err)
	}
	put(t, s.path("photos"), "")
	put(t, s.path("photos"), strings.Replace(photosFile, "8080", "99", 1))
	if err := os.Remove(s.path("photos") + "~"); err != nil {
		t.Fatal(err)
	}
	expect(t, changes, "photos:99")

	// Had the list above been followed by another, this would not be the next.
	put(t, s.path("broken"), "prot = 1\n")
	expect(t, changes, "broken!", "photos:99")
}

func TestWatchSeesOurOwnWrites(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	put(t, s.path("photos"), photosFile)
	changes := watchStore(t, s)
	expect(t, changes, "photos:8080")
	if _, err := s.Update(name(t, "photos"), map[string]string{"port": "99"}); err != nil {
		t.Fatal(err)
	}
	expect(t, changes, "photos:99")
	if err := s.Remove(name(t, "photos")); err != nil {
		t.Fatal(err)
	}
	expect(t, changes)
}

func TestWatchSurvivesTheFolder(t *testing.T) {
	t.Parallel()
	parent := filepath.Join(t.TempDir(), "sharetray")
	s := mustOpen(t, filepath.Join(parent, "shares"))
	s.poll = func() time.Duration { return 50 * time.Millisecond }
	put(t, s.path("photos"), photosFile)
	changes := watchStore(t, s)
	expect(t, changes, "photos:8080")
	for _, gone := range []string{s.dir, parent} {
		if err := os.RemoveAll(gone); err != nil {
			t.Fatal(err)
		}
		expect(t, changes)
		if err := s.makeDir(); err != nil {
			t.Fatal(err)
		}
		put(t, s.path("photos"), photosFile)
		expectInTheEnd(t, changes, "photos:8080")
		put(t, s.path("photos"), strings.Replace(photosFile, "8080", "99", 1))
		expectInTheEnd(t, changes, "photos:99")
	}
}

// Without notifications (here the poll is all that can see: the change is at
// the far end of a link) changes are seen all the same.
func TestWatchLooksForItself(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	s.poll = func() time.Duration { return 20 * time.Millisecond }
	elsewhere := filepath.Join(t.TempDir(), "kept-in-git.toml")
	put(t, elsewhere, photosFile)
	link(t, elsewhere, s.path("photos"))
	changes := watchStore(t, s)
	expect(t, changes, "photos:8080")
	put(t, elsewhere, strings.Replace(photosFile, "8080", "99", 1))
	expectInTheEnd(t, changes, "photos:99")
}

func TestWatchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := s.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel() // with a list that nobody has taken
	for range changes {
	}
}

func TestReloadReportsRealChangesOnly(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, filepath.Join(t.TempDir(), "shares"))
	put(t, s.path("photos"), photosFile)
	w := &watch{store: s, known: mustLoad(t, s)}
	put(t, s.path("photos"), "# a comment\n"+photosFile)
	if w.reload() {
		t.Error("a comment is taken for a change")
	}
	put(t, s.path("broken"), "prot = 1\n")
	if !w.reload() || len(w.known) != 2 {
		t.Errorf("a new file went unseen: %+v", w.known)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	put(t, s.dir, "a file in its place, which not even root can list")
	if w.reload() || len(w.known) != 2 {
		t.Errorf("a folder that can't be read has emptied the list: %+v", w.known)
	}
}

func watchStore(t *testing.T, s *Store) <-chan []Entry {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changes, err := s.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for range changes { // until it is closed, and its goroutine gone
		}
	})
	return changes
}

// expect receives one list, which must be the one wanted: "name:port" or,
// for a file that can't be used, "name!".
func expect(t *testing.T, changes <-chan []Entry, want ...string) {
	t.Helper()
	if got := receive(t, changes); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// expectInTheEnd is expect for changes that may be seen half done.
func expectInTheEnd(t *testing.T, changes <-chan []Entry, want ...string) {
	t.Helper()
	for !slices.Equal(receive(t, changes), want) {
	}
}

func receive(t *testing.T, changes <-chan []Entry) []string {
	t.Helper()
	select {
	case entries, ok := <-changes:
		if !ok {
			t.Fatal("the channel is closed")
		}
		var got []string
		for _, e := range entries {
			if e.Err != nil {
				got = append(got, e.Name+"!")
			} else {
				got = append(got, fmt.Sprintf("%s:%d", e.Name, e.Share.Port))
			}
		}
		return got
	case <-time.After(patience):
		t.Fatal("no list came")
		return nil
	}
}
