package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sharetray/agentcore"
	"sharetray/agentcore/supervise"
)

func (a *app) listCommand() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists the shares and how they are",
		Long: `Lists the shares. With --watch it goes on to show what changes: live on a
terminal, else a line for each change.`,
		Example: `  sharetray list
  sharetray list --json
  sharetray list --watch`,
		Args:              noArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client()
			if err != nil {
				return err
			}
			if watch {
				return a.watch(cmd.Context(), client, asJSON)
			}
			list, err := client.List(cmd.Context())
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.printJSON(append([]agentcore.Status{}, list...))
			case len(list) == 0:
				a.note("nothing is shared yet: `sharetray share web .` shares the folder you are in")
				return nil
			}
			return writeTable(a.Out, list, paintFor(a.Out))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as a JSON array; with --watch, an object for each change")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on and show what changes")
	return cmd
}

// isTroubled reports whether a share's last error is about now, not about
// something that is over.
func isTroubled(st agentcore.Status) bool {
	switch st.State {
	case supervise.Backoff, supervise.Unhealthy, supervise.Failed, supervise.Invalid:
		return st.LastError != ""
	}
	return st.LastError != "" && st.Trouble != supervise.NoTrouble
}

// tableLines lays shares out as a table, without colours, and says which line
// belongs to which state.
func tableLines(list []agentcore.Status) []tableLine {
	rows := [][]string{{"NAME", "KIND", "STATE", "LINK", "TARGET"}}
	for _, st := range list {
		rows = append(rows, []string{oneLine(st.Name), orDash(string(st.Kind)), oneLine(string(st.State)), orDash(link(st)), orDash(st.Target)})
	}
	var widths [4]int // of all columns but the last
	for _, row := range rows {
		for i := range widths {
			widths[i] = max(widths[i], width(row[i]))
		}
	}
	var out []tableLine
	for i, row := range rows {
		l := tableLine{header: i == 0, state: row[2]}
		l.before = pad(row[0], widths[0]) + "  " + pad(row[1], widths[1]) + "  "
		l.after = strings.Repeat(" ", widths[2]-width(row[2])) + "  " + pad(row[3], widths[3]) + "  " + row[4]
		out = append(out, l)
		if i > 0 && isTroubled(list[i-1]) {
			out = append(out, tableLine{before: "  " + oneLine(list[i-1].LastError)})
		}
	}
	return out
}

// tableLine is one line of a table, cut where its colour begins and ends.
type tableLine struct {
	header               bool
	before, state, after string
}

func (l tableLine) paint(p paint) string {
	switch {
	case l.header:
		return p.bold(l.before + l.state + l.after)
	case l.state == "":
		return p.dim(l.before)
	}
	return l.before + p.state(supervise.Phase(l.state), l.state) + l.after
}

// cut shortens the line to a width.
func (l tableLine) cut(to int) tableLine {
	l.before = cut(l.before, to)
	l.state = cut(l.state, to-width(l.before))
	l.after = cut(l.after, to-width(l.before)-width(l.state))
	return l
}

func writeTable(w io.Writer, list []agentcore.Status, p paint) error {
	var b strings.Builder
	for _, l := range tableLines(list) {
		b.WriteString(l.paint(p))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func link(st agentcore.Status) string {
	if len(st.URLs) == 0 {
		return ""
	}
	return st.URLs[0]
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return oneLine(s)
}

// changeLine is what a pipe gets to read of one change.
func changeLine(st agentcore.Status) string {
	s := fmt.Sprintf("%s  %s  %s", oneLine(st.Name), oneLine(string(st.State)), orDash(link(st)))
	if isTroubled(st) {
		s += "  " + oneLine(st.LastError)
	}
	return s
}
