package tray

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"

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
	QuitIdle Kind = "quit-idle" // once no transfer is under way
	Stay     Kind = "stay"      // and not quit
	// Page opens the dashboard at Action.Link.
	Page          Kind = "page"
	ShareFolder   Kind = "share-folder"
	SharePort     Kind = "share-port" // Action.Link is the port
	Autostart     Kind = "autostart"
	Notifications Kind = "notifications"
)

// Action is what a click asks for, and of which share.
type Action struct {
	Kind  Kind
	Share string
	Link  string // for Open and CopyLink; for others see there
	On    bool   // for what is switched: to what
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
	Checked   bool // of a switch
	Action    Action
	Items     []Item
}

// Menu is all that the tray shows.
type Menu struct {
	Icon    assets.State
	Tooltip string
	Items   []Item
}

// Port is one at which something listens that could be shared.
type Port struct {
	Number  uint16
	Program string // "" if it is not known
}

// State is what the menu shows beside the shares.
type State struct {
	Version  string
	Profile  string          // "" is the default one
	Outdated bool            // the program on disk is a newer one
	Words    *words.Language // nil: English
	Quitting bool            // waits until no transfer is under way, to quit then

	// What is offered, and how it is.
	Dashboard, Folders, Ports         bool
	Listening                         []Port
	CanAutostart, Autostart           bool
	CanNotifications, NotificationsOn bool
}

// errorLength is how much of an error fits a line of a menu.
const errorLength = 70

// Model draws the menu for shares, in the order given.
func Model(shares []agentcore.Status, s State) Menu {
	l := s.Words
	if l == nil {
		l = words.English()
	}
	sum := notice.Summary(l, shares)
	tip := "Sharetray"
	if s.Version != "" {
		tip += " " + s.Version
	}
	if s.Profile != "" {
		tip += " (" + s.Profile + ")"
	}
	tip += ": " + sum
	m := Menu{Icon: assets.State(notice.Worst(shares)), Tooltip: tip}
	m.add(Item{ID: "summary", Title: sum, Tooltip: tip, Visible: true})
	under, visitors := Transfers(shares), 0
	for _, st := range shares {
		visitors += st.Present
	}
	m.add(Item{ID: "visitors", Title: l.Count("tray.visitors", visitors), Visible: visitors > 0})
	m.add(lastError(l, shares))
	m.add(Item{ID: "line/shares", Visible: true, Separator: true})
	m.add(Item{ID: "hint", Title: l.Say("tray.hint"), Visible: len(shares) == 0})
	for _, st := range foremost(shares) {
		m.add(shareItem(l, st, s))
	}
	m.add(Item{ID: "line/add", Visible: true, Separator: true})
	m.add(Item{ID: "folder", Title: l.Say("tray.folder"), Visible: s.Folders, Enabled: true, Action: Action{Kind: ShareFolder}})
	m.add(portItem(l, s))
	m.add(Item{ID: "dashboard", Title: l.Say("tray.dashboard"), Visible: s.Dashboard, Enabled: true, Action: Action{Kind: Page, Link: "/"}})
	m.add(Item{ID: "line/settings", Visible: true, Separator: true})
	m.add(Item{ID: "autostart", Title: l.Say("tray.autostart"), Visible: s.CanAutostart, Enabled: true, Checked: s.Autostart,
		Action: Action{Kind: Autostart, On: !s.Autostart}})
	m.add(Item{ID: "notifications", Title: l.Say("tray.notifications"), Visible: s.CanNotifications, Enabled: true, Checked: s.NotificationsOn,
		Action: Action{Kind: Notifications, On: !s.NotificationsOn}})
	m.add(Item{ID: "line/quit", Visible: true, Separator: true})
	m.add(Item{ID: "update", Title: l.Say("tray.update"), Tooltip: l.Say("tray.update_tip"), Visible: s.Outdated, Enabled: true, Action: Action{Kind: Update}})
	m.add(Item{ID: "stay", Title: l.Say("tray.stay"), Visible: s.Quitting, Enabled: true, Action: Action{Kind: Stay}})
	// What would be cut is asked about by a submenu, since a menu can't ask.
	m.add(Item{ID: "quit", Title: l.Say("tray.quit"), Tooltip: l.Say("tray.quit_tip"), Visible: under == 0, Enabled: true, Action: Action{Kind: Quit}})
	m.add(Item{ID: "quitting", Title: l.Say("tray.quit"), Visible: under > 0, Enabled: true, Items: []Item{
		{ID: "quitting/wait", Title: l.Say("tray.quit_idle"), Visible: !s.Quitting, Enabled: true, Action: Action{Kind: QuitIdle}},
		{ID: "quitting/now", Title: l.Count("tray.quit_now", under), Visible: true, Enabled: true, Action: Action{Kind: Quit}},
	}})
	return m
}

