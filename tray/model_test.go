package tray

import (
	"slices"
	"strings"
	"testing"

	"sharetray/agentcore"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
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
		supervise.Starting:  "Open, Copy link, Restart, Pause, Remove",
		supervise.Ready:     "Open, Copy link, Restart, Pause, Remove",
		supervise.Unhealthy: "Open, Copy link, Restart, Pause, Remove",
		supervise.Backoff:   "Open, Copy link, Restart, Pause, Remove",
		supervise.Stopping:  "Copy link, Remove",
		supervise.Stopped:   "Copy link, Resume, Remove",
		supervise.Failed:    "Copy link, Restart, Resume, Remove",
		supervise.Invalid:   "Copy link, Remove",
	} {
		var can []string
		for _, i := range shareItem(one("a", phase)).Items {
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
	for _, i := range shareItem(bare).Items {
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
	remove := title("share/a").Items[5]
	if remove.Action.Kind != NoAction || len(remove.Items) != 1 || remove.Items[0].Action.Kind != Remove || remove.Items[0].Title != "Remove “a” now" {
		t.Errorf("%+v", remove)
	}
	last := m.Items[len(m.Items)-1]
	if last.Action.Kind != Quit || !last.Enabled || !m.Items[len(m.Items)-3].Separator || m.Items[len(m.Items)-2].Visible {
		t.Errorf("%+v", last)
	}
	// Well again: the line of the error is gone.
	if m = Model([]agentcore.Status{one("a", supervise.Ready)}, State{}); title("error").Visible {
		t.Error("an error of the past is shown")
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
		for at := range arrange(Model(slices.Repeat([]agentcore.Status{st}, 20), State{}), "linux") {
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
