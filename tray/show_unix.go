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
		l.session(ctx, say)
		select {
		case <-ctx.Done():
		case <-time.After(busInterval):
		}
	}
	return nil
}

// session lasts as long as the session bus that it finds.
func (l *loop) session(ctx context.Context, say func(string)) {
	conn, err := platform.SessionBus(ctx)
	if err != nil {
		say("no session bus: running without a tray icon until there is one")
		return
	}
	defer func() { _ = conn.Close() }() // nothing of it is needed any more
	if !awaitHost(conn, say) {
		return
	}
	say("showing the tray icon")
	if l.shown { // what this host is to show was told to another one
		quietly(l.renew)
	}
	l.shown = true
	start, _ := systray.RunWithExternalLoop(nil, nil) // its end would allow no other start
	start()
	go l.watchHosts(conn)
	l.run(conn.Context(), ctx)
	if ctx.Err() != nil {
		takeDown()
	}
}

// quietly keeps systray from complaining of a bus that is gone, which is known.
func quietly(do func()) {
	to := log.Writer()
	log.SetOutput(io.Discard)
	defer log.SetOutput(to)
	do()
}

// renewed has the menu made anew before the next thing is drawn.
func (l *loop) renewed() {
	select {
	case l.hosts <- struct{}{}:
	default: // it will be
	}
}

// watchHosts has the menu made anew for each host that takes the place of another,
// until conn ends.
func (l *loop) watchHosts(conn *dbus.Conn) {
	if conn.AddMatchSignal(hostChanges...) != nil {
		return
	}
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	for s := range signals { // closed with conn
		if len(s.Body) == 3 && s.Body[0] == platform.TrayHost && s.Body[2] != "" {
			l.renewed()
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
func awaitHost(conn *dbus.Conn, say func(string)) bool {
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)
	if conn.AddMatchSignal(hostChanges...) != nil {
		return false
	}
	defer func() { _ = conn.RemoveMatchSignal(hostChanges...) }() // fails only with the connection
	for !platform.OnBus(conn, platform.TrayHost) {
		say("no tray on this desktop: running without an icon until there is one")
		select {
		case <-signals:
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