func (m *Menu) add(i Item) { m.Items = append(m.Items, i) }

// Transfers is how many are under way.
func Transfers(shares []agentcore.Status) (n int) {
	for _, st := range shares {
		n += st.Active
	}
	return n
}

// foremost is shares in the order in which the first of them are seen: as given, but
// when not all have a place of their own, those that need somebody come first.
func foremost(shares []agentcore.Status) []agentcore.Status {
	if len(shares) <= slotCount {
		return shares
	}
	shares = slices.Clone(shares)
	needs := func(st agentcore.Status) int {
		if notice.MoodOf(st) == notice.Trouble {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(shares, func(a, b agentcore.Status) int { return cmp.Compare(needs(a), needs(b)) })
	return shares
}

// portCount is how many ports the menu offers.
const portCount = 8

func portItem(l *words.Language, s State) Item {
	port := Item{ID: "port", Title: l.Say("tray.port"), Visible: s.Ports, Enabled: true}
	for i, p := range s.Listening[:min(portCount, len(s.Listening))] {
		title := strconv.Itoa(int(p.Number))
		if p.Program != "" {
			title += " · " + notice.Line(p.Program, 30)
		}
		port.Items = append(port.Items, Item{ID: fmt.Sprint("port/", i), Title: title, Visible: true, Enabled: true,
			Action: Action{Kind: SharePort, Link: strconv.Itoa(int(p.Number))}})
	}
	port.Items = append(port.Items, Item{ID: "port/other", Title: l.Say("tray.other_port"), Visible: true, Enabled: s.Dashboard,
		Action: Action{Kind: Page, Link: "/add/proxy"}})
	return port
}

// pageOf is where a share is on the dashboard.
func pageOf(st agentcore.Status, part string) string {
	return "/shares/" + url.PathEscape(st.Name) + part
}

func shareItem(l *words.Language, st agentcore.Status, s State) Item {
	id, link := "share/"+st.Name, ""
	if len(st.URLs) > 0 {
		link = st.URLs[0]
	}
	about := link
	if notice.MoodOf(st) == notice.Trouble && st.LastError != "" {
		about = notice.Line(l.Sentence(st.LastError), errorLength)
	}
	item := func(name, title string, enabled bool, a Kind) Item {
		return Item{
			ID: id + "/" + name, Title: title, Visible: true, Enabled: enabled,
			Action: Action{Kind: a, Share: st.Name, Link: link},
		}
	}
	page := func(name, part string) Item {
		i := item(name, l.Say("tray."+name), true, Page)
		i.Action.Link, i.Visible = pageOf(st, part), s.Dashboard
		return i
	}
	// A paused share is resumed, a running one paused; of one that has failed
	// both words say the same to people, and the one that helps is shown.
	toggle := item("pause", l.Say("tray.pause"), st.State != supervise.Invalid && st.State != supervise.Stopping, Pause)
	if notice.CanStart(st) {
		toggle = item("pause", l.Say("tray.resume"), true, Resume)
	}
	serves := notice.CanStop(st)
	remove := item("remove", l.Say("tray.remove"), true, NoAction)
	// One slip of the mouse must not cost a share: a menu can't ask, a submenu can.
	remove.Items = []Item{item("remove/now", l.Say("tray.remove_now", notice.Name(st.Name)), true, Remove)}

	aboutItem := item("about", about, false, NoAction)
	aboutItem.Visible = about != ""
	code := page("qr", "/qr")
	code.Enabled = link != ""
	settings := page("settings", "/edit")
	settings.Enabled = st.State != supervise.Invalid
	return Item{
		ID: id, Title: l.Say("tray.share", notice.Name(st.Name), notice.State(l, st)), Tooltip: about, Visible: true, Enabled: true, Action: Action{Share: st.Name},
		Items: []Item{
			aboutItem,
			item("open", l.Say("tray.open"), isPage(link) && serves, Open),
			item("copy", l.Say("tray.copy"), link != "", CopyLink),
			code,
			item("restart", l.Say("tray.restart"), serves || st.State == supervise.Failed, Restart),
			toggle,
			page("log", "/log"),
			settings,
			remove,
		},
	}
}

// isPage reports whether a browser can open link.
func isPage(link string) bool {
	u, err := url.Parse(link)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https")
}

// lastError is the line that says what is wrong with the first share that is
// in trouble. Some systems show no tooltips in menus.
func lastError(l *words.Language, shares []agentcore.Status) Item {
	i := Item{ID: "error"}
	for _, st := range shares {
		if notice.MoodOf(st) == notice.Trouble && st.LastError != "" {
			i.Title = l.Say("tray.error", notice.Name(st.Name), notice.Line(l.Sentence(st.LastError), errorLength))
			i.Tooltip, i.Visible = st.LastError, true
			break
		}
	}
	return i
}
