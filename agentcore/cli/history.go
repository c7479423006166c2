package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"sharetray/agentcore/history"
)

// Of a share's history, `show` has that many entries for programs, and lines
// for people.
const (
	showEntries = 20
	showLines   = 10
)

// writeHistory writes the last lines of a history, if there is one.
func writeHistory(w io.Writer, entries []history.Entry) error {
	lines := historyLines(entries)
	if len(lines) == 0 {
		return nil
	}
	lines = lines[max(0, len(lines)-showLines):]
	_, err := io.WriteString(w, "history:\n  "+strings.Join(lines, "\n  ")+"\n")
	return err
}

// historyLines tells what happened, a line for each thing; that a share came
// back is said where it is said how it went.
func historyLines(entries []history.Entry) []string {
	var lines []string
	for i, e := range entries {
		back := e.What == history.Recovered
		if back && i > 0 && entries[i-1].What == history.Crashed {
			lines[len(lines)-1] += "; back after " + briefly(e.Downtime)
			continue
		}
		line := e.Time.Local().Format(time.DateTime) + "  " + string(e.What)
		switch {
		case back:
			line += ", after " + briefly(e.Downtime)
		case e.What == history.Upgraded && e.Version != "":
			line += " to " + e.Version
		}
		if e.Cause != "" && !back {
			line += ": " + e.Cause
		}
		lines = append(lines, oneLine(line))
	}
	return lines
}

// briefly is a duration as people read it: what is short to a thousandth of a
// second, what is long to a second.
func briefly(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "less than 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
