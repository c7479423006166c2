//go:build linux

package platform

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// chooserProgram is a program of that name which only pretends to show a window.
func chooserProgram(t *testing.T, name, script string) {
	t.Helper()
	dir := os.Getenv("PATH") // of testBus: a folder of the test's own
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DISPLAY", ":99")
}

func TestChooseByProgram(t *testing.T) {
	testBus(t)
	if _, err := ChooseFolder(t.Context(), "x"); !errors.Is(err, ErrNoChooser) {
		t.Errorf("with nothing: %v", err)
	}
	for script, want := range map[string]struct {
		path string
		err  error
	}{
		`[ "$1 $2 $3" = "--file-selection --directory --title=The folder; \$(reboot)" ] && echo '/srv/My Pictures'`: {"/srv/My Pictures", nil},
		`exit 1`: {"", ErrCanceled},
		`echo "cannot open display: :99" >&2; exit 1`: {"", ErrNoChooser},
		`exit 5`:        {"", ErrNoChooser},
		`echo relative`: {"", nil},
	} {
		chooserProgram(t, "zenity", script)
		path, err := ChooseFolder(t.Context(), "The folder; $(reboot)")
		if path != want.path || want.err != nil && !errors.Is(err, want.err) || want.path == "" && err == nil {
			t.Errorf("%s: %q, %v", script, path, err)
		}
	}
	chooserProgram(t, "zenity", "exit 5")
	chooserProgram(t, "kdialog", "echo /by/kdialog")
	if path, err := ChooseFolder(t.Context(), "x"); path != "/by/kdialog" || err != nil {
		t.Errorf("%q, %v", path, err)
	}
}

// TestChooserThatIsLeft: its window is taken away.
func TestChooserThatIsLeft(t *testing.T) {
	testBus(t)
	mark := filepath.Join(t.TempDir(), "pid")
	chooserProgram(t, "zenity", "echo $$ > "+mark+".new; /bin/mv "+mark+".new "+mark+"; exec /bin/sleep 1000")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(mark); err == nil {
				return
			}
		}
	}()
	if _, err := ChooseFolder(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// portal is one that answers with what it was given.
type portal struct {
	conn    *dbus.Conn
	answers chan portalReply // of the next calls
	options chan map[string]dbus.Variant
}

type portalReply struct {
	code uint32
	uris []string
}

func (p *portal) OpenFile(sender dbus.Sender, _, title string, options map[string]dbus.Variant) (dbus.ObjectPath, *dbus.Error) {
	p.options <- options
	name := []byte(string(sender)[1:])
	for i := range name {
		if name[i] == '.' {
			name[i] = '_'
		}
	}
	path := dbus.ObjectPath(portalPath + "/request/" + string(name) + "/" + options["handle_token"].Value().(string))
	answer := <-p.answers
	_ = p.conn.Emit(path, portalRequest+".Response", answer.code, map[string]dbus.Variant{"uris": dbus.MakeVariant(answer.uris)}) // the test sees it missing
	return path, nil
}

func (p *portal) Get(string, string) (dbus.Variant, *dbus.Error) {
	return dbus.MakeVariant(uint32(3)), nil
}

func TestChooseByPortal(t *testing.T) {
	conn := testBus(t)
	p := &portal{conn: conn, answers: make(chan portalReply, 1), options: make(chan map[string]dbus.Variant, 10)}
	if err := conn.ExportMethodTable(map[string]any{"OpenFile": p.OpenFile}, portalPath, fileChooser); err != nil {
		t.Fatal(err)
	}
	if err := conn.ExportMethodTable(map[string]any{"Get": p.Get}, portalPath, "org.freedesktop.DBus.Properties"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(portalName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	p.answers <- portalReply{0, []string{"file:///srv/My%20Pictures%20%28caf%C3%A9%29"}}
	if path, err := ChooseFolder(t.Context(), "x"); path != "/srv/My Pictures (café)" || err != nil {
		t.Errorf("%q, %v", path, err)
	}
	if o := <-p.options; o["directory"].Value() != true {
		t.Errorf("%v", o)
	}
	p.answers <- portalReply{1, nil}
	if _, err := ChooseFolder(t.Context(), "x"); !errors.Is(err, ErrCanceled) {
		t.Errorf("%v", err)
	}
	p.answers <- portalReply{0, []string{"smb://elsewhere/x"}}
	if _, err := ChooseFolder(t.Context(), "x"); !errors.Is(err, ErrNoChooser) {
		t.Errorf("%v", err)
	}
	p.answers <- portalReply{2, nil}
	chooserProgram(t, "zenity", "echo /by/zenity")
	if path, err := ChooseFolder(t.Context(), "x"); path != "/by/zenity" || err != nil {
		t.Errorf("%q, %v", path, err)
	}
}
