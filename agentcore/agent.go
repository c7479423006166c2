// Package agentcore is the agent: the set of shares, their supervisors and
// their events.
//
// It must not know who asks (the command line, the tray, a page) or how what it
// says is shown.
package agentcore

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sharetray/agentcore/failpoint"
	"sharetray/agentcore/link"
	"sharetray/agentcore/logfile"
	"sharetray/agentcore/mailbox"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/rundir"
	"sharetray/agentcore/share"
	"sharetray/agentcore/store"
	"sharetray/agentcore/succession"
	"sharetray/agentcore/supervise"
)

// Options are what Start needs besides places.
type Options struct {
	Version string
	Exe     string // this program: an agent is started from it in place of a dead one
	Image   string // what share processes are started from; "": Exe
	Log     *slog.Logger
	// Args make a program an agent like this one: share processes start one when
	// this one dies. None: they don't.
	Args []string
	// Revived is set when they have done so.
	Revived bool
	// Patience is how long another agent may take to give up its lock.
	Patience time.Duration
	// Claimed, if set, is called as soon as nobody else can become the agent any
	// more. An error ends the start.
	Claimed func() error
	// Upgrade, if set, is what this agent is part of.
	Upgrade *Upgrade
}

// image is what share processes are started from.
func (o Options) image() string { return cmp.Or(o.Image, o.Exe) }

// ShareProcessRole is the first argument that makes this program a share process.
const ShareProcessRole = "share-process"

// Agent supervises the shares of one user. Its state belongs to one goroutine,
// which runs what the methods send it; changes on disk are made one at a time.
type Agent struct {
	paths    Paths
	opt      Options
	settings store.Settings // those of its start: what its numbers are until its end
	live     atomic.Pointer[store.Settings]
	since    time.Time

	placeMu sync.Mutex
	place   *place // anew when it was removed
	store   *store.Store
	pool    *supervise.Pool
	mail    *mailbox.Box[func(*set)]
	scribe  *scribe
	crier   *crier

	launch    supervise.Launch
	left      atomic.Bool // its share processes are another agent's
	leaving   sync.Once
	orphan    link.Orphan
	survivors survivors
	strays    strays

	outdated  atomic.Bool
	upgrading sync.Mutex       // held while another agent proves itself
	heir      *succession.Heir // who takes over
	upgradeMu sync.Mutex
	upgrade   *Upgrade

	lastWords *os.File
	changing  sync.Mutex // held while the files of shares are changed or reread
	cancel    context.CancelFunc
	quit      chan struct{} // closed by Quit
	quitOnce  sync.Once
	ends      chan struct{} // closed when the end begins, whichever
	endsOnce  sync.Once
	done      chan struct{}
}

