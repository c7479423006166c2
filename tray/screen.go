//go:build linux || freebsd || openbsd || netbsd || windows || (darwin && cgo)

package tray

import (
	"runtime"
	"unicode/utf16"

	"fyne.io/systray"

	"sharetray/assets"
)

// items is the pool in the system's tray.
type items map[slot]*systray.MenuItem

// newItems makes the whole pool, hidden. Clicks are handed to clicks at once or
// not at all: systray drops those that come while their reader is busy.
func newItems(order []poolItem, clicks chan<- slot) items {
	it := items{}
	for _, p := range order {
		switch {
		case p.separator:
			systray.AddSeparator()
			continue
		case p.check:
			it[p.slot] = systray.AddMenuItemCheckbox("", "", false)
		case p.parent == "":
			it[p.slot] = systray.AddMenuItem("", "")
		default:
			it[p.slot] = it[p.parent].AddSubMenuItem("", "")
		}
		clicked := it[p.slot].ClickedCh
		go func() {
			for range clicked { // for as long as the program runs
				select {
				case clicks <- p.slot:
				default:
				}
			}
		}()
	}
	for _, item := range it { // once all are there: Windows wants a parent that is shown
		item.Hide()
	}
	return it
}

// renew makes the whole menu anew, as for the first host.
func (it items) renew(order []poolItem, clicks chan<- slot) {
	systray.ResetMenu()
	clear(it)
	for at, item := range newItems(order, clicks) {
		it[at] = item
	}
}

// draw changes items. Each call of systray costs signals on the bus (and is
// redrawn by the panel), so none is made that changes nothing.
func (it items) draw(changes []change) {
	for _, c := range changes {
		item, from, to := it[c.slot], c.from, c.to
		if !to.visible {
			item.Hide()
			continue
		}
		appears := !from.visible
		if item.Checked() != to.checked {
			if to.checked {
				item.Check()
			} else {
				item.Uncheck()
			}
		}
		if from.title != to.title {
			item.SetTitle(to.title)
		}
		if from.tooltip != to.tooltip && runtime.GOOS == "darwin" { // others show none
			item.SetTooltip(to.tooltip)
		}
		if item.Disabled() == to.enabled {
			if to.enabled {
				item.Enable()
			} else {
				item.Disable()
			}
		}
		if appears {
			item.Show()
		}
	}
}

// icon changes the picture. systray panics when the bus dies in this moment; it
// has kept the picture by then and shows it on the next bus.
func (items) icon(s assets.State) {
	defer func() { _ = recover() }()
	systray.SetIcon(assets.Icon(s))
}

// tooltipLimit is what Windows shows, in UTF-16 units.
const tooltipLimit = 127

func (items) tooltip(s string) {
	if u := utf16.Encode([]rune(s)); len(u) > tooltipLimit {
		s = string(utf16.Decode(u[:tooltipLimit-1])) + "…"
	}
	systray.SetTooltip(s)
}
