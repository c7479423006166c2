//go:build unix && !darwin

package platform

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	portalName    = "org.freedesktop.portal.Desktop"
	portalPath    = "/org/freedesktop/portal/desktop"
	fileChooser   = "org.freedesktop.portal.FileChooser"
	portalRequest = "org.freedesktop.portal.Request"
)

// portalPatience is how long a portal may take to begin, its start included.
const portalPatience = 10 * time.Second

// errNotThere is of a way to choose that this system does not have.
var errNotThere = errors.New("not there")

// chooseFolder asks the desktop's portal, which shows the desktop's own window
// and works out of a sandbox too, then the programs that desktops bring along.
func chooseFolder(ctx context.Context, title string) (string, error) {
	failed := ErrNoChooser
	for _, choose := range []func(context.Context, string) (string, error){portalFolder, zenityFolder, kdialogFolder} {
		path, err := choose(ctx, title)
		if err == nil || errors.Is(err, ErrCanceled) || ctx.Err() != nil {
			return path, err
		}
		if !errors.Is(err, errNotThere) {
			failed = fmt.Errorf("%w: %w", failed, err)
		}
	}
	return "", failed
}

// portalFolder is OpenFile of org.freedesktop.portal.FileChooser: the call
// answers with a request, and the request tells of the choice.
func portalFolder(ctx context.Context, title string) (string, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the request is closed when ctx has ended
	defer cancel()
	begin, cancelBegin := context.WithTimeout(ctx, portalPatience)
	defer cancelBegin()
	stop := context.AfterFunc(begin, cancel) // connecting has no deadline of its own
	conn, err := SessionBus(life)
	if !stop() || err != nil {
		return "", errNotThere
	}
	defer func() { _ = conn.Close() }() // nothing of it is needed any more
	portal := conn.Object(portalName, portalPath)

	var version dbus.Variant
	err = portal.CallWithContext(begin, "org.freedesktop.DBus.Properties.Get", 0, fileChooser, "version").Store(&version)
	if err != nil {
		return "", errNotThere // no portal, or none that chooses files
	}
	if v, ok := version.Value().(uint32); !ok || v < 3 {
		return "", fmt.Errorf("the portal can't choose folders: its version is %v, not 3", version.Value())
	}
	var owner string
	if err := conn.BusObject().CallWithContext(begin, "org.freedesktop.DBus.GetNameOwner", 0, portalName).Store(&owner); err != nil {
		return "", fmt.Errorf("find the portal: %w", err)
	}

	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(owner), dbus.WithMatchInterface(portalRequest), dbus.WithMatchMember("Response")},
		{dbus.WithMatchSender("org.freedesktop.DBus"), dbus.WithMatchInterface("org.freedesktop.DBus"),
			dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, owner)},
	} {
		if err := conn.AddMatchSignalContext(begin, match...); err != nil {
			return "", fmt.Errorf("listen to the portal: %w", err)
		}
	}
	token := "sharetray_" + strings.ToLower(rand.Text())
	request := dbus.ObjectPath(portalPath + "/request/" + strings.ReplaceAll(strings.TrimPrefix(conn.Names()[0], ":"), ".", "_") + "/" + token)
	closeRequest := func() {
		ctx, cancel := context.WithTimeout(life, time.Second)
		defer cancel()
		_ = conn.Object(owner, request).CallWithContext(ctx, portalRequest+".Close", dbus.FlagNoAutoStart).Err // it may be gone
	}
	err = portal.CallWithContext(begin, fileChooser+".OpenFile", 0, "", title, map[string]dbus.Variant{
		"handle_token": dbus.MakeVariant(token),
		"directory":    dbus.MakeVariant(true),
		"modal":        dbus.MakeVariant(false),
	}).Store(&request)
	if err != nil {
		closeRequest()
		return "", fmt.Errorf("ask the portal: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			closeRequest()
			return "", ctx.Err()
		case s, ok := <-signals:
			switch {
			case !ok:
				return "", fmt.Errorf("wait for the portal: %w", dbus.ErrClosed)
			case s.Name == "org.freedesktop.DBus.NameOwnerChanged" && s.Sender == "org.freedesktop.DBus":
				return "", errors.New("the portal has ended")
			case s.Name == portalRequest+".Response" && s.Sender == owner && s.Path == request:
				return portalAnswer(s.Body)
			}
		}
	}
}

func portalAnswer(body []any) (string, error) {
	var code uint32
	var results map[string]dbus.Variant
	if err := dbus.Store(body, &code, &results); err != nil {
		return "", fmt.Errorf("read the portal's answer: %w", err)
	}
	switch code {
	case 0:
	case 1:
		return "", ErrCanceled
	default:
		return "", fmt.Errorf("the portal's window ended without an answer (%d)", code)
	}
	uris, _ := results["uris"].Value().([]string)
	if len(uris) != 1 {
		return "", fmt.Errorf("the portal gave %d folders, not one", len(uris))
	}
	u, err := url.Parse(uris[0])
	if err != nil || u.Scheme != "file" || u.Host != "" && u.Host != "localhost" {
		return "", fmt.Errorf("the portal gave %q, which is no folder of this computer", uris[0])
	}
	return u.Path, nil
}

func zenityFolder(ctx context.Context, title string) (string, error) {
	return folderOf(ctx, "zenity", "--file-selection", "--directory", "--title="+title)
}

func kdialogFolder(ctx context.Context, title string) (string, error) {
	return folderOf(ctx, "kdialog", "--title="+title, "--getexistingdirectory")
}

// folderOf runs a program that prints the folder, and exits with 1 when there is
// none.
func folderOf(ctx context.Context, name string, args ...string) (string, error) {
	program, err := exec.LookPath(name)
	if err != nil || os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
		return "", errNotThere
	}
	path, complaints, code, err := runChooser(ctx, program, args...)
	switch {
	case err != nil:
		return "", err
	case code == 0 && path != "":
		return path, nil
	case code == 1 && !strings.Contains(strings.ToLower(complaints), "open display"): // it can't: 1 as well
		return "", ErrCanceled
	}
	return "", chooserFailed(name, complaints, code)
}
