package platform

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Note is one desktop notification. Its texts are plain: whatever a desktop
// takes for markup or script is made harmless here.
type Note struct {
	Title  string
	Body   string
	Icon   string // path of a PNG that stays; empty for none
	Urgent bool
	ID     string // a later note of the same ID replaces the earlier, where the system can
}

// notifyTimeout bounds a Notify whose context has no deadline of its own.
const notifyTimeout = 5 * time.Second

// notifying is taken while a notification is under way: what hangs in a
// desktop's hands hangs at most once.
var notifying = make(chan struct{}, 1)

// Notify shows n on the desktop. It returns when the desktop has it, or by the
// context's deadline (five seconds when it has none), whatever the desktop does.
func Notify(ctx context.Context, n Note) error {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	select {
	case notifying <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("show notification: an earlier one still waits for the desktop: %w", ctx.Err())
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-notifying }()
		done <- notify(ctx, n)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("show notification: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("show notification: the desktop does not answer: %w", ctx.Err())
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
