package tray

import (
	"fmt"
	"strings"

	"sharetray/agentcore"
	"sharetray/agentcore/notice"
	"sharetray/agentcore/supervise"
	"sharetray/agentcore/words"
	"sharetray/assets"
)

// Kind is what a click on an item asks for.
type Kind string

const (
	NoAction Kind = ""
	Open     Kind = "open"
	CopyLink Kind = "copy"
	Restart  Kind = "restart"
	Pause    Kind = "pause"
	Resume   Kind = "resume"
	Remove   Kind = "remove"
	Update   Kind = "update"
	Quit     Kind = "quit"
)

// Action is what a click asks for, and of which share.
type Action struct {
	Kind  Kind
	Share string
	Link  string // for Open and CopyLink
}

// Item is one line of the menu. Its texts are as they are to be read; what a
// system's menus do to some characters is the binding's business.
type Item struct {
	ID        string // the same for the same thing as long as it exists
	Title     string
	Tooltip   string
	Enabled   bool
	Visible   bool
	Separator bool
	Action    Action
	Items     []Item
}

// Menu is all that the tray shows.
type Menu struct {
	Icon    assets.State
	Tooltip string
	Items   []Item
}

// State is what the menu shows beside the shares.
type State struct {
	Version  string
	Profile  string // "" is the default one
	Outdated bool   // the program on disk is a newer one
}

// errorLength is how much of an error fits a line of a menu.
const errorLength = 70

// Model draws the menu for shares, in the order given.
func Model(shares []agentcore.Status, s State) Menu {
	sum := summary(shares)
	tip := "Sharetray"
	if s.Version != "" {
		tip += " " + s.Version
	}
	if s.Profile != "" {
		tip += " (" + s.Profile + ")"
	}
	tip += ": " + sum
	m := Menu{Icon: icon(shares), Tooltip: tip}
	m.add(Item{ID: "summary", Title: sum, Tooltip: tip, Visible: true})
	m.add(lastError(shares))
	m.add(Item{ID: "line/shares", Visible: true, Separator: true})
	m.add(Item{
		ID: "hint", Title: "To share a folder: sharetray share web FOLDER",
		Visible: len(shares) == 0,
	})
	for _, st := range shares {
		m.add(shareItem(st))
	}
	m.add(Item{ID: "line/quit", Visible: true, Separator: true})
	m.add(Item{
		ID: "update", Title: "Restart to update", Tooltip: "Go on as the version that is installed now; nobody is cut off",
		Visible: s.Outdated, Enabled: true, Action: Action{Kind: Update},
	})
	m.add(Item{ID: "quit", Title: "Quit", Tooltip: "Stop all shares and leave", Visible: true, Enabled: true, Action: Action{Kind: Quit}})
	return m
}

func (m *Menu) add(i Item) { m.Items = append(m.Items, i) }

func shareItem(st agentcore.Status) Item {
	id, link := "share/"+st.Name, ""
	if len(st.URLs) > 0 {
		link = st.URLs[0]
	}
	about := link
	if condition(st) == assets.Trouble && st.LastError != "" {
		about = notice.Line(st.LastError, errorLength)
	}
	item := func(name, title string, enabled bool, a Kind) Item {
		return Item{
			ID: id + "/" + name, Title: title, Visible: true, Enabled: enabled,
			Action: Action{Kind: a, Share: st.Name, Link: link},
		}
	}
	// A paused share is resumed, a running one paused; of one that has failed
	// both words say the same to people, and the one that helps is shown.
	toggle := item("pause", "Pause", st.State != supervise.Invalid && st.State != supervise.Stopping, Pause)
	if st.State == supervise.Stopped || st.State == supervise.Failed {
		toggle = item("pause", "Resume", true, Resume)
	}
	serves := st.State == supervise.Ready || st.State == supervise.Unhealthy || st.State == supervise.Starting ||
		st.State == supervise.Backoff
	remove := item("remove", "Remove", true, NoAction)
	// One slip of the mouse must not cost a share: a menu can't ask, a submenu can.
	remove.Items = []Item{item("remove/now", "Remove “"+notice.Name(st.Name)+"” now", true, Remove)}

	aboutItem := item("about", about, false, NoAction)
	aboutItem.Visible = about != ""
	return Item{
		ID: id, Title: notice.Name(st.Name) + " · " + notice.State(words.English(), st), Tooltip: about, Visible: true, Enabled: true, Action: Action{Share: st.Name},
		Items: []Item{
			aboutItem,
			item("open", "Open", link != "" && serves, Open),
			item("copy", "Copy link", link != "", CopyLink),
			item("restart", "Restart", serves || st.State == supervise.Failed, Restart),
			toggle,
			remove,
		},
	}
}

