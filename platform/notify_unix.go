//go:build linux || freebsd || netbsd || openbsd

package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gen2brain/beeep"
	"github.com/godbus/dbus/v5"
)

const (
	notifyName  = "org.freedesktop.Notifications"
	notifyPath  = "/org/freedesktop/Notifications"
	rememberIDs = 1000
)

// SessionBus opens a connection of the caller's own to the session bus. It
// never starts a bus. The connection closes when ctx ends. Nobody shares it, so
// that nobody is disturbed by signals meant for another.
func SessionBus(ctx context.Context) (*dbus.Conn, error) {
	conn, err := dbus.SessionBusPrivateNoAutoStartup(dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("connect to the session bus: %w", err)
	}
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		_ = conn.Close() // err says why already
		return nil, fmt.Errorf("greet the session bus: %w", err)
	}
	return conn, nil
}

// desktop speaks to the notification server. Its connection is kept: some
// desktops take a program's notifications away when it leaves the bus.
type desktop struct {
	mu     sync.Mutex
	conn   *dbus.Conn
	cancel context.CancelFunc
	server string            // unique name of the server that ids and markup belong to
	markup bool              // the server reads the body as markup
	ids    map[string]uint32 // by Note.ID
}

var theDesktop desktop

func notify(ctx context.Context, n Note) error {
	err := theDesktop.notify(ctx, n)
	var busErr dbus.Error
	if !errors.As(err, &busErr) || busErr.Name != "org.freedesktop.DBus.Error.ServiceUnknown" {
		return err
	}
	// There is a bus but no notification server: beeep knows other programs to
	// ask. Not without a bus: it would start one.
	beeep.AppName = "Sharetray"
	if beeep.Notify(printable(n.Title, false), printable(n.Body, true), n.Icon) != nil {
		return fmt.Errorf("this desktop has no notification service: %w", err)
	}
	return nil
}

func (d *desktop) notify(ctx context.Context, n Note) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.connect(ctx); err != nil {
		return err
	}
	if err := d.meet(ctx); err != nil {
		return err
	}
	urgency := byte(1)
	if n.Urgent {
		urgency = 2
	}
	body := printable(n.Body, true)
	if d.markup {
		body = markupEscaper.Replace(body)
	}
	var id uint32
	err := d.conn.Object(notifyName, notifyPath).CallWithContext(ctx, notifyName+".Notify", 0,
		"Sharetray", d.ids[n.ID], n.Icon, printable(n.Title, false), body, []string{},
		map[string]dbus.Variant{
			"urgency":       dbus.MakeVariant(urgency),
			"desktop-entry": dbus.MakeVariant("sharetray"),
		}, int32(-1)).Store(&id)
	if err != nil {
		return fmt.Errorf("ask the notification server: %w", err)
	}
	if n.ID != "" {
		if len(d.ids) >= rememberIDs {
			clear(d.ids)
		}
		d.ids[n.ID] = id
	}
	return nil
}

var markupEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// connect makes sure that there is a live connection. ctx bounds only the
// making of it.
func (d *desktop) connect(ctx context.Context) error {
	if d.conn != nil && d.conn.Connected() {
		return nil
	}
	d.disconnect()
	life, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	conn, err := SessionBus(life)
	if !stop() && err == nil { // ctx ended just now and took the connection along
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		return err
	}
	d.conn, d.cancel = conn, cancel
	return nil
}

func (d *desktop) disconnect() {
	if d.conn != nil {
		d.cancel()
		_ = d.conn.Close() // closed twice at worst
	}
	d.conn, d.server, d.ids = nil, "", map[string]uint32{}
}

// meet asks a server that is not yet known what it can do, and forgets the ids
// of the one before: they may be another program's by now.
func (d *desktop) meet(ctx context.Context) error {
	if owner := d.owner(ctx); owner != "" && owner == d.server {
		return nil
	}
	clear(d.ids)
	var can []string
	err := d.conn.Object(notifyName, notifyPath).CallWithContext(ctx, notifyName+".GetCapabilities", 0).Store(&can)
	if err != nil {
		return fmt.Errorf("ask the notification server what it can do: %w", err)
	}
	d.markup = slices.Contains(can, "body-markup")
	d.server = d.owner(ctx)
	return nil
}

func (d *desktop) owner(ctx context.Context) (name string) {
	err := d.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, notifyName).Store(&name)
	if err != nil {
		return "" // nobody yet
	}
	return name
}
