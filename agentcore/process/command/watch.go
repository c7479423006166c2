package command

import (
	"context"
	"io/fs"
	"log/slog"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// maxWatched is how many folders are watched; settle is for how long nothing may
// have changed before it is told: who saves, saves several files.
const (
	maxWatched = 5000
	settle     = 200 * time.Millisecond
)

// unwatched are folders that tools fill, not people.
var unwatched = []string{".git", ".hg", ".svn", "node_modules", ".venv", "__pycache__", ".cache"}

// watchFiles receives the name of a file below dir that matches a pattern when it
// has changed, until ctx ends. No patterns: never.
func watchFiles(ctx context.Context, dir string, patterns []string, log *slog.Logger) <-chan string {
	changed := make(chan string)
	if len(patterns) == 0 {
		return changed
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("files are not watched", "error", err)
		return changed
	}
	watched := 0
	addTree := func(top string) {
		_ = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || !d.IsDir():
				return nil // what can't be read is not watched
			case p != dir && slices.Contains(unwatched, d.Name()):
				return fs.SkipDir
			case watched == maxWatched:
				log.Warn("there are too many folders to watch all of them", "watched", maxWatched)
				return fs.SkipAll
			}
			if w.Add(p) == nil {
				watched++
			}
			return nil
		})
	}
	addTree(dir)
	go func() {
		defer w.Close()
		var file string
		var due <-chan time.Time
		var tell chan<- string
		for {
			select {
			case <-ctx.Done():
				return
			case e, ok := <-w.Events:
				if !ok {
					return
				}
				if e.Has(fsnotify.Create) {
					addTree(e.Name)
				}
				name, err := filepath.Rel(dir, e.Name)
				if err == nil && e.Op != fsnotify.Chmod && matchesAny(patterns, filepath.ToSlash(name)) {
					file, due = name, time.After(settle)
				}
			case <-due:
				due, tell = nil, changed
			case tell <- file:
				tell = nil
			}
		}
	}()
	return changed
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		p = filepath.ToSlash(p)
		if !strings.Contains(p, "/") {
			p = "**/" + p // as in .gitignore
		}
		return matches(strings.Split(strings.TrimPrefix(p, "./"), "/"), strings.Split(name, "/"))
	})
}

// matches matches path elements; ** stands for any number of them.
func matches(pattern, name []string) bool {
	if len(pattern) == 0 {
		return len(name) == 0
	}
	if pattern[0] == "**" {
		return matches(pattern[1:], name) || len(name) > 0 && matches(pattern, name[1:])
	}
	if len(name) == 0 {
		return false
	}
	ok, err := path.Match(pattern[0], name[0])
	return ok && err == nil && matches(pattern[1:], name[1:])
}
