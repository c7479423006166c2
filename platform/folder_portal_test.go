//go:build linux

package platform

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
)

// slowPortal answers with a request, which its user has not yet answered.
type slowPortal struct {
	t       *testing.T
	conn    *dbus.Conn
	version any
	own     dbus.ObjectPath // the request's path, if not the one that was asked for
	asked   chan []any      // how OpenFile was called
	closed  chan dbus.ObjectPath
	request dbus.ObjectPath
}

func servePortal(t *testing.T, p *slowPortal) *slowPortal {
	t.Helper()
	p.t, p.asked, p.closed = t, make(chan []any, 10), make(chan dbus.ObjectPath, 10)
	conn, err := dbus.Connect(os.Getenv("DBUS_SESSION_BUS_ADDRESS")) // its own: it may die
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p.conn = conn
	for iface, methods := range map[string]map[string]any{
		fileChooser: {"OpenFile": p.openFile},
		"org.freedesktop.DBus.Properties": {"Get": func(string, string) (dbus.Variant, *dbus.Error) {
			return dbus.MakeVariant(p.version), nil
		}},
	} {
		if err := conn.ExportMethodTable(methods, portalPath, iface); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.RequestName(portalName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *slowPortal) openFile(m dbus.Message, sender dbus.Sender, parent, title string, options map[string]dbus.Variant) (dbus.ObjectPath, *dbus.Error) {
	p.request = p.own
	if p.own == "" {
		token, _ := options["handle_token"].Value().(string)
		p.request = dbus.ObjectPath(portalPath + "/request/" + strings.ReplaceAll(string(sender)[1:], ".", "_") + "/" + token)
	}
	request := p.request
	err := p.conn.ExportMethodTable(map[string]any{"Close": func() *dbus.Error { p.closed <- request; return nil }}, request, portalRequest)
	if err != nil {
		p.t.Error(err)
	}
	p.asked <- []any{m.Headers[dbus.FieldSignature].Value(), parent, title, options}
	return request, nil
}

// respond answers a request as if its user did.
func (p *slowPortal) respond(path dbus.ObjectPath, code uint32, uri string) {
	err := p.conn.Emit(path, portalRequest+".Response", code, map[string]dbus.Variant{"uris": dbus.MakeVariant([]string{uri})})
	if err != nil {
		p.t.Error(err)
	}
}

type chosen struct {
	path string
	err  error
}

func choose(ctx context.Context, title string) chan chosen {
	done := make(chan chosen, 1)
	go func() {
		path, err := ChooseFolder(ctx, title)
		done <- chosen{path, err}
	}()
	return done
}

func TestPortalRequest(t *testing.T) {
	testBus(t)
	p := servePortal(t, &slowPortal{version: uint32(4)})
	done := choose(t.Context(), "Share\na folder")
	call := <-p.asked
	options := call[3].(map[string]dbus.Variant)
	if signature := call[0].(dbus.Signature); signature.String() != "ssa{sv}" || call[1] != "" || call[2] != "Share a folder" ||
		options["directory"].Value() != true || options["multiple"].Value() != nil {
		t.Errorf("asked %v", call)
	}
	// Another request's answer, and one from a stranger, are not this one's.
	p.respond(p.request+"x", 0, "file:///another")
	stranger, err := dbus.Connect(os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	_ = stranger.Emit(p.request, portalRequest+".Response", uint32(0), map[string]dbus.Variant{"uris": dbus.MakeVariant([]string{"file:///stranger"})})
	var owned bool // an answer to this comes after what the stranger said
	if err := stranger.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, portalName).Store(&owned); err != nil {
		t.Fatal(err)
	}
	p.respond(p.request, 0, "file:///a%20b/100%25%23")
	if got := <-done; got != (chosen{"/a b/100%#", nil}) {
		t.Errorf("%+v", got)
	}

	_ = p.conn.Close()
	p = servePortal(t, &slowPortal{version: uint32(4), own: "/org/freedesktop/portal/desktop/request/of_an_old_portal"})
	done = choose(t.Context(), "x")
	<-p.asked
	p.respond(p.own, 1, "")
	if got := <-done; got.err != ErrCanceled {
		t.Errorf("%+v", got)
	}
}

// TestPortalThatIsLeft: its window is taken away.
func TestPortalThatIsLeft(t *testing.T) {
	testBus(t)
	p := servePortal(t, &slowPortal{version: uint32(3)})
	ctx, cancel := context.WithCancel(t.Context())
	done := choose(ctx, "x")
	<-p.asked
	cancel()
	if got := <-done; !errors.Is(got.err, context.Canceled) {
		t.Errorf("%+v", got)
	}
	if path := <-p.closed; path != p.request {
		t.Errorf("closed %s, not %s", path, p.request)
	}
}

// TestPortalThatIsNoUse: the next chooser is asked.
func TestPortalThatIsNoUse(t *testing.T) {
	testBus(t)
	chooserProgram(t, "zenity", "echo /by/zenity")
	for _, version := range []any{uint32(2), "3", uint32(0)} {
		p := servePortal(t, &slowPortal{version: version})
		if got := <-choose(t.Context(), "x"); got != (chosen{"/by/zenity", nil}) || len(p.asked) > 0 {
			t.Errorf("version %v: %+v", version, got)
		}
		_ = p.conn.Close()
	}
	p := servePortal(t, &slowPortal{version: uint32(3)})
	done := choose(t.Context(), "x")
	<-p.asked
	_ = p.conn.Close() // it dies with its window open
	if got := <-done; got != (chosen{"/by/zenity", nil}) {
		t.Errorf("a portal that dies: %+v", got)
	}
	p = servePortal(t, &slowPortal{version: uint32(3)})
	if err := p.conn.Export(nil, portalPath, fileChooser); err != nil { // as without a backend
		t.Fatal(err)
	}
	if got := <-choose(t.Context(), "x"); got != (chosen{"/by/zenity", nil}) {
		t.Errorf("a portal without a chooser: %+v", got)
	}
}

// TestChooserEndsWithWhatItStarted: a wrapper's child goes too.
func TestChooserEndsWithWhatItStarted(t *testing.T) {
	testBus(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// The child holds the writing end; reading ends when all who hold it are gone.
	chooserProgram(t, "kdialog", "exec 3>"+fifo+"; /bin/sleep 1000 & echo up >&3; wait")
	ctx, cancel := context.WithCancel(t.Context())
	done := choose(ctx, "x")
	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if got := <-done; !errors.Is(got.err, context.Canceled) {
		t.Errorf("%+v", got)
	}
	if n, err := f.Read(make([]byte, 3)); n != 0 || err == nil {
		t.Errorf("read %d, %v", n, err)
	}
}
