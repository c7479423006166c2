// Package tray shows the agent in the system tray: an icon that tells the worst
// state, and a menu with the shares and what can be done to them.
//
// What the menu says is a pure function of the agent's state (Model). The
// binding to the system keeps a fixed pool of items and changes only what
// differs. The package must not know how shares are run.
package tray

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/notice"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/share"
	"sharetray/agentcore/words"
	"sharetray/assets"
	"sharetray/platform"
)

// Agent is what the tray needs of the agent. *agentcore.Agent is one.
type Agent interface {
	// List tells how all shares are now, in the order in which people should
	// see them.
	List() []agentcore.Status
	// Subscribe returns what happens from now on, until cancel is called. The
	// channel is closed then, and may be closed when its reader falls behind.
	Subscribe() (now []agentcore.Status, events <-chan agentcore.Event, cancel func())

	Start(ctx context.Context, name string) (agentcore.Status, error)
	Stop(ctx context.Context, name string) (agentcore.Status, error)
	Restart(ctx context.Context, name string) (agentcore.Status, error)
	Remove(ctx context.Context, name string) error
	// Add declares a new share and waits until it is up.
	Add(context.Context, agentcore.NewShare) (agentcore.Status, error)
	// Info tells about the agent itself.
	Info() agentcore.Info
	// Upgrade has an agent of the program that is installed now take over, if exe
	// is "". It returns once that is certain.
	Upgrade(exe string) (agentcore.Upgrade, error)
	// Quit has the agent stop all shares and end. It need not wait for that.
	Quit()
}

var _ Agent = (*agentcore.Agent)(nil)

// Options are what Run can be told. The zero value will do: what is nil is not
// offered.
type Options struct {
	Version  string                 // of the agent, shown in the tooltip
	Icon     string                 // path of a PNG for notifications
	Log      *slog.Logger           // slog.Default() when nil
	Language func() *words.Language // of the menu, asked each time that it is drawn

	// Dashboard opens the page at path in the browser.
	Dashboard func(ctx context.Context, path string) error
	// ChooseFolder has the user choose a folder. Its error is platform.ErrCanceled
	// when none was chosen; at another one the dashboard's form is opened.
	ChooseFolder func(ctx context.Context, title string) (string, error)
	// Ports are those at which something listens that could be shared.
	Ports func(context.Context) ([]Port, error)

	Autostart        func() (on bool, err error) // at login
	SetAutostart     func(on bool) error
	Notifications    func() bool
	SetNotifications func(on bool) error

	openURL func(context.Context, string) error
	copy    func(context.Context, string) error
	notify  func(context.Context, platform.Note) error
}

const (
	// drawInterval keeps the menu to five changes a second.
	drawInterval = 200 * time.Millisecond
	// settleTime is for how long clicks on a slot count for nothing after it
	// began to show another share: they were aimed at the one before.
	settleTime = time.Second
	// actionLimit is how many actions may be under way at once.
	actionLimit = 16
	// resubscribe is how long to wait before asking an agent again that has
	// closed its channel of events.
	resubscribe = time.Second
	// agentLook is how often the agent is asked for what it sends no events of.
	agentLook = 5 * time.Second
	// portsLook is how long who listens may have been asked ago.
	portsLook = time.Minute
	// portsTime is how long it may take to find out who listens.
	portsTime = 3 * time.Second
	// addTime is how long a new share may take to be up.
	addTime = time.Minute
)

// Run shows the tray until ctx ends, then returns nil. It must be called on the
// main goroutine. A desktop without a tray, or no desktop at all, is no error:
// the icon appears when there is a place for it. It is an error where this
// program was built without a tray.
func Run(ctx context.Context, agent Agent, o Options) error {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.openURL == nil {
		o.openURL = platform.OpenURL
	}
	if o.copy == nil {
		o.copy = platform.Copy
	}
	if o.notify == nil {
		o.notify = platform.Notify
	}
	if o.Language == nil {
		o.Language = words.English
	}
	return newLoop(agent, o).show(ctx)
}

// screen is the system's tray.
type screen interface {
	draw([]change)
	renew(order []poolItem, clicks chan<- slot) // all hidden, for a host that knows nothing yet
	icon(assets.State)
	tooltip(string)
}

// loop owns what is drawn. Its fields belong to the goroutine in run.
type loop struct {
	agent  Agent
	opts   Options
	screen screen
	order  []poolItem
	clicks chan slot       // from the screen; never waited on by it
	opened <-chan struct{} // somebody looks at the menu
	shown  bool            // some host has had the menu

	faces   map[slot]face // as drawn
	icon    assets.State
	tooltip string
	about   agentcore.Info
	beside  State // what the menu shows beside the shares
	ports   chan []Port
	asked   time.Time          // when for ports
	turned  map[slot]time.Time // when a slot began to show another share
	busy    map[Action]bool
	done    chan Action
}

