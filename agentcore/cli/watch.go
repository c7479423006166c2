package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/supervise"
)

// gone is the state in which --watch shows a share that was removed.
const gone supervise.Phase = "removed"

// redraw is the least time between two drawings of the screen.
const redraw = 50 * time.Millisecond

// watch shows the shares and what changes until the user has seen enough or the
// agent has ended.
func (a *app) watch(ctx context.Context, client *control.Client, asJSON bool) error {
	now, events, err := client.Watch(ctx)
	if err != nil {
		return err
	}
	file, terminal := terminalOf(a.Out)
	switch {
	case asJSON:
		err = watchJSON(a.Out, now, events)
	case terminal:
		err = watchScreen(file, now, events)
	default:
		err = watchLines(a.Out, now, events)
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	return problem.New(problem.Unavailable, "the agent has ended: `sharetray` starts another one")
}

func watchJSON(w io.Writer, now []agentcore.Status, events <-chan agentcore.Event) error {
	return eachChange(now, events, func(st agentcore.Status) string {
		data, err := json.Marshal(st)
		if err != nil {
			return ""
		}
		return string(data)
	}, func(line string) error {
		_, err := fmt.Fprintln(w, line)
		return err
	})
}

func watchLines(w io.Writer, now []agentcore.Status, events <-chan agentcore.Event) error {
	return eachChange(now, events, changeLine, func(line string) error {
		_, err := fmt.Fprintln(w, time.Now().Format(time.TimeOnly)+"  "+line)
		return err
	})
}

// eachChange writes every share and then what changes, where a change is what
// makes its line another one.
func eachChange(now []agentcore.Status, events <-chan agentcore.Event, line func(agentcore.Status) string, write func(string) error) error {
	last := map[string]string{}
	show := func(st agentcore.Status) error {
		text := line(st)
		if text == last[st.Name] {
			return nil
		}
		last[st.Name] = text
		return write(text)
	}
	for _, st := range now {
		if err := show(st); err != nil {
			return err
		}
	}
	for e := range events {
		if e.Type == agentcore.Removed {
			e.Share = removed(e.Share)
		}
		if err := show(e.Share); err != nil {
			return err
		}
	}
	return nil
}

func removed(st agentcore.Status) agentcore.Status {
	st.State, st.Trouble, st.LastError, st.PID, st.URLs = gone, supervise.NoTrouble, "", 0, []string{}
	return st
}

// watchScreen keeps a table on the terminal's other screen up to date.
func watchScreen(f *os.File, now []agentcore.Status, events <-chan agentcore.Event) error {
	shares := map[string]agentcore.Status{}
	for _, st := range now {
		shares[st.Name] = st
	}
	fmt.Fprint(f, "\x1b[?1049h\x1b[?25l")       // the other screen, no cursor
	defer fmt.Fprint(f, "\x1b[?25h\x1b[?1049l") // and back
	ticker := time.NewTicker(redraw)
	defer ticker.Stop()
	for changed := true; ; {
		if changed {
			if err := drawScreen(f, shares); err != nil {
				return err
			}
			changed = false
		}
		for waiting := true; waiting; {
			select {
			case e, ok := <-events:
				if !ok {
					return nil
				}
				if e.Type == agentcore.Removed {
					delete(shares, e.Share.Name)
				} else {
					shares[e.Share.Name] = e.Share
				}
				changed = true
			case <-ticker.C:
				waiting = !changed
			}
		}
	}
}

func drawScreen(f *os.File, shares map[string]agentcore.Status) error {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil || columns < 1 || rows < 2 {
		columns, rows = 80, 24
	}
	var b strings.Builder
	b.WriteString("\x1b[H\x1b[J") // from the top, cleared
	p := paintFor(f)
	list := make([]agentcore.Status, 0, len(shares))
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		list = append(list, shares[name])
	}
	lines := tableLines(list)
	if len(lines) > rows-1 {
		lines = lines[:rows-1]
	}
	for _, l := range lines {
		b.WriteString(l.cut(columns).paint(p) + "\n")
	}
	b.WriteString(p.dim(cut("Ctrl-C ends this; the shares stay up.", columns)))
	_, err = io.WriteString(f, b.String())
	return err
}