// lastError is the line that says what is wrong with the first share that is
// in trouble. Some systems show no tooltips in menus.
func lastError(shares []agentcore.Status) Item {
	i := Item{ID: "error"}
	for _, st := range shares {
		if condition(st) == assets.Trouble && st.LastError != "" {
			i.Title = notice.Name(st.Name) + ": " + notice.Line(st.LastError, errorLength)
			i.Tooltip, i.Visible = st.LastError, true
			break
		}
	}
	return i
}

// condition is what one share adds to the whole: Nothing for one that is paused.
func condition(st agentcore.Status) assets.State {
	switch st.State {
	case supervise.Ready:
		return assets.Well
	case supervise.Starting, supervise.Stopping:
		return assets.Working
	case supervise.Backoff:
		if st.Trouble == supervise.PortTrouble {
			return assets.Trouble
		}
		return assets.Working
	case supervise.Stopped:
		return assets.Nothing
	}
	return assets.Trouble // unhealthy, failed, invalid, and what is not known here
}

// icon is the worst condition of all shares.
func icon(shares []agentcore.Status) assets.State {
	rank := map[assets.State]int{assets.Nothing: 0, assets.Well: 1, assets.Working: 2, assets.Trouble: 3}
	worst := assets.Nothing
	for _, st := range shares {
		if c := condition(st); rank[c] > rank[worst] {
			worst = c
		}
	}
	return worst
}

// summary says in one line how the shares are.
func summary(shares []agentcore.Status) string {
	by := map[assets.State][]agentcore.Status{}
	for _, st := range shares {
		c := condition(st)
		by[c] = append(by[c], st)
	}
	all, paused := len(shares), len(by[assets.Nothing])
	trouble, working := by[assets.Trouble], by[assets.Working]
	switch {
	case all == 0:
		return "Nothing is shared yet"
	case len(trouble) == 1:
		return notice.Name(trouble[0].Name) + " needs attention"
	case len(trouble) > 1:
		return fmt.Sprintf("%d of %d shares need attention", len(trouble), all)
	case len(working) == 1:
		return notice.Name(working[0].Name) + " is " + notice.State(words.English(), working[0])
	case len(working) > 1:
		return fmt.Sprintf("%d of %d shares are %s", len(working), all, doing(working))
	case paused == all && all == 1:
		return notice.Name(shares[0].Name) + " is paused"
	case paused == all:
		return fmt.Sprintf("All %d shares are paused", all)
	}
	up := all - paused
	out := fmt.Sprintf("%d shares, all well", up)
	if up == 1 {
		out = "1 share, all well"
	}
	if paused > 0 {
		out += fmt.Sprintf(", %d paused", paused)
	}
	return out
}

// doing is what several shares that are on their way are at.
func doing(working []agentcore.Status) string {
	var said []string
	for _, w := range []string{"starting", "restarting", "stopping"} {
		for _, st := range working {
			if notice.State(words.English(), st) == w {
				said = append(said, w)
				break
			}
		}
	}
	return strings.Join(said, " or ")
}
