// Package tray shows the agent in the system tray: an icon that tells the worst
// state, and a menu with the shares and what can be done to them.
//
// What the menu says is a pure function of the agent's state (Model). The
// binding to the system keeps a fixed pool of items and changes only what
// differs. The package must not know how shares are run.
package tray

import (
	"context"
	"log/slog"
	"runtime"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/notice"
	"sharetray/agentcore/problem"
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
	// Info tells about the agent itself.
	Info() agentcore.Info
	// Upgrade has an agent of the program that is installed now take over, if exe
	// is "". It returns once that is certain.
	Upgrade(exe string) (agentcore.Upgrade, error)
	// Quit has the agent stop all shares and end. It need not wait for that.
	Quit()
}

var _ Agent = (*agentcore.Agent)(nil)

// Options are what Run can be told. The zero value will do.
type Options struct {
	Version string       // of the agent, shown in the tooltip
	Icon    string       // path of a PNG for notifications
	Log     *slog.Logger // slog.Default() when nil

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
	return newLoop(agent, o).show(ctx)
}

// screen is the system's tray.
type screen interface {
	draw([]change)
	icon(assets.State)
	tooltip(string)
}

// loop owns what is drawn. Its fields belong to the goroutine in run.
type loop struct {
	agent  Agent
	opts   Options
	screen screen
	order  []poolItem
	clicks chan slot // from the screen; never waited on by it

	faces   map[slot]face // as drawn
	icon    assets.State
	tooltip string
	about   agentcore.Info
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
	}
}

// run draws and serves clicks until ctx ends. Actions under way then are ended
// by life, which may go on over several screens.
func (l *loop) run(ctx, life context.Context) {
	now, events, cancel := l.agent.Subscribe()
	defer func() { cancel() }()
	l.redraw(now)
	last := time.Now()
	look := time.NewTicker(agentLook)
	defer look.Stop()
	var next, again <-chan time.Time // nil: nothing is planned
	for {
		select {
		case <-ctx.Done():
			return
		case _, open := <-events:
			if !open {
				cancel()
				events, again = nil, time.After(resubscribe)
			}
			if next == nil {
				next = time.After(drawInterval - time.Since(last))
			}
		case <-again:
			again = nil
			now, events, cancel = l.agent.Subscribe()
			l.redraw(now)
		case <-next:
			next, last = nil, time.Now()
			l.redraw(l.agent.List())
		case <-look.C:
			if l.agent.Info().Outdated != l.about.Outdated && next == nil {
				next = time.After(drawInterval - time.Since(last))
			}
		case at := <-l.clicks:
			l.click(life, at)
		case a := <-l.done:
			delete(l.busy, a)
		}
	}
}

func (l *loop) redraw(shares []agentcore.Status) {
	l.about = l.agent.Info()
	m := Model(shares, State{Version: l.opts.Version, Profile: l.about.Profile, Outdated: l.about.Outdated})
	faces := arrange(m, runtime.GOOS)
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
	var failure string // what to say of the share
	switch a.Kind {
	case Open:
		failure, err = "could not be opened", l.opts.openURL(ctx, a.Link)
	case CopyLink:
		err = l.opts.copy(ctx, a.Link)
	case Restart:
		failure = "could not be restarted"
		_, err = l.agent.Restart(ctx, a.Share)
	case Pause:
		failure = "could not be paused"
		_, err = l.agent.Stop(ctx, a.Share)
	case Resume:
		failure = "could not be resumed"
		_, err = l.agent.Start(ctx, a.Share)
	case Remove:
		failure, err = "could not be removed", l.agent.Remove(ctx, a.Share)
	case Update:
		failure = "could not be updated"
		_, err = l.agent.Upgrade("")
	case Quit:
		l.agent.Quit()
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	l.opts.Log.Warn("tray action failed", "action", string(a.Kind), "share", a.Share, "err", err)
	n := platform.Note{
		ID: "share:" + a.Share, Icon: l.opts.Icon,
		Title: notice.Name(a.Share) + " " + failure, Body: problem.Sentence(err),
	}
	if a.Share == "" {
		n.ID, n.Title = agentNote, "Sharetray "+failure
	}
	if a.Kind == CopyLink { // so that the user gets it all the same
		n.Title, n.Body = "The link of "+notice.Name(a.Share), a.Link+"\n"+problem.Sentence(err)
	}
	if err := l.opts.notify(ctx, n); err != nil {
		l.opts.Log.Warn("notification not shown", "err", err)
	}
}
