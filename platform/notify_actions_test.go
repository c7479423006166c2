//go:build linux

package platform

import (
	"errors"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// clickable is a server with buttons.
func clickable(t *testing.T, conn *dbus.Conn) *noteServer {
	t.Helper()
	return serveNotes(t, conn, &noteServer{can: []string{"body", "actions"}})
}

// clicked makes what is clicked come to a channel, as "note action".
func clicked(t *testing.T) chan string {
	t.Helper()
	ch := make(chan string, 10)
	OnNoteAction(func(note, action string) { ch <- note + " " + action })
	t.Cleanup(func() { OnNoteAction(nil) })
	return ch
}

func emit(t *testing.T, conn *dbus.Conn, name string, values ...any) {
	t.Helper()
	if err := conn.Emit(notifyPath, notifyName+"."+name, values...); err != nil {
		t.Fatal(err)
	}
}

func next(t *testing.T, ch <-chan string) string {
	t.Helper()
	select {
	case s := <-ch:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was clicked")
		return ""
	}
}

func TestButtons(t *testing.T) {
	conn := testBus(t)
	s := clickable(t, conn)
	got := clicked(t)
	buttons := []NoteAction{{"default", "Open"}, {"log", "Log"}}
	call := mustNotify(t, s, Note{ID: "share:a", Title: "x", Actions: buttons, Quiet: true})
	if call.urgency != 0 || call.actions != "default Open log Log" {
		t.Errorf("%+v", call)
	}
	mustNotify(t, s, Note{ID: "share:b", Title: "y", Actions: buttons})

	// Of other programs' notes, of what is no button of this one, of what makes no sense.
	emit(t, conn, "ActionInvoked", uint32(99), "log")
	emit(t, conn, "ActionInvoked", uint32(1), "reboot")
	emit(t, conn, "ActionInvoked", uint32(1))
	emit(t, conn, "ActionInvoked", "1", "log")
	emit(t, conn, "NotificationClosed")
	emit(t, conn, "ActivationToken", uint32(1), "token")
	emit(t, conn, "ActionInvoked", uint32(1), "log")
	if what := next(t, got); what != "share:a log" {
		t.Errorf("clicked %s", what)
	}
	emit(t, conn, "ActionInvoked", uint32(2), "default")
	if what := next(t, got); what != "share:b default" {
		t.Errorf("clicked %s", what)
	}

	// One that is closed is not replaced, and its clicks are nobody's.
	emit(t, conn, "NotificationClosed", uint32(1), uint32(2))
	emit(t, conn, "ActionInvoked", uint32(1), "log")
	emit(t, conn, "NotificationClosed", uint32(2)) // as some servers say it
	emit(t, conn, "ActionInvoked", uint32(2), "log")
	if call := mustNotify(t, s, Note{ID: "share:c", Title: "z", Actions: buttons}); call.replaces != 0 {
		t.Errorf("%+v", call)
	}
	emit(t, conn, "ActionInvoked", uint32(3), "log")
	if what := next(t, got); what != "share:c log" {
		t.Errorf("clicked %s", what)
	}
	if call := mustNotify(t, s, Note{ID: "share:a", Title: "x"}); call.replaces != 0 || call.actions != "" {
		t.Errorf("it replaces one that is closed: %+v", call)
	}

	// What somebody else says in the server's name is not heard.
	other, err := dbus.Connect(busAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	emit(t, other, "ActionInvoked", uint32(3), "log")
	emit(t, conn, "ActionInvoked", uint32(3), "default")
	if what := next(t, got); what != "share:c default" {
		t.Errorf("clicked %s", what)
	}
}

// TestASlowClick: whoever acts on a click keeps nobody waiting.
func TestASlowClick(t *testing.T) {
	conn := testBus(t)
	s := clickable(t, conn)
	begun, goOn := make(chan string, 100), make(chan struct{})
	OnNoteAction(func(note, action string) {
		begun <- note
		<-goOn
	})
	t.Cleanup(func() { OnNoteAction(nil) })
	mustNotify(t, s, Note{ID: "share:a", Title: "x", Actions: []NoteAction{{"log", "Log"}}})
	for range 50 {
		emit(t, conn, "ActionInvoked", uint32(1), "log")
	}
	next(t, begun)
	mustNotify(t, s, Note{ID: "share:b", Title: "y"}) // meanwhile
	close(goOn)
}

func TestAServerWithoutButtons(t *testing.T) {
	conn := testBus(t)
	s := serveNotes(t, conn, &noteServer{can: []string{"body"}})
	if call := mustNotify(t, s, Note{ID: "a", Title: "x", Actions: []NoteAction{{"log", "Log"}}, Urgent: true}); call.actions != "" || call.urgency != 2 {
		t.Errorf("%+v", call)
	}
}

// TestManyNotes: what is remembered of them is bounded.
func TestManyNotes(t *testing.T) {
	conn := testBus(t)
	s := clickable(t, conn)
	for n := range 3 * rememberIDs {
		mustNotify(t, s, Note{ID: string(rune('一' + n)), Title: "x", Actions: []NoteAction{{"log", "Log"}}})
	}
	shown := &theDesktop.shown
	shown.mu.Lock()
	defer shown.mu.Unlock()
	if len(shown.ids) > rememberIDs || len(shown.notes) > rememberIDs || len(shown.unknown) > maxUnknown {
		t.Errorf("%d, %d, %d are remembered", len(shown.ids), len(shown.notes), len(shown.unknown))
	}
}

// TestAServerThatRefuses: one note is lost, the next is shown.
func TestAServerThatRefuses(t *testing.T) {
	conn := testBus(t)
	s := clickable(t, conn)
	err := conn.ExportMethodTable(map[string]any{
		"GetCapabilities": s.GetCapabilities,
		"Notify": func(app string, replaces uint32, icon, title, body string, actions []string, hints map[string]dbus.Variant, timeout int32) (uint32, *dbus.Error) {
			if title == "refused" {
				return 0, dbus.MakeFailedError(errors.New("too many notes"))
			}
			return s.Notify(app, replaces, icon, title, body, actions, hints, timeout)
		},
	}, notifyPath, notifyName)
	if err != nil {
		t.Fatal(err)
	}
	if err := Notify(t.Context(), Note{ID: "a", Title: "refused"}); err == nil {
		t.Error("a note that is refused is no error")
	}
	if call := mustNotify(t, s, Note{ID: "a", Title: "shown"}); call.title != "shown" || call.replaces != 0 {
		t.Errorf("%+v", call)
	}
}

// TestAQuickClick: a click that is told of before the note's number is known.
func TestAQuickClick(t *testing.T) {
	conn := testBus(t)
	s := clickable(t, conn)
	got := clicked(t)
	mustNotify(t, s, Note{Title: "the server is known now"})
	many := func(number uint32) {
		for n := range uint32(2 * maxUnknown) { // of others
			emit(t, conn, "NotificationClosed", 1000+n, uint32(1))
		}
		emit(t, conn, "ActionInvoked", number, "log")
		emit(t, conn, "NotificationClosed", number, uint32(2))
	}
	s.before.Store(&many)
	mustNotify(t, s, Note{ID: "a", Title: "lost among many", Actions: []NoteAction{{"log", "Log"}}})
	quick := func(number uint32) {
		emit(t, conn, "ActionInvoked", number, "log")
		emit(t, conn, "NotificationClosed", number, uint32(2))
	}
	s.before.Store(&quick)
	mustNotify(t, s, Note{ID: "b", Title: "x", Actions: []NoteAction{{"log", "Log"}}})
	if what := next(t, got); what != "b log" {
		t.Errorf("clicked %s", what)
	}
	s.before.Store(nil)
	if call := mustNotify(t, s, Note{ID: "b", Title: "x"}); call.replaces != 0 {
		t.Errorf("it replaces one that is closed: %+v", call)
	}
}

func TestCloseNote(t *testing.T) {
	conn := testBus(t)
	if err := CloseNote(t.Context(), "a"); err != nil {
		t.Errorf("before any note: %v", err)
	}
	s := clickable(t, conn)
	mustNotify(t, s, Note{ID: "a", Title: "x"})
	mustNotify(t, s, Note{ID: "b", Title: "x"})
	for range 2 { // the second finds none
		if err := CloseNote(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
	}
	if number := <-s.closed; number != 2 || len(s.closed) > 0 {
		t.Errorf("closed %d, and %d more", number, len(s.closed))
	}
	if call := mustNotify(t, s, Note{ID: "b", Title: "x"}); call.replaces != 0 {
		t.Errorf("%+v", call)
	}

	s.refuse.Store(true)
	if err := CloseNote(t.Context(), "b"); err != nil {
		t.Errorf("a note that is gone already: %v", err)
	}

	// Another server has other notes.
	if _, err := conn.ReleaseName(notifyName); err != nil {
		t.Fatal(err)
	}
	other, err := dbus.Connect(busAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s2 := clickable(t, other)
	if err := CloseNote(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	mustNotify(t, s2, Note{ID: "c", Title: "x"})
	if len(s2.closed) > 0 {
		t.Error("another server's note was taken away")
	}
	_ = other.Close()
	if err := CloseNote(t.Context(), "c"); err != nil {
		t.Errorf("a server that has died: %v", err)
	}
}
