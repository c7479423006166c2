package rundir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// folder makes a runtime folder with these files in it; a name that ends with a
// slash is a folder.
func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), Outermost)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		err := error(nil)
		if name[len(name)-1] == '/' {
			err = os.Mkdir(path, 0o700)
		} else {
			err = os.WriteFile(path, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func hold(t *testing.T, path string) *flock.Flock {
	t.Helper()
	lock := flock.New(path)
	if got, err := lock.TryLock(); err != nil || !got {
		t.Fatalf("lock %s: %t, %v", path, got, err)
	}
	t.Cleanup(func() { lock.Close() })
	return lock
}

func TestVacate(t *testing.T) {
	t.Parallel()
	whole := []string{Control, Lock, Revive, Links + "/"}
	for name, c := range map[string]struct {
		files []string
		held  bool
		want  error
		left  []string // nil: not even the folder
	}{
		"nothing":                {nil, false, nil, nil},
		"all":                    {whole, false, nil, nil},
		"without a lock":         {[]string{Control, Revive, Links + "/"}, false, nil, nil},
		"an agent":               {whole, true, ErrHeld, whole},
		"a share process":        {append(slices.Clone(whole), Links+"/x"), false, ErrInUse, whole},
		"another profile's":      {append(slices.Clone(whole), "0123abcd/"), false, nil, []string{"0123abcd/"}},
		"something that is kept": {append(slices.Clone(whole), "note"), false, nil, []string{"note"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, c.files...)
			if c.held {
				hold(t, filepath.Join(dir, Lock))
			}
			if err := Vacate(dir); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			left, err := os.ReadDir(dir)
			if gone := errors.Is(err, os.ErrNotExist); gone != (c.left == nil) {
				t.Errorf("the folder is gone: %t", gone)
			}
			var names []string
			for _, e := range left {
				name := e.Name()
				if e.IsDir() {
					name += "/"
				}
				names = append(names, name)
			}
			want := slices.Sorted(slices.Values(c.left))
			slices.Sort(names)
			if !slices.Equal(names, want) {
				t.Errorf("left: %q, want %q", names, want)
			}
		})
	}
}

// TestRemoveEmpty goes no further than the folders that are ours.
func TestRemoveEmpty(t *testing.T) {
	t.Parallel()
	for _, around := range []string{"0123abcd", "plain"} {
		for _, name := range []string{Outermost, Fallback()} {
			base := filepath.Join(t.TempDir(), around)
			dir := filepath.Join(base, name, "0123abcd", "cafe0123")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			RemoveEmpty(dir)
			if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
				t.Errorf("%v, %v", left, err)
			}
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	RemoveEmpty(other)
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	RemoveEmpty("")
}

// TestHeld looks without leaving a trace, and without being in anybody's way.
func TestHeld(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if Held(dir) {
		t.Error("nobody is there")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("looking has made %v", left)
	}
	lock := hold(t, filepath.Join(dir, Lock))
	if !Held(dir) {
		t.Error("an agent lives there")
	}
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	AwaitEnd(soon, dir)
	if !Held(dir) {
		t.Error("it has ended")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		AwaitEnd(context.Background(), dir)
	}()
	lock.Close()
	<-ended
	if Held(dir) {
		t.Error("a lock that nobody holds is taken for an agent")
	}
}
