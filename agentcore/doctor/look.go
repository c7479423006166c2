package doctor

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/adopt"
	"sharetray/agentcore/history"
	"sharetray/agentcore/record"
	"sharetray/agentcore/rundir"
	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

// settleTime is after how long what looks wrong is looked at once more: an agent
// may be about to clear it up, or to make use of it.
const (
	settleTime = 500 * time.Millisecond
	maxLooks   = 8 // while there is a process that may be coming up, or that was not so the last time
)

// Look looks at all that is judged, and changes nothing. noRuntime is the error
// with which paths were found. Close has to be called on what it returns.
func Look(ctx context.Context, paths agentcore.Paths, noRuntime error, agent Agent, version string) Facts {
	f := Facts{Version: version, Agent: agent, NoRuntime: noRuntime, Ports: map[string]error{}, Unwritable: map[string]error{}}
	if noRuntime == nil {
		f.RuntimeDir = filepath.Dir(paths.Control)
		if asked := os.Getenv("XDG_RUNTIME_DIR"); asked != "" && !strings.HasPrefix(f.RuntimeDir, filepath.Clean(asked)+string(filepath.Separator)) {
			f.AskedFor = asked
		}
	}
	_, f.NoSettings = store.LoadSettings(paths.Settings)
	f.Shares, f.NoShares = store.Read(paths.Shares)
	f.look(ctx, paths)
	f.folders(paths)
	if !agent.Runs && !agent.Lives {
		f.ports()
	}
	f.Desktop, f.DesktopSeen = platform.FindDesktop(ctx)
	return f
}

// Close leaves the processes alone that were found.
func (f Facts) Close() { closeAll(f.Processes) }

func closeAll(ps []Process) {
	for _, p := range ps {
		if p.Found != nil {
			p.Found.Forget()
		}
	}
}

// look looks for processes and leftovers. If there is anything worth a word it
// looks again: what was not so a moment ago is not judged.
func (f *Facts) look(ctx context.Context, paths agentcore.Paths) {
	if runtime.GOOS == "windows" {
		return // no share process runs there yet
	}
	f.Things, f.Processes = f.things(paths), survey(ctx, paths, f.Version)
	for looks := 1; looks < 2 && !f.isQuiet() || looks < maxLooks && (f.isComingUp() || f.isChanging()); looks++ {
		select {
		case <-time.After(settleTime):
		case <-ctx.Done():
			return
		}
		closeAll(f.Processes)
		things, processes := f.Things, f.Processes
		f.Things, f.Processes = f.things(paths), survey(ctx, paths, f.Version)
		f.Things = slices.DeleteFunc(f.Things, func(t Thing) bool {
			return !slices.ContainsFunc(things, func(u Thing) bool { return t.Path == u.Path && t.Kind == u.Kind && t.Odd == u.Odd })
		})
		for i := range f.Processes {
			p := &f.Processes[i]
			p.Fresh = !slices.ContainsFunc(processes, func(q Process) bool {
				return p.Link == q.Link && p.Answer == q.Answer && p.Duty == q.Duty && p.Alone == q.Alone && p.Lives == q.Lives
			})
		}
	}
}

// isQuiet reports whether there is nothing to be said of processes and leftovers.
func (f *Facts) isQuiet() bool {
	return !slices.ContainsFunc(Judge(*f), func(g Finding) bool {
		return g.State != OK && (g.Check == CheckLeftovers || g.Check == CheckProcesses)
	})
}

// isComingUp reports whether there is a process that the agent may just have
// started: it does not know yet who it is.
func (f *Facts) isComingUp() bool {
	return f.Agent.Runs && slices.ContainsFunc(f.Processes, func(p Process) bool {
		return p.Answer == adopt.Newer || p.Answer == adopt.Silent && !p.Recorded
	})
}

// isChanging reports whether there is a process of which there would be something
// to say, had it been so the last time, or that is about to notice that its agent
// is dead.
func (f *Facts) isChanging() bool {
	agentless := !f.Agent.Runs && !f.Agent.Lives
	return slices.ContainsFunc(f.Processes, func(p Process) bool {
		return p.Fresh && (p.Answer != adopt.Ours || p.Alone) ||
			agentless && p.Answer == adopt.Ours && !p.Alone
	})
}

// runtimeTypes is what an agent has in its runtime folder.
var runtimeTypes = map[string]fs.FileMode{
	rundir.Control: fs.ModeSocket, rundir.Lock: 0, rundir.Revive: 0, rundir.Links: fs.ModeDir,
}

// things are those in the agent's folders that are worth a word.
func (f *Facts) things(paths agentcore.Paths) []Thing {
	l := &lister{}
	if f.NoRuntime == nil {
		l.list(f.RuntimeDir, func(name string) (Kind, fs.FileMode) {
			if want, known := runtimeTypes[name]; known {
				return Runtime, want
			}
			if rundir.IsHash(name) && paths.Profile == "" {
				return "", 0 // another profile's
			}
			return Unknown, 0
		})
		l.list(paths.Links, func(string) (Kind, fs.FileMode) { return Sock, fs.ModeSocket })
	}
	l.list(paths.Shares, func(name string) (Kind, fs.FileMode) {
		if store.IsTemporary(name) {
			return Temporary, 0
		}
		return "", 0 // whatever its user keeps beside shares
	})
	l.list(paths.Records, func(name string) (Kind, fs.FileMode) {
		if record.IsName(name) {
			return Record, 0
		}
		return temporary(name), 0
	})
	l.list(paths.History, func(name string) (Kind, fs.FileMode) {
		if _, ok := history.ShareOf(name); ok {
			return History, 0
		}
		return temporary(name), 0
	})
	l.list(paths.Logs, func(name string) (Kind, fs.FileMode) {
		if _, err := share.ParseName(name); err != nil {
			return Unknown, 0
		}
		return Logs, fs.ModeDir
	})
	return l.things
}

