//go:build linux

package platform

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// testBus starts a bus with no services that it could start, and makes it this
// process's session bus.
func testBus(t *testing.T) *dbus.Conn {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("dbus-daemon is not installed (Debian package dbus-daemon)")
		}
		t.Skip("dbus-daemon is not installed (Debian package dbus-daemon)")
	}
	dir, err := os.MkdirTemp("", "bus") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address := "unix:path=" + filepath.Join(dir, "bus")
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, []byte(`<busconfig><type>session</type><listen>`+address+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--print-address=1")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("dbus-daemon did not start: %v", err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	t.Setenv("PATH", dir) // no notify-send, no kdialog
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		theDesktop.mu.Lock()
		defer theDesktop.mu.Unlock()
		theDesktop.disconnect()
	})
	return conn
}

// busAddress is that of the bus of testBus.
func busAddress(t *testing.T) string {
	t.Helper()
	return os.Getenv("DBUS_SESSION_BUS_ADDRESS")
}

// noteServer is a notification server that keeps what it is asked.
type noteServer struct {
	can   []string
	hang  chan struct{} // when set, Notify waits until it is closed
	last  atomic.Uint32
	calls chan noteCall
	// before, when set, is called before Notify says the number of a new note.
	before atomic.Pointer[func(number uint32)]
	closed chan uint32 // what CloseNotification was asked
	refuse atomic.Bool // by CloseNotification
}

type noteCall struct {
	replaces          uint32
	icon, title, body string
	urgency           byte
	actions           string // with spaces between
}

func (s *noteServer) GetCapabilities() ([]string, *dbus.Error) { return s.can, nil }

func (s *noteServer) Notify(_ string, replaces uint32, icon, title, body string, actions []string, hints map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	if s.hang != nil {
		<-s.hang
	}
	s.calls <- noteCall{replaces, icon, title, body, hints["urgency"].Value().(byte), strings.Join(actions, " ")}
	if replaces != 0 {
		return replaces, nil
	}
	number := s.last.Add(1)
	if before := s.before.Load(); before != nil {
		(*before)(number)
	}
	return number, nil
}

func (s *noteServer) CloseNotification(number uint32) *dbus.Error {
	if s.refuse.Load() {
		return dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", nil)
	}
	s.closed <- number
	return nil
}

func serveNotes(t *testing.T, conn *dbus.Conn, s *noteServer) *noteServer {
	t.Helper()
	s.calls, s.closed = make(chan noteCall, 100), make(chan uint32, 100)
	err := conn.ExportMethodTable(map[string]any{
		"GetCapabilities": s.GetCapabilities, "Notify": s.Notify, "CloseNotification": s.CloseNotification,
	}, notifyPath, notifyName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(notifyName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return s
}

func mustNotify(t *testing.T, s *noteServer, n Note) noteCall {
	t.Helper()
	if err := Notify(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return <-s.calls
}

func TestNotify(t *testing.T) {
	conn := testBus(t)
	s := serveNotes(t, conn, &noteServer{can: []string{"body", "body-markup"}})

	got := mustNotify(t, s, Note{ID: "a", Title: "<b> crashed", Body: "<i>$(reboot) & \"]]>\x1b\nit is up", Icon: "/i.png"})
	if want := (noteCall{0, "/i.png", "<b> crashed", "&lt;i&gt;$(reboot) &amp; \"]]&gt;\nit is up", 1, ""}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := mustNotify(t, s, Note{ID: "b", Title: "other", Urgent: true}); got.replaces != 0 || got.urgency != 2 {
		t.Errorf("another note: %+v", got)
	}
	if got := mustNotify(t, s, Note{ID: "a", Title: "again"}); got.replaces != 1 {
		t.Errorf("the same ID again: %+v", got)
	}
	if got := mustNotify(t, s, Note{Title: "no ID"}); got.replaces != 0 {
		t.Errorf("no ID: %+v", got)
	}

	// Another server comes: the old numbers are not ours there, and it reads no markup.
	if _, err := conn.ReleaseName(notifyName); err != nil {
		t.Fatal(err)
	}
	other, err := dbus.Connect(os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	s = serveNotes(t, other, &noteServer{can: []string{"body"}})
	if got := mustNotify(t, s, Note{ID: "a", Title: "again", Body: "<b>"}); got.replaces != 0 || got.body != "<b>" {
		t.Errorf("a new server: %+v", got)
	}
}

func TestNotifyAServerThatHangs(t *testing.T) {
	conn := testBus(t)
	s := serveNotes(t, conn, &noteServer{hang: make(chan struct{})})
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := Notify(ctx, Note{Title: "x"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		cancel()
	}
	close(s.hang)
	mustNotify(t, s, Note{Title: "y"}) // there is room again
}

func TestNotifyWithoutAServer(t *testing.T) {
	testBus(t)
	if err := Notify(t.Context(), Note{Title: "x"}); err == nil {
		t.Error("a note that nobody shows is no error")
	}
}

func TestNotifyWithoutABus(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
	if err := Notify(t.Context(), Note{Title: "x"}); err == nil {
		t.Error("a note without a bus is no error")
	}
}
