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
func SessionBus(ctx context.Context, options ...dbus.ConnOption) (*dbus.Conn, error) {
	conn, err := dbus.SessionBusPrivateNoAutoStartup(append(options, dbus.WithContext(ctx))...)
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
	mu      sync.Mutex // held while the server is asked
	conn    *dbus.Conn
	cancel  context.CancelFunc
	markup  bool // the server reads the body as markup
	buttons bool // the server shows actions
	shown   shownNotes
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
	switch {
	case n.Urgent:
		urgency = 2
	case n.Quiet:
		urgency = 0
	}
	body := printable(n.Body, true)
	if d.markup {
		body = markupEscaper.Replace(body)
	}
	actions := []string{} // each with its label
	if d.buttons {
		for _, a := range n.Actions {
			actions = append(actions, printable(a.ID, false), printable(a.Label, false))
		}
	}
	var id uint32
	replaces := d.shown.ask(n.ID)
	err := d.conn.Object(notifyName, notifyPath).CallWithContext(ctx, notifyName+".Notify", 0,
		"Sharetray", replaces, n.Icon, printable(n.Title, false), body, actions,
		map[string]dbus.Variant{
			"urgency":       dbus.MakeVariant(urgency),
			"desktop-entry": dbus.MakeVariant("sharetray"),
		}, int32(-1)).Store(&id)
	d.shown.answer(n, id)
	if err != nil {
		return fmt.Errorf("ask the notification server: %w", err)
	}
	return nil
}

func closeNote(ctx context.Context, id string) error {
	d := &theDesktop
	d.mu.Lock()
	defer d.mu.Unlock()
	server, number := d.shown.forget(id)
	if number == 0 || !d.conn.Connected() {
		return nil // with the server, or our connection, its notes have gone
	}
	// Its unique name: another server's note of that number is another's.
	err := d.conn.Object(server, notifyPath).CallWithContext(ctx, notifyName+".CloseNotification", dbus.FlagNoAutoStart, number).Err
	if busErr := (dbus.Error{}); errors.As(err, &busErr) {
		return nil // it has no such note any more, or is gone itself
	}
	return err
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
	conn, err := SessionBus(life, dbus.WithSignalHandler(&d.shown))
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
	d.conn = nil
	d.shown.meet("")
}

// meet asks a server that is not yet known what it can do, and forgets the notes
// of the one before: their numbers may be another program's by now.
func (d *desktop) meet(ctx context.Context) error {
	known := d.shown.by()
	if owner := d.owner(ctx); owner != "" && owner == known {
		return nil
	}
	d.shown.meet("")
	if known != "" {
		_ = d.conn.RemoveMatchSignalContext(ctx, signalsOf(known)...) // at worst it is heard in vain
	}
	var can []string
	err := d.conn.Object(notifyName, notifyPath).CallWithContext(ctx, notifyName+".GetCapabilities", 0).Store(&can)
	if err != nil {
		return fmt.Errorf("ask the notification server what it can do: %w", err)
	}
	d.markup, d.buttons = slices.Contains(can, "body-markup"), slices.Contains(can, "actions")
	owner := d.owner(ctx)
	if owner == "" {
		return nil // gone already: the next note meets the next one
	}
	if err := d.conn.AddMatchSignalContext(ctx, signalsOf(owner)...); err != nil {
		return fmt.Errorf("listen to the notification server: %w", err)
	}
	d.shown.meet(owner)
	return nil
}

func signalsOf(server string) []dbus.MatchOption {
	return []dbus.MatchOption{dbus.WithMatchSender(server), dbus.WithMatchObjectPath(notifyPath), dbus.WithMatchInterface(notifyName)}
}

func (d *desktop) owner(ctx context.Context) (name string) {
	err := d.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, notifyName).Store(&name)
	if err != nil {
		return "" // nobody yet
	}
	return name
}

// shownNotes are the notes that the server has of ours. It is told of signals by
// the connection's own reader, which must not be kept waiting: the lock is never
// held over a call.
type shownNotes struct {
	mu      sync.Mutex
	server  string               // unique name of whom the numbers belong to
	ids     map[string]uint32    // by Note.ID
	notes   map[uint32]shownNote // by the server's number
	asking  bool                 // a note is being shown whose number is not known yet
	unknown []*dbus.Signal       // heard meanwhile of numbers not known
}

type shownNote struct {
	id      string
	actions []NoteAction
}

// maxUnknown is how many signals are kept until a note's number is known. Those
// of other programs' notes are among them.
const maxUnknown = 32

func (s *shownNotes) by() (server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// meet begins anew with a server.
func (s *shownNotes) meet(server string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.server, s.ids, s.notes = server, map[string]uint32{}, map[uint32]shownNote{}
}

// ask returns which number a note is to replace, 0 for none.
func (s *shownNotes) ask(id string) (replaces uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = true
	return s.ids[id]
}

// answer keeps the number that the server gave a note; 0 when it gave none.
func (s *shownNotes) answer(n Note, number uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number != 0 && s.server != "" && (n.ID != "" || len(n.Actions) > 0) {
		if len(s.notes) >= rememberIDs {
			clear(s.ids)
			clear(s.notes)
		}
		if n.ID != "" {
			delete(s.notes, s.ids[n.ID])
			s.ids[n.ID] = number
		}
		s.notes[number] = shownNote{n.ID, slices.Clone(n.Actions)}
	}
	unknown := s.unknown
	s.asking, s.unknown = false, nil
	for _, signal := range unknown {
		s.hear(signal)
	}
}

// forget returns the number of the note with that ID, and whose it is.
func (s *shownNotes) forget(id string) (server string, number uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number = s.ids[id]
	delete(s.ids, id)
	delete(s.notes, number)
	return s.server, number
}

// DeliverSignal is how the connection's reader tells of a signal.
func (s *shownNotes) DeliverSignal(_, _ string, signal *dbus.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != "" && signal.Sender == s.server {
		s.hear(signal)
	}
}

// hear takes a signal of the server as it comes: servers differ in how many
// values it has.
func (s *shownNotes) hear(signal *dbus.Signal) {
	clicked := signal.Name == notifyName+".ActionInvoked"
	if len(signal.Body) == 0 || !clicked && signal.Name != notifyName+".NotificationClosed" {
		return
	}
	number, ok := signal.Body[0].(uint32)
	if !ok {
		return
	}
	note, known := s.notes[number]
	if !known {
		if s.asking && len(s.unknown) < maxUnknown {
			s.unknown = append(s.unknown, signal)
		}
		return
	}
	if !clicked {
		delete(s.notes, number)
		if s.ids[note.id] == number {
			delete(s.ids, note.id)
		}
		return
	}
	if len(signal.Body) < 2 {
		return
	}
	key, _ := signal.Body[1].(string)
	for _, a := range note.actions {
		if printable(a.ID, false) == key {
			noteClicks.add(noteClick{note.id, a.ID})
			return
		}
	}
}
