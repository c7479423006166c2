package platform

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Note is one desktop notification. Its texts are plain: whatever a desktop
// takes for markup or script is made harmless here.
type Note struct {
	Title  string
	Body   string
	Icon   string // path of a PNG that stays; empty for none
	Urgent bool   // is shown even where the user asked not to be disturbed
	Quiet  bool   // may be shown without a sound, or only in the list of notes
	ID     string // a later note of the same ID replaces the earlier, where the system can
	// Actions are buttons, where the system has them; see OnNoteAction.
	Actions []NoteAction
}

// NoteAction is something that a click on a note can mean.
type NoteAction struct {
	ID    string // DefaultAction is a click on the note itself
	Label string
}

// DefaultAction is the ID of the action that has no button: a click on the note.
const DefaultAction = "default"

// notifyTimeout bounds a call to the desktop whose context has no deadline of its own.
const notifyTimeout = 5 * time.Second

// notifying is taken while a notification is under way: what hangs in a
// desktop's hands hangs at most once.
var notifying = make(chan struct{}, 1)

// Notify shows n on the desktop. It returns when the desktop has it, or by the
// context's deadline (five seconds at most), whatever the desktop does.
func Notify(ctx context.Context, n Note) error {
	return askDesktop(ctx, "show notification", func(ctx context.Context) error { return notify(ctx, n) })
}

// CloseNote takes the note of that ID away, if it is still to be seen. It is as
// patient as Notify.
func CloseNote(ctx context.Context, id string) error {
	return askDesktop(ctx, "take notification away", func(ctx context.Context) error { return closeNote(ctx, id) })
}

func askDesktop(ctx context.Context, what string, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	select {
	case notifying <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s: an earlier one still waits for the desktop: %w", what, ctx.Err())
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-notifying }()
		done <- ask(ctx)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: the desktop does not answer: %w", what, ctx.Err())
	}
}

// OnNoteAction sets the one function that is told of clicks on notes: on a
// goroutine of its own, one click after the other. Only the actions that a note
// was given are told of.
func OnNoteAction(tell func(noteID, actionID string)) { noteClicks.set(tell) }

// waitingClicks is how many clicks wait for a function that is slow; further ones
// are dropped.
const waitingClicks = 16

type noteClick struct{ note, action string }

// clicks hands clicks on. What hands them in never waits.
type clicks struct {
	mu      sync.Mutex
	tell    func(noteID, actionID string)
	waiting []noteClick
	running bool // somebody hands the waiting ones on
}

var noteClicks clicks

func (c *clicks) set(tell func(noteID, actionID string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tell = tell
}

func (c *clicks) add(click noteClick) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tell == nil || len(c.waiting) >= waitingClicks {
		return
	}
	c.waiting = append(c.waiting, click)
	if !c.running {
		c.running = true
		go c.run()
	}
}

func (c *clicks) run() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.running = false
			c.mu.Unlock()
			return
		}
		click, tell := c.waiting[0], c.tell
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		if tell != nil {
			tell(click.note, click.action)
		}
	}
}

// printable replaces control characters (a tab or line break by a space) and
// leaves out what is no text at all.
func printable(s string, keepLines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' && keepLines:
			return r
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}

// inert makes s safe inside the scripts through which Windows and macOS may
// show it: an expanding PowerShell string, an XML CDATA section, AppleScript.
// PowerShell takes curly double quotes for straight ones.
func inert(s string) string { return inertReplacer.Replace(printable(s, false)) }

var inertReplacer = strings.NewReplacer(
	"$", "＄", "`", "'", `"`, "'", "“", "'", "”", "'", "„", "'",
	"<", "‹", ">", "›", "&", "＆", `\`, "＼",
)
