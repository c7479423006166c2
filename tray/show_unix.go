//go:build linux || freebsd || openbsd || netbsd

package tray

import (
	"context"
	"io"
	"log"
	"time"

	"fyne.io/systray"
	"github.com/godbus/dbus/v5"

	"sharetray/platform"
)

// busInterval is how often to look whether there is a session bus by now.
const busInterval = 2 * time.Second

// show draws on each session bus and tray host that comes, one after another.
//
// systray.Run would not do: it can be used once, and on quitting it panics if
// there was no bus. Its parts can be started again on a new bus.
func (l *loop) show(ctx context.Context) error {
	systray.SetTitle("Sharetray")
	l.screen = newItems(l.order, l.clicks)
	l.opened = systray.TrayOpenedCh
	l.lookAround()
	l.redraw(l.agent.List()) // so that the icon comes with its menu
	said := ""
	say := func(what string) {
		if what != said {
			l.opts.Log.Info(what)
			said = what
		}
	}
	for ctx.Err() == nil {
		if l.session(ctx, say) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(busInterval):
		}
	}
	return nil
}

// session lasts as long as the session bus that it finds, and the tray host there.
// It reports whether only the host has gone.
func (l *loop) session(ctx context.Context, say func(string)) (again bool) {
	conn, err := platform.SessionBus(ctx)
	if err != nil {
		say("no session bus: running without a tray icon until there is one")
		return false
	}
	defer func() { _ = conn.Close() }() // nothing of it is needed any more
	changes := make(chan *dbus.Signal, 64)
	conn.Signal(changes)
	if conn.AddMatchSignal(hostChanges...) != nil || !awaitHost(conn, changes, say) {
		return false
	}
	say("showing the tray icon")
	if l.shown { // what this host is to show was told to another one
		quietly(l.renew)
	}
	l.shown = true
	hosted, gone := context.WithCancel(conn.Context())
	defer gone()
	go watchHost(changes, gone)
	start, _ := systray.RunWithExternalLoop(nil, nil) // its end would allow no other start
	start()
	l.run(hosted, ctx)
	if !conn.Connected() && ctx.Err() == nil {
		return false // the bus has died, and took the icon along
	}
	takeDown()
	return true
}

// quietly keeps systray from complaining of a bus that is gone, which is known.
func quietly(do func()) {
	to := log.Writer()
	log.SetOutput(io.Discard)
	defer log.SetOutput(to)
	do()
}

// watchHost calls gone when the tray host that is there goes. The next one
// must get the menu from its beginning: systray tells the first of an icon's life
// about the items in two steps, since hosts drop what is under an item that they don't
// know yet. To one that comes later it says all at once, and its submenus stay empty.
func watchHost(changes <-chan *dbus.Signal, gone func()) {
	for s := range changes { // closed with the connection
		if len(s.Body) == 3 && s.Body[0] == platform.TrayHost && s.Body[1] != "" {
			gone()
		}
	}
}

// hostChanges are the signals that a tray host has come or gone.
var hostChanges = []dbus.MatchOption{
	dbus.WithMatchSender("org.freedesktop.DBus"),
	dbus.WithMatchInterface("org.freedesktop.DBus"),
	dbus.WithMatchMember("NameOwnerChanged"),
	dbus.WithMatchArg(0, platform.TrayHost),
}

// awaitHost returns when something shows tray icons on conn's bus, with false
// when conn ends before. systray itself would find a later host as well, but
// complain about its absence in its own words.
func awaitHost(conn *dbus.Conn, changes <-chan *dbus.Signal, say func(string)) bool {
	for !platform.OnBus(conn, platform.TrayHost) {
		say("no tray on this desktop: running without an icon until there is one")
		select {
		case <-changes:
		case <-conn.Context().Done():
			return false
		}
	}
	return conn.Connected()
}

// takeDown removes the icon by leaving the bus. systray's own Quit could never
// be followed by another start.
func takeDown() {
	if conn, err := dbus.SessionBus(); err == nil {
		_ = conn.Close() // gone is what was wanted
	}
}
