package tray

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sharetray/agentcore"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
	"sharetray/agentcore/words"
	"sharetray/assets"
)

func one(name string, p supervise.Phase) agentcore.Status {
	return agentcore.Status{Name: name, Kind: share.Web, State: p, URLs: []string{"http://h/" + name}}
}

func TestSummaryAndIcon(t *testing.T) {
	t.Parallel()
	restarting := one("Photos", supervise.Starting)
	restarting.Restarts = 1
	blocked := one("Photos", supervise.Backoff)
	blocked.Trouble = supervise.PortTrouble
	ready, stopped := one("a", supervise.Ready), one("b", supervise.Stopped)
	for _, c := range []struct {
		shares []agentcore.Status
		want   string
		icon   assets.State
	}{
		{nil, "Nothing is shared yet", assets.Nothing},
		{[]agentcore.Status{ready}, "1 share, all well", assets.Well},
		{[]agentcore.Status{ready, ready, ready}, "3 shares, all well", assets.Well},
		{[]agentcore.Status{ready, stopped}, "1 share, all well, 1 paused", assets.Well},
		{[]agentcore.Status{stopped}, "b is paused", assets.Nothing},
		{[]agentcore.Status{stopped, stopped}, "All 2 shares are paused", assets.Nothing},
		{[]agentcore.Status{ready, restarting}, "Photos is restarting", assets.Working},
		{[]agentcore.Status{ready, one("a", supervise.Starting), restarting}, "2 of 3 shares are starting or restarting", assets.Working},
		{[]agentcore.Status{one("a", supervise.Stopping)}, "a is stopping", assets.Working},
		{[]agentcore.Status{one("a", supervise.Backoff)}, "a is restarting", assets.Working},
		{[]agentcore.Status{ready, blocked}, "Photos needs attention", assets.Trouble},
		{[]agentcore.Status{restarting, one("a", supervise.Failed)}, "a needs attention", assets.Trouble},
		{[]agentcore.Status{ready, stopped, one("a", supervise.Invalid), one("b", supervise.Unhealthy), ready}, "2 of 5 shares need attention", assets.Trouble},
		{[]agentcore.Status{one("a", "a phase of a later version")}, "a needs attention", assets.Trouble},
	} {
		m := Model(c.shares, State{Version: "1.0"})
		if m.Items[0].Title != c.want || m.Icon != c.icon || m.Tooltip != "Sharetray 1.0: "+c.want {
			t.Errorf("got %q, %s, %q; want %q, %s", m.Items[0].Title, m.Icon, m.Tooltip, c.want, c.icon)
		}
	}
}

func TestWhatCanBeDone(t *testing.T) {
	t.Parallel()
	for phase, want := range map[supervise.Phase]string{
		supervise.Starting:  "Open, Copy link, Show QR code, Restart, Pause, Log, Settings…, Remove",
		supervise.Ready:     "Open, Copy link, Show QR code, Restart, Pause, Log, Settings…, Remove",
		supervise.Unhealthy: "Open, Copy link, Show QR code, Restart, Pause, Log, Settings…, Remove",
		supervise.Backoff:   "Open, Copy link, Show QR code, Restart, Pause, Log, Settings…, Remove",
		supervise.Stopping:  "Copy link, Show QR code, Log, Settings…, Remove",
		supervise.Stopped:   "Copy link, Show QR code, Resume, Log, Settings…, Remove",
		supervise.Failed:    "Copy link, Show QR code, Restart, Resume, Log, Settings…, Remove",
		supervise.Invalid:   "Copy link, Show QR code, Log, Remove",
	} {
		var can []string
		for _, i := range shareItem(words.English(), one("a", phase), State{Dashboard: true}).Items {
			if i.Enabled && i.Visible {
				can = append(can, i.Title)
			}
			if i.Enabled && (i.Action.Kind == NoAction) != (len(i.Items) > 0) {
				t.Errorf("%s does both or neither of acting and opening", i.Title)
			}
		}
		if got := strings.Join(can, ", "); got != want {
			t.Errorf("%s: %s; want %s", phase, got, want)
		}
	}
	bare := one("a", supervise.Invalid)
	bare.URLs = nil
	for _, i := range shareItem(words.English(), bare, State{}).Items {
		if i.Enabled && (i.Action.Kind == Open || i.Action.Kind == CopyLink) {
			t.Errorf("%s without a link", i.Title)
		}
	}
}

func TestItemsOfAShare(t *testing.T) {
	t.Parallel()
	sick := one("Photos", supervise.Unhealthy)
	sick.Trouble, sick.LastError = supervise.TargetTrouble, "the folder /srv/"+strings.Repeat("long/", 50)+" is gone"
	m := Model([]agentcore.Status{one("a", supervise.Ready), sick}, State{})
	title := func(id string) Item {
		i := slices.IndexFunc(m.Items, func(i Item) bool { return i.ID == id })
		if i < 0 {
			t.Fatalf("no item %q", id)
		}
		return m.Items[i]
	}
	if i := title("share/Photos"); i.Title != "Photos · its folder can't be read" || !strings.HasPrefix(i.Tooltip, "the folder") {
		t.Errorf("%+v", i)
	}
	if i := title("share/a"); i.Tooltip != "http://h/a" {
		t.Errorf("%+v", i)
	}
	if i := title("error"); !i.Visible || i.Enabled || !strings.HasPrefix(i.Title, "Photos: the folder /srv/long/") || len([]rune(i.Title)) > 80 {
		t.Errorf("%+v", i)
	}
	remove := title("share/a").Items[8]
	if remove.Action.Kind != NoAction || len(remove.Items) != 1 || remove.Items[0].Action.Kind != Remove || remove.Items[0].Title != "Remove “a” now" {
		t.Errorf("%+v", remove)
	}
	if quit := title("quit"); quit.Action.Kind != Quit || !quit.Enabled || !quit.Visible || title("update").Visible || title("quitting").Visible || title("stay").Visible {
		t.Errorf("%+v", quit)
	}
	// Well again: the line of the error is gone.
	if m = Model([]agentcore.Status{one("a", supervise.Ready)}, State{}); title("error").Visible {
		t.Error("an error of the past is shown")
	}
}