func newLoop(agent Agent, o Options) *loop {
	return &loop{
		agent: agent, opts: o, order: pool(),
		clicks: make(chan slot, 16),
		faces:  map[slot]face{}, turned: map[slot]time.Time{},
		busy: map[Action]bool{}, done: make(chan Action, actionLimit),
		ports: make(chan []Port, 1),
	}
}

// run draws and serves clicks until ctx ends. Actions under way then are ended
// by life, which may go on over several screens.
func (l *loop) run(ctx, life context.Context) {
	now, events, cancel := l.agent.Subscribe()
	defer func() { cancel() }()
	l.lookAround()
	l.lookForPorts(ctx)
	l.redraw(now)
	last := time.Now()
	look := time.NewTicker(agentLook)
	defer look.Stop()
	var next, again <-chan time.Time // nil: nothing is planned
	soon := func() {
		if next == nil {
			next = time.After(drawInterval - time.Since(last))
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-events:
			if !open {
				cancel()
				events, again = nil, time.After(resubscribe)
			}
			soon()
		case <-again:
			again = nil
			now, events, cancel = l.agent.Subscribe()
			l.redraw(now)
		case <-next:
			next, last = nil, time.Now()
			l.redraw(l.agent.List())
		case <-look.C:
			if time.Since(l.asked) > portsLook { // not all systems tell when the menu is opened
				l.lookForPorts(ctx)
			}
			if l.lookAround() {
				soon()
			}
		case <-l.opened:
			l.lookForPorts(ctx)
			if l.lookAround() {
				soon()
			}
		case found := <-l.ports:
			if !slices.Equal(found, l.beside.Listening) {
				l.beside.Listening = found
				soon()
			}
		case at := <-l.clicks:
			l.click(life, at)
		case a := <-l.done:
			delete(l.busy, a)
			l.lookAround()
			soon()
		}
	}
}

// lookAround finds out what the menu shows beside the shares, and reports whether
// it has changed.
func (l *loop) lookAround() (changed bool) {
	l.about = l.agent.Info()
	s := l.beside
	s.Version, s.Profile, s.Outdated = l.opts.Version, l.about.Profile, l.about.Outdated
	s.Words = l.opts.Language()
	s.Dashboard, s.Folders, s.Ports = l.opts.Dashboard != nil, l.opts.ChooseFolder != nil, l.opts.Ports != nil
	if l.opts.Autostart != nil && l.opts.SetAutostart != nil {
		on, err := l.opts.Autostart()
		s.CanAutostart, s.Autostart = err == nil, on
	}
	if l.opts.Notifications != nil && l.opts.SetNotifications != nil {
		s.CanNotifications, s.NotificationsOn = true, l.opts.Notifications()
	}
	changed = !reflect.DeepEqual(s, l.beside)
	l.beside = s
	return changed
}

// lookForPorts asks who listens, which may take a while.
func (l *loop) lookForPorts(ctx context.Context) {
	if l.opts.Ports == nil {
		return
	}
	l.asked = time.Now()
	go func() {
		ctx, cancel := context.WithTimeout(ctx, portsTime)
		defer cancel()
		found, err := l.opts.Ports(ctx)
		if err != nil {
			return // the menu goes without
		}
		select {
		case l.ports <- found:
		default: // another answer is on its way
		}
	}()
}

// renew draws all of it for a host that knows nothing yet.
func (l *loop) renew() {
	l.screen.renew(l.order, l.clicks)
	l.faces = map[slot]face{}
	l.redraw(l.agent.List())
}

func (l *loop) redraw(shares []agentcore.Status) {
	if l.beside.Quitting && Transfers(shares) == 0 {
		l.agent.Quit()
	}
	m := Model(shares, l.beside)
	faces := arrange(m, l.beside.Words, runtime.GOOS)
	for at, f := range faces {
		if was := l.faces[at].action.Share; was != "" && was != f.action.Share {
			l.turned[at] = time.Now()
		}
	}
	// The menu comes last: who sees it changed finds the icon changed too.
	if m.Tooltip != l.tooltip {
		l.screen.tooltip(m.Tooltip)
		l.tooltip = m.Tooltip
	}
	if m.Icon != l.icon {
		l.screen.icon(m.Icon)
		l.icon = m.Icon
	}
	changes := diff(l.order, l.faces, faces)
	if len(changes) > 0 {
		l.screen.draw(changes)
	}
	// What is not drawn, because it is hidden with its parent, stays as it is.
	for at, f := range l.faces {
		if _, shown := faces[at]; !shown && f.visible && hiddenWithParent(at, faces) {
			faces[at] = f
		}
	}
	l.faces = faces
}

