//go:build linux || freebsd || netbsd || openbsd

package platform

import (
	"context"
	"slices"

	"github.com/godbus/dbus/v5"
)

// TrayHost is the name on the session bus of what shows tray icons.
const TrayHost = "org.kde.StatusNotifierWatcher"

// OnBus reports whether something has that name on conn's bus, or is started when
// it is asked for.
func OnBus(conn *dbus.Conn, name string) bool {
	var owned bool
	var startable []string
	bus := conn.BusObject()
	_ = bus.Call("org.freedesktop.DBus.NameHasOwner", 0, name).Store(&owned) // false if not to be had
	_ = bus.Call("org.freedesktop.DBus.ListActivatableNames", 0).Store(&startable)
	return owned || slices.Contains(startable, name)
}

// FindDesktop looks what the desktop has; ok is false where it can't be known.
func FindDesktop(ctx context.Context) (d Desktop, ok bool) {
	life, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := SessionBus(life)
	if err != nil {
		return Desktop{Bus: err}, true
	}
	defer func() { _ = conn.Close() }() // nothing of it is needed any more
	return Desktop{TrayHost: OnBus(conn, TrayHost), Notifications: OnBus(conn, notifyName)}, true
}