// everything is offered.
var everything = State{Dashboard: true, Folders: true, Ports: true, Listening: slices.Repeat([]Port{{3000, "node"}}, 20),
	CanAutostart: true, CanNotifications: true, Outdated: true, Quitting: true}

// titles are those of what is seen, with what is under it in brackets.
func titles(items []Item) string {
	var out []string
	for _, i := range items {
		switch {
		case !i.Visible:
		case i.Separator:
			out = append(out, "--")
		case len(i.Items) > 0:
			out = append(out, i.Title+" ["+titles(i.Items)+"]")
		case i.Checked:
			out = append(out, "✓"+i.Title)
		default:
			out = append(out, i.Title)
		}
	}
	return strings.Join(out, ", ")
}

func TestTheWholeMenu(t *testing.T) {
	t.Parallel()
	busy := one("Photos", supervise.Ready)
	busy.Active, busy.Present = 2, 1
	s := State{Dashboard: true, Folders: true, Ports: true, Listening: []Port{{3000, "node"}, {8080, ""}},
		CanAutostart: true, Autostart: true, CanNotifications: true}
	share := "[http://h/Photos, Open, Copy link, Show QR code, Restart, Pause, Log, Settings…, Remove [Remove “Photos” now]]"
	rest := "--, Share a folder…, Share a port… [3000 · node, 8080, Another port…], Dashboard, --, ✓Start at login, Notifications, --, "
	for want, m := range map[string]Menu{
		"1 share, all well, 1 visitor now, --, Photos · up " + share + ", " + rest + "Quit [Quit when transfers are done, Quit now, and cut 2 transfers]": Model([]agentcore.Status{busy}, s),
		"1 share, all well, --, Photos · up " + share + ", " + rest + "Quit":                                                                              Model([]agentcore.Status{one("Photos", supervise.Ready)}, s),
		"Nothing is shared yet, --, Share a folder, and its link is here, " + rest + "Quit":                                                               Model(nil, s),
		"Nothing is shared yet, --, Share a folder, and its link is here, --, --, --, Quit":                                                               Model(nil, State{}),
	} {
		if got := titles(m.Items); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	s.Quitting = true
	if got := titles(Model([]agentcore.Status{busy}, s).Items); !strings.HasSuffix(got, "--, Don't quit after all, Quit [Quit now, and cut 2 transfers]") {
		t.Error(got)
	}
}

// TestTroubleComesFirst when not all shares have a place.
func TestTroubleComesFirst(t *testing.T) {
	t.Parallel()
	var shares []agentcore.Status
	for n := range 20 {
		shares = append(shares, one(fmt.Sprint(n), supervise.Ready))
	}
	shares[18].State = supervise.Failed
	shown := func() string {
		var names []string
		for _, i := range Model(shares, State{}).Items {
			if name, ok := strings.CutPrefix(i.ID, "share/"); ok {
				names = append(names, name)
			}
		}
		return strings.Join(names[:3], " ")
	}
	if got := shown(); got != "18 0 1" {
		t.Error(got)
	}
	shares = shares[5:]
	if got := shown(); got != "5 6 7" {
		t.Error(got)
	}
}

// TestOddNames: whatever a share is called, its line is one line and shows it.
func TestOddNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"<b>":                    "<b> · up",
		"$(reboot)":              "$(reboot) · up",
		`"]]>`:                   `"]]> · up`,
		"a_b & c":                "a_b & c · up",
		"👩‍💻 café":               "👩‍💻 café · up",
		"صور":                    "\u200e\u2068صور\u2069 · up",
		strings.Repeat("x", 200): strings.Repeat("x", 20) + "…" + strings.Repeat("x", 19) + " · up",
		"a\nb\tc":                "a b c · up",
	} {
		i := shareItem(words.English(), one(name, supervise.Ready), State{})
		if i.Title != want || i.Action.Share != name {
			t.Errorf("%q is shown as %q (of %q)", name, i.Title, i.Action.Share)
		}
	}
}

func TestEveryItemHasItsSlot(t *testing.T) {
	t.Parallel()
	slots := map[slot]bool{}
	for _, p := range pool() {
		if slots[p.slot] && !p.separator {
			t.Errorf("slot %q twice", p.slot)
		}
		if p.parent != "" && !slots[p.parent] {
			t.Errorf("slot %q before its parent", p.slot)
		}
		slots[p.slot] = true
	}
	for _, phase := range supervise.Phases {
		st := one("a/b _&", phase)
		st.LastError = "x"
		for at := range arrange(Model(slices.Repeat([]agentcore.Status{st}, 20), everything), words.English(), "linux") {
			if !slots[at] {
				t.Errorf("no slot %q", at)
			}
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for goos, want := range map[string]string{"linux": "a__b & c", "freebsd": "a__b & c", "windows": "a_b && c", "darwin": "a_b & c"} {
		if got := escape("a_b & c", goos); got != want {
			t.Errorf("%s: %q", goos, got)
		}
	}
}