// click does what the item that was clicked stands for, without waiting for it.
// What is still under way is not begun again.
func (l *loop) click(life context.Context, at slot) {
	f := l.faces[at]
	a := f.action
	if !f.visible || !f.enabled || a.Kind == NoAction || l.busy[a] || len(l.busy) >= actionLimit {
		return
	}
	if time.Since(l.turned[at]) < settleTime {
		return
	}
	if a.Kind == QuitIdle || a.Kind == Stay {
		l.beside.Quitting = a.Kind == QuitIdle
		l.redraw(l.agent.List())
		return
	}
	l.busy[a] = true
	go func() {
		l.act(life, a)
		l.done <- a // never blocks: at most actionLimit are under way
	}()
}

// agentNote is the ID of notifications about the agent itself.
const agentNote = "agent"

func (l *loop) act(ctx context.Context, a Action) {
	var err error
	failure := map[Kind]string{ // what to say when it could not be done
		Open: "tray.cant_open", Restart: "tray.cant_restart", Pause: "tray.cant_pause", Resume: "tray.cant_resume", Remove: "tray.cant_remove",
		Update: "tray.cant_update", Page: "tray.cant_page", ShareFolder: "tray.cant_share", SharePort: "tray.cant_share",
		Autostart: "tray.cant_set", Notifications: "tray.cant_set", CopyLink: "tray.link_of",
	}[a.Kind]
	what := notice.Name(a.Share)
	switch a.Kind {
	case Open:
		err = l.opts.openURL(ctx, a.Link)
	case CopyLink:
		err = l.opts.copy(ctx, a.Link)
	case Restart:
		_, err = l.agent.Restart(ctx, a.Share)
	case Pause:
		_, err = l.agent.Stop(ctx, a.Share)
	case Resume:
		_, err = l.agent.Start(ctx, a.Share)
	case Remove:
		err = l.agent.Remove(ctx, a.Share)
	case Page:
		err = l.opts.Dashboard(ctx, a.Link)
	case ShareFolder:
		what, err = l.shareFolder(ctx)
	case SharePort:
		what = a.Link
		err = l.share(ctx, agentcore.NewShare{Kind: string(share.Proxy), Target: a.Link})
	case Autostart:
		err = l.opts.SetAutostart(a.On)
	case Notifications:
		err = l.opts.SetNotifications(a.On)
	case Update:
		_, err = l.agent.Upgrade("")
	case Quit:
		l.agent.Quit()
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	l.opts.Log.Warn("tray action failed", "action", string(a.Kind), "share", a.Share, "error", err)
	text := l.opts.Language()
	n := platform.Note{ID: agentNote, Icon: l.opts.Icon, Title: text.Say(failure, what), Body: notice.Sentence(text, problem.Sentence(err))}
	if a.Share != "" {
		n.ID = notice.ID(a.Share)
	}
	if a.Kind == CopyLink { // so that the user gets it all the same
		n.Body = a.Link + "\n" + n.Body
	}
	l.tell(ctx, n)
}

func (l *loop) tell(ctx context.Context, n platform.Note) {
	n.Icon = l.opts.Icon
	if err := l.opts.notify(ctx, n); err != nil {
		l.opts.Log.Warn("notification not shown", "error", err)
	}
}

// shareFolder shares a folder that the user chooses. Where the desktop has nothing
// to choose with, the dashboard's form asks for it.
func (l *loop) shareFolder(ctx context.Context) (dir string, err error) {
	dir, err = l.opts.ChooseFolder(ctx, l.opts.Language().Say("page.choose_title"))
	switch {
	case errors.Is(err, platform.ErrCanceled):
		return "", nil
	case err != nil && l.opts.Dashboard != nil:
		l.opts.Log.Info("no folder chooser, the dashboard asks", "error", err)
		return "", l.opts.Dashboard(ctx, "/add/web")
	case err != nil:
		return "", problem.New(problem.Unsupported, "%s", l.opts.Language().Say("tray.no_chooser"))
	}
	return notice.Name(dir), l.share(ctx, agentcore.NewShare{Kind: string(share.Web), Target: dir})
}

// share shares something new, and puts its link where people paste it from.
func (l *loop) share(ctx context.Context, n agentcore.NewShare) error {
	ctx, cancel := context.WithTimeout(ctx, addTime)
	defer cancel()
	st, err := l.agent.Add(ctx, n)
	if err != nil {
		return err
	}
	text := l.opts.Language()
	note := platform.Note{ID: notice.ID(st.Name), Title: text.Say("tray.shared", notice.Name(st.Name))}
	if len(st.URLs) > 0 {
		note.Body = st.URLs[0]
		if l.opts.copy(ctx, st.URLs[0]) == nil {
			note.Body = text.Say("tray.copied", st.URLs[0])
		}
	}
	l.tell(ctx, note)
	return nil
}
