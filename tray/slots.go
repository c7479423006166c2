package tray

import (
	"fmt"
	"strings"

	"sharetray/agentcore/words"
)

// slotCount is how many shares have items of their own. The items are made once
// and never removed (to remove one while it is clicked is fatal in systray), so
// a share is shown in the n-th slot rather than by items that come and go.
const slotCount = 15

// slot names one item of the fixed pool: "summary", "3", "3/restart".
type slot string

// face is how one pool item looks. The zero value is a hidden one.
type face struct {
	title, tooltip   string
	enabled, visible bool
	checked          bool
	action           Action
}

// arrange puts a menu onto the pool. Shares without a slot of their own are
// counted in one line.
func arrange(m Menu, l *words.Language, goos string) map[slot]face {
	faces := map[slot]face{}
	shares := 0
	for _, it := range m.Items {
		switch {
		case it.Separator:
		case strings.HasPrefix(it.ID, "share/"):
			if shares < slotCount {
				place(faces, slot(fmt.Sprint(shares)), it.ID, it, goos)
			}
			shares++
		default:
			place(faces, slot(it.ID), it.ID, it, goos)
		}
	}
	if more := shares - slotCount; more > 0 {
		faces["more"] = face{title: escape(l.Say("tray.more", more), goos), visible: true, enabled: true, action: Action{Kind: Page, Link: "/"}}
	}
	return faces
}

// place puts it and what is under it into the pool: its ID, less what stands for
// the share, is the name of its slot.
func place(faces map[slot]face, at slot, prefix string, it Item, goos string) {
	if !it.Visible {
		return
	}
	faces[at] = face{
		title: escape(it.Title, goos), tooltip: it.Tooltip,
		enabled: it.Enabled, visible: true, checked: it.Checked, action: it.Action,
	}
	for _, child := range it.Items {
		place(faces, at+slot(strings.TrimPrefix(child.ID, prefix)), child.ID, child, goos)
	}
}

// escape doubles the character that the system's menus take for "underline the
// next letter".
func escape(title, goos string) string {
	switch goos {
	case "windows":
		return strings.ReplaceAll(title, "&", "&&")
	case "darwin":
		return title
	}
	return strings.ReplaceAll(title, "_", "__")
}

// poolItem is one item of the pool and where it stands.
type poolItem struct {
	slot, parent slot
	separator    bool
	check        bool // it is a switch
}

// pool lists the pool in the order of the menu, parents before children.
func pool() []poolItem {
	out := []poolItem{{slot: "summary"}, {slot: "visitors"}, {slot: "error"}, {separator: true}, {slot: "hint"}}
	under := func(parent slot, names ...string) {
		for _, name := range names {
			out = append(out, poolItem{slot: parent + "/" + slot(name), parent: parent})
		}
	}
	for i := range slotCount {
		at := slot(fmt.Sprint(i))
		out = append(out, poolItem{slot: at})
		under(at, "about", "open", "copy", "qr", "restart", "pause", "log", "settings", "remove")
		under(at+"/remove", "now")
	}
	out = append(out, poolItem{slot: "more"}, poolItem{separator: true}, poolItem{slot: "folder"}, poolItem{slot: "port"})
	for i := range portCount {
		under("port", fmt.Sprint(i))
	}
	under("port", "other")
	out = append(out, poolItem{slot: "dashboard"}, poolItem{separator: true},
		poolItem{slot: "autostart", check: true}, poolItem{slot: "notifications", check: true}, poolItem{separator: true},
		poolItem{slot: "update"}, poolItem{slot: "stay"}, poolItem{slot: "quit"}, poolItem{slot: "quitting"})
	under("quitting", "wait", "now")
	return out
}

// change is one item that has to look different.
type change struct {
	slot     slot
	from, to face
}

// diff lists what differs, in the order of the pool. What is under a hidden item
// is left as it is: nobody sees it, and on Windows to touch it would show it.
func diff(order []poolItem, from, to map[slot]face) []change {
	var out []change
	for _, p := range order {
		a, b := from[p.slot], to[p.slot]
		if !p.separator && a.looks() != b.looks() && !hiddenWithParent(p.slot, to) {
			out = append(out, change{p.slot, a, b})
		}
	}
	return out
}

// hiddenWithParent reports whether at is under an item that faces does not show.
func hiddenWithParent(at slot, faces map[slot]face) bool {
	i := strings.LastIndexByte(string(at), '/')
	return i >= 0 && !faces[at[:i]].visible
}

// looks is the face without what is not seen.
func (f face) looks() face {
	f.action = Action{}
	return f
}