// Start takes the lock, so that there is one agent, and brings up the shares.
// The caller calls Release once the agent is Done.
// The error has code problem.Exists when another agent has the lock.
func Start(ctx context.Context, paths Paths, opt Options) (*Agent, error) {
	place, err := takePlace(paths, opt.Patience)
	if err != nil {
		return nil, err
	}
	_ = failpoint.Here("start.locked")
	if opt.Claimed != nil {
		if err := opt.Claimed(); err != nil {
			_ = place.release()
			return nil, err
		}
	}
	settings, err := store.LoadSettings(paths.Settings)
	if err != nil {
		opt.Log.Warn("the settings can't be used, the defaults are in force", "error", err)
	}
	shares, err := store.Open(paths.Shares)
	if err != nil {
		_ = place.release()
		return nil, err
	}
	cleanUp(paths, opt.Log)
	// What a share process says before it has a log of its own: its last words,
	// should it fail to come up.
	lastWords, err := os.OpenFile(paths.AgentLog, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		opt.Log.Warn("the last words of share processes will be lost", "error", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a := &Agent{
		paths: paths, opt: opt, settings: settings, since: time.Now(),
		place: place, store: shares, mail: mailbox.New[func(*set)](), cancel: cancel,
		quit: make(chan struct{}), ends: make(chan struct{}), done: make(chan struct{}), lastWords: lastWords,
		orphan: link.Orphan{Lease: settings.Lease}, upgrade: opt.Upgrade,
	}
	a.live.Store(&settings)
	if len(opt.Args) > 0 {
		a.orphan = link.Orphan{Lease: settings.Lease, Exe: opt.Exe, Args: append(slices.Clone(opt.Args), "--"+RevivedFlag),
			Lock: paths.Lock, Revive: paths.Revive}
	}
	a.launch = supervise.Launch{
		Exe: opt.image(), Role: ShareProcessRole, Links: paths.Links, Records: paths.Records, Authority: paths.Authority,
		Version: opt.Version, Stderr: lastWords, Left: &a.left,
		Taken: func() {
			a.left.Store(true) // at once: the process hangs up next, which is no death
			go a.Leave()
		},
	}
	_ = failpoint.Here("start.survey")
	a.survivors = survey(ctx, a.launch, opt.Log)
	_ = failpoint.Here("start.surveyed")
	a.pool = supervise.NewPool(ctx, a.launch, settings.Standby, opt.Log)
	a.scribe = newScribe(a)
	a.startCrier(ctx)
	go a.run()
	if err := a.reload(); err != nil {
		a.Quit()
		<-a.done
		a.Release()
		return nil, err
	}
	_ = failpoint.Here("start.loaded")
	go a.watch(ctx)
	go a.keepPlaces(ctx)
	go a.watchProgram(ctx)
	go a.countRevivals(ctx)
	return a, nil
}

// Done is closed when the agent has ended, and nothing of it runs any more.
func (a *Agent) Done() <-chan struct{} { return a.done }

// Quitting is closed when the agent begins to end, or to leave.
func (a *Agent) Quitting() <-chan struct{} { return a.ends }

// Settings returns the settings as they are now. Numbers that have changed since
// the agent's start are in force with the next one.
func (a *Agent) Settings() store.Settings { return *a.live.Load() }

// Info says which agent this is.
func (a *Agent) Info() Info {
	a.upgradeMu.Lock()
	defer a.upgradeMu.Unlock()
	var up *Upgrade
	if a.upgrade != nil {
		now := *a.upgrade
		up = &now
	}
	return Info{Upgrade: up, Outdated: a.outdated.Load(), Version: a.opt.Version, Profile: a.paths.Profile, PID: os.Getpid(), Since: a.since,
		Config: filepath.Dir(a.paths.Shares), State: a.paths.State}
}

// Quit begins the orderly end: all shares are stopped, then the agent ends. What
// was shared is shared again by the next agent.
func (a *Agent) Quit() {
	a.endsOnce.Do(func() { close(a.ends) })
	a.quitOnce.Do(func() { close(a.quit) })
}

// watch rereads the files when somebody else changes them.
func (a *Agent) watch(ctx context.Context) {
	changes, err := a.store.Watch(ctx)
	if err != nil {
		a.opt.Log.Error("edits of share files are not seen before the next start", "error", err)
		return
	}
	for range changes {
		if err := a.reload(); err != nil {
			a.opt.Log.Error("the share files can't be read", "error", err)
		}
	}
}

// reload reads the files and brings the supervisors in line with them.
func (a *Agent) reload() error {
	a.changing.Lock()
	defer a.changing.Unlock()
	return a.reloadLocked()
}

func (a *Agent) reloadLocked() error {
	entries, err := a.store.Load()
	if err != nil {
		return err
	}
	taken := map[uint16]bool{}
	for _, e := range entries {
		taken[e.Share.Port] = true
	}
	for i, e := range entries {
		if e.Err != nil || e.Share.Port != 0 {
			continue
		}
		// Written by hand, without a port: it gets one for life.
		port, err := freePort(a.paths.Profile, e.Share, taken)
		if err == nil {
			taken[port] = true
			entries[i].Share, err = a.store.Update(e.Share.Name, map[string]string{"port": strconv.Itoa(int(port))})
		}
		entries[i].Err = err
	}
	a.do(func(s *set) { s.reconcile(entries) })
	return nil
}

// do runs f on the agent's goroutine and waits for it. After the agent's end it
// does nothing.
func (a *Agent) do(f func(*set)) {
	ran := make(chan struct{})
	a.mail.Put(func(s *set) {
		f(s)
		close(ran)
	})
	select {
	case <-ran:
	case <-a.done:
	}
}

// run is the agent's goroutine.
func (a *Agent) run() {
	s := &set{agent: a, members: map[string]*member{}}
	defer close(a.done)
	quit := a.quit
	for !s.ended() {
		select {
		case <-a.mail.Ready():
			for _, f := range a.mail.Take() {
				f(s)
			}
		case <-quit:
			quit = nil
			s.stopAll()
		}
	}
	_ = failpoint.Here("end.stopped")
	a.cancel()
	a.strays.end(s.left)
	<-a.pool.Done()
	s.closeSubscribers()
	a.scribe.end()
	a.lastWords.Close()
	if !s.left {
		cleanUp(a.paths, a.opt.Log)
	}
}

// cleanUp removes what interrupted writes have left: of agents that died, and of
// share processes.
func cleanUp(paths Paths, log *slog.Logger) {
	for _, dir := range []string{paths.Records, paths.History} {
		if err := store.CleanUp(dir); err != nil {
			log.Warn("what an interrupted write has left remains", "error", err)
		}
	}
}

// Release gives the agent's place back. It is the last thing that an agent does,
// after its control socket is closed: the next agent begins with a new one. One
// that ends for good leaves nothing there.
func (a *Agent) Release() {
	_ = failpoint.Here("end.release")
	a.placeMu.Lock()
	defer a.placeMu.Unlock()
	if !a.left.Load() {
		a.place.clear(a.paths)
	}
	if err := a.place.release(); err != nil {
		a.opt.Log.Warn("the lock could not be given back", "error", err)
	}
	if !a.left.Load() {
		rundir.RemoveEmpty(filepath.Dir(a.paths.Lock))
	}
}

// logOf says where a share's process logs.
func (a *Agent) logOf(sh share.Share) link.Log {
	return link.Log{Path: a.logPath(sh.Name.String()), MaxBytes: a.settings.Logs.MaxBytes, Keep: a.settings.Logs.Keep}
}

func (a *Agent) logPath(name string) string { return filepath.Join(a.paths.Logs, name, logfile.Name) }

// List returns the status of every share, by name.
func (a *Agent) List() []Status {
	list := []Status{}
	a.do(func(s *set) { list = s.list() })
	return list
}

// Get returns the status of one share.
func (a *Agent) Get(name string) (Status, error) {
	var status Status
	err := error(noSuchShare(name))
	a.do(func(s *set) {
		if m := s.find(name); m != nil {
			status, err = m.status(), nil
		}
	})
	return status, err
}

// Look is Get with who has visited the share.
func (a *Agent) Look(ctx context.Context, name string) (Status, error) {
	var visitors []link.Visitor
	if sup := a.supervisorOf(name); sup != nil {
		visitors = sup.Visitors(ctx)
	}
	st, err := a.Get(name)
	st.Visitors = visitors
	return st, err
}

// LogPath returns the path of a share's newest log file.
func (a *Agent) LogPath(name string) (string, error) {
	status, err := a.Get(name)
	return a.logPath(status.Name), err
}

// Subscribe returns the shares as they are, and from then on each event. The
// channel is closed when the agent ends or the reader is too slow; cancel ends
// it too.
func (a *Agent) Subscribe() (now []Status, events <-chan Event, cancel func()) {
	ch := make(chan Event, 256)
	subscribed := false
	a.do(func(s *set) {
		now, subscribed = s.list(), true
		s.subscribers = append(s.subscribers, ch)
	})
	if !subscribed {
		close(ch)
	}
	return now, ch, func() { a.do(func(s *set) { s.unsubscribe(ch) }) }
}

func noSuchShare(name string) *problem.Problem {
	return problem.New(problem.NotFound, "there is no share named %q: see them with sharetray list", name)
}

// errStillBusy is what a caller gets whose patience ends before the share is up.
func errStillBusy(name string, st supervise.State, err error) error {
	_, _, reason := st.View()
	if reason != "" {
		reason = ": " + reason
	}
	return problem.New(problem.Conflict, "the share %s is not ready yet%s; see sharetray logs %s (%w)", name, reason, name, err)
}

// canceled reports whether err is a caller's own end of patience.
func canceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