func temporary(name string) Kind {
	if store.IsTemporary(name) {
		return Temporary
	}
	return Unknown
}

type lister struct{ things []Thing }

// list adds what is in dir, as far as what says of a name which kind it is, and
// which type of file that has.
func (l *lister) list(dir string, what func(name string) (Kind, fs.FileMode)) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // there is none, or none that this user may see: see CheckFolders
	}
	for _, e := range entries {
		t := Thing{Path: filepath.Join(dir, e.Name())}
		var want fs.FileMode
		if t.Kind, want = what(e.Name()); t.Kind == "" {
			continue
		}
		info, err := os.Lstat(t.Path)
		if err != nil {
			continue // gone meanwhile
		}
		t.Age = time.Since(info.ModTime())
		if t.Kind != Unknown {
			t.Odd = oddity(info, want)
		}
		switch t.Kind {
		case Record:
			_, err := record.Read(t.Path)
			t.Newer = errors.Is(err, record.ErrNewer)
		case History:
			t.Share, _ = history.ShareOf(e.Name())
		case Logs:
			t.Share = e.Name()
		}
		l.things = append(l.things, t)
	}
}

// oddity says why a file is not this user's own one of a type.
func oddity(info fs.FileInfo, want fs.FileMode) string {
	switch is := info.Mode().Type(); {
	case is&fs.ModeSymlink != 0:
		return "is a link to elsewhere"
	case is != want:
		return "is " + typeName(is) + ", not " + typeName(want)
	case !platform.IsOwn(info):
		return "is not this user's alone"
	}
	return ""
}

func typeName(t fs.FileMode) string {
	switch t {
	case 0:
		return "a file"
	case fs.ModeDir:
		return "a folder"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a special file"
}

// isOdd reports whether there is something at path that is not this user's own.
func isOdd(path string, want fs.FileMode) bool {
	info, err := os.Lstat(path)
	return err == nil && oddity(info, want) != ""
}

// survey asks the share processes that there may be.
func survey(ctx context.Context, paths agentcore.Paths, version string) []Process {
	l := supervise.Launch{Links: paths.Links, Records: paths.Records, Version: version, Taken: func() {}, Left: new(atomic.Bool)}
	touch := func(link, rec string) bool {
		return !isOdd(link, fs.ModeSocket) && !isOdd(link+platform.LifeSuffix, fs.ModeSocket) && !isOdd(rec, 0)
	}
	var all []Process
	for _, c := range adopt.SurveyOf(ctx, l, slog.New(slog.DiscardHandler), touch) {
		p := Process{Candidate: c}
		for _, path := range traces(c) {
			if _, err := os.Lstat(path); err == nil {
				p.Left = append(p.Left, path)
			}
		}
		rec, err := record.Read(c.Record)
		if c.Found != nil {
			p.PID, p.Alone = c.Found.PID(), c.Found.Role.Alone
		} else if err == nil {
			p.PID = rec.PID
			p.Lives = c.Answer == adopt.Nobody && runs(rec)
		}
		if errors.Is(err, record.ErrNewer) && c.Answer == adopt.Nobody || len(p.Left) == 0 {
			continue // told of already, or gone meanwhile
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Process) int { return strings.Compare(a.Link, b.Link) })
	return all
}

// traces are the paths of what a share process has on disk.
func traces(c adopt.Candidate) []string {
	return []string{c.Link, c.Link + platform.LifeSuffix, c.Record}
}

// runs reports whether the process that a record names still runs.
func runs(r record.Record) bool {
	started, err := platform.ProcessStart(r.PID)
	return err == nil && started == r.Started
}

// folders looks where something is to be written.
func (f *Facts) folders(paths agentcore.Paths) {
	dirs := []string{paths.Shares, paths.Logs, paths.Records, paths.History, paths.State}
	if f.NoRuntime == nil {
		dirs = append(dirs, f.RuntimeDir)
	}
	seen := map[uint64]bool{}
	for _, dir := range dirs {
		for !isThereAt(dir) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir) // it will be made there
		}
		if err := platform.CanWrite(dir); err != nil {
			f.Unwritable[dir] = cause(err)
		}
		if free, err := platform.DiskFree(dir); err == nil && !seen[free] {
			seen[free] = true
			f.Disks = append(f.Disks, Disk{dir, free})
		}
	}
}

func isThereAt(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// cause is an error without what was being done.
func cause(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// ports tries those of shares that nobody serves.
func (f *Facts) ports() {
	for _, e := range f.Shares {
		serves := func(p Process) bool { return isThere(p) && p.Share == e.Name }
		if e.Err == nil && !e.Share.Paused && e.Share.Port != 0 && !slices.ContainsFunc(f.Processes, serves) {
			f.Ports[e.Name] = supervise.TryBind(e.Share.Kind, supervise.Addresses(e.Share))
		}
	}
}
