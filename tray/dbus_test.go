//go:build linux

package tray

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/notice"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
	"sharetray/agentcore/words"
	"sharetray/assets"
)

func up(name string) agentcore.Status {
	return agentcore.Status{
		Name: name, Kind: share.Web, State: supervise.Ready, Notify: true,
		URLs: []string{"http://127.0.0.1:8080/" + name},
	}
}

func in(st agentcore.Status, p supervise.Phase, reason string) agentcore.Status {
	st.State, st.LastError = p, reason
	return st
}

func TestTheMenuFollowsTheShares(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	b.start()
	host := b.panel()
	tray := startTray(t, b.address(), up("Photos"), up("my_app & co"))
	icon := host.icon()

	icon.menuUntil("both shares", func(m []line) bool {
		return has("2 shares, all well")(m) && has("Photos · up", "Open")(m) && has("my__app & co · up")(m)
	})
	size, well := icon.pixmap()
	if size != 48 || len(well) != 48*48*4 {
		t.Fatalf("the icon has %d pixels a side and %d bytes", size, len(well))
	}

	tray.shares(in(up("Photos"), supervise.Failed, "the folder /srv/photos is gone"), up("my_app & co"))
	m := icon.menuUntil("the failure", has("Photos · failed", "Resume"))
	for _, want := range [][]string{
		{"Photos needs attention"},
		{"Photos: the folder /srv/photos is gone"},
		{"Photos · failed", "the folder /srv/photos is gone"},
	} {
		icon.menuUntil(fmt.Sprint(want), has(want...))
	}
	if l := find(m, "Photos · failed", "Open"); l == nil || l.enabled {
		t.Errorf("Open of a failed share is %v", l)
	}
	if _, now := icon.pixmap(); now == well {
		t.Error("the icon looks as if all were well")
	}

	tray.shares()
	m = icon.menuUntil("an empty menu", has("Nothing is shared yet"))
	icon.menuUntil("no shares", func(m []line) bool { return find(m, "Photos") == nil && find(m, "my__app") == nil })
	if l := find(m, "Quit"); l == nil || !l.enabled {
		t.Errorf("Quit is %v", l)
	}
	tray.end()
}

func TestClicksReachTheAgent(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	b.start()
	host := b.panel()
	tray := startTray(t, b.address(), up("Photos"), up("Slow"), in(up("Idle"), supervise.Stopped, ""))
	icon := host.icon()
	m := icon.menuUntil("all items", has("Idle · paused", "Remove", "Remove “Idle” now"))

	icon.click(m, "Photos", "Open")
	tray.expect("agent: browse http://127.0.0.1:8080/Photos")
	icon.click(m, "Slow", "Pause")
	tray.expect("agent: stop Slow")
	icon.click(m, "Photos", "Copy link") // while the pause goes on for ever
	tray.expect("agent: copy http://127.0.0.1:8080/Photos")
	tray.expect(`agent: notify "The link of Photos" "http://127.0.0.1:8080/Photos\nNo clipboard here."`)
	icon.click(m, "Photos", "Restart")
	tray.expect("agent: restart Photos")
	tray.expect(`agent: notify "Photos could not be restarted" "The folder is gone."`)
	icon.click(m, "Photos", "Pause")
	tray.expect("agent: stop Photos")
	icon.click(m, "Idle", "Restart") // is disabled, and so nothing
	icon.click(m, "Idle", "Resume")
	tray.expect("agent: start Idle")
	icon.click(m, "Photos", "Remove") // only opens its submenu
	icon.click(m, "Photos", "Remove", "Remove “Photos” now")
	tray.expect("agent: remove Photos")
	tray.shares(up("Outdated"))
	m = icon.menuUntil("an update", has("Restart to update"))
	icon.click(m, "Restart to update")
	tray.expect(`agent: upgrade ""`)
	tray.expect(`agent: notify "Sharetray could not be updated" "It is for another processor."`)
	icon.click(m, "Quit")
	tray.expect("agent: quit")
	tray.end()
}

func TestTheRestOfTheMenu(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	b.start()
	host := b.panel()
	fact := func(text string) agentcore.Status { return agentcore.Status{Name: text} }
	tray := startTray(t, b.address(), up("Photos"), fact("choose=/srv/x"))
	icon := host.icon()
	m := icon.menuUntil("the ports", func(m []line) bool {
		return has("Share a port…", "3000 · node")(m) && has("Share a port…", "5432")(m) && has("Photos", "Log")(m)
	})
	icon.click(m, "Share a folder…")
	tray.expect("agent: add web /srv/x")
	tray.expect(`agent: notify "new is shared" "http://127.0.0.1:8080/new"`)
	icon.click(m, "Share a port…", "3000")
	tray.expect("agent: add proxy 3000")
	icon.click(m, "Share a port…", "Another port…")
	tray.expect("agent: page /add/proxy")
	icon.click(m, "Dashboard")
	tray.expect("agent: page /")
	for item, page := range map[string]string{"Show QR code": "/qr", "Log": "/log", "Settings…": "/edit"} {
		icon.click(m, "Photos", item)
		tray.expect("agent: page /shares/Photos" + page)
	}

	// Switches show what is so.
	icon.click(m, "Start at login")
	tray.expect("agent: autostart true")
	m = icon.menuUntil("the check", func(m []line) bool { l := find(m, "Start at login"); return l != nil && l.checked })
	icon.click(m, "Start at login")
	tray.expect("agent: autostart false")
	icon.menuUntil("no check", func(m []line) bool { l := find(m, "Start at login"); return l != nil && !l.checked })
	icon.click(m, "Notifications")
	tray.expect("agent: notifications false")
	tray.expect(`agent: notify "That could not be changed" "The disk is full."`)
	tray.end()
}

// TestNoFolder: the chooser is cancelled or missing, or has what is gone.
func TestNoFolder(t *testing.T) {
	t.Parallel()
	for choice, want := range map[string][]string{
		"":      {"agent: chose \"\"", "agent: page /"}, // of the click after it: nothing else was done
		"none":  {"agent: page /add/web"},
		"/gone": {`agent: notify "/gone could not be shared" "There is no folder /gone: check the spelling."`},
	} {
		t.Run(choice, func(t *testing.T) {
			t.Parallel()
			b := newBus(t)
			b.start()
			host := b.panel()
			tray := startTray(t, b.address(), up("Photos"), agentcore.Status{Name: "choose=" + choice})
			icon := host.icon()
			m := icon.menuUntil("the item", has("Share a folder…"))
			icon.click(m, "Share a folder…")
			tray.expect(want[0])
			if len(want) > 1 {
				icon.click(m, "Dashboard")
				if line := tray.next(); line != want[1] {
					t.Errorf("then it says %s", line)
				}
			}
			tray.end()
		})
	}
}

func TestQuitWaitsForTransfers(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	b.start()
	host := b.panel()
	busy := up("Photos")
	busy.Active = 1
	tray := startTray(t, b.address(), busy)
	icon := host.icon()
	m := icon.menuUntil("the question", has("Quit", "Quit now, and cut 1 transfer"))
	icon.click(m, "Quit", "Quit when")
	m = icon.menuUntil("a way back", has("Don't quit after all"))
	icon.click(m, "Don't quit after all")
	m = icon.menuUntil("as before", has("Quit", "Quit when"))
	icon.click(m, "Quit", "Quit when")
	icon.menuUntil("a way back", has("Don't quit after all"))
	tray.shares(up("Photos"))
	tray.expect("agent: quit")
	tray.end()
}

func TestMoreSharesThanSlotsFold(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	b.start()
	host := b.panel()
	var shares []agentcore.Status
	for n := range 500 {
		shares = append(shares, up(fmt.Sprintf("s%03d", n)))
	}
	tray := startTray(t, b.address(), shares...)
	icon := host.icon()
	m := icon.menuUntil("the rest in one line", has("485 more…"))
	icon.click(m, "485 more…")
	tray.expect("agent: page /")
	if find(m, "s014 · up") == nil || find(m, "s015") != nil {
		t.Errorf("the menu is:\n%s", show(m, ""))
	}
	tray.shares(shares[:3]...)
	icon.menuUntil("three shares", func(m []line) bool {
		return find(m, "485") == nil && find(m, "s003") == nil && has("s002 · up", "Restart")(m)
	})
	tray.end()
}

func TestTheIconComesWithItsHost(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	tray := startTray(t, b.address(), up("Photos"))
	tray.expect("no session bus")
	b.start()
	tray.expect("no tray on this desktop")
	host := b.panel()
	host.icon().menuUntil("the share", has("Photos · up"))

	// The host is restarted.
	_ = host.conn.Close()
	host = b.panel()
	host.icon().menuUntil("the share again", has("Photos · up"))

	// The bus dies and comes back, with what it lost in between.
	b.stop()
	tray.expect("no session bus")
	tray.shares(in(up("Photos"), supervise.Unhealthy, "the folder is gone"))
	b.start()
	host = b.panel()
	icon := host.icon()
	m := icon.menuUntil("the trouble", has("Photos · not", "Restart"))
	icon.click(m, "Photos", "Restart")
	tray.expect("agent: restart Photos")
	tray.end()
}

func TestWithoutABus(t *testing.T) {
	t.Parallel()
	tray := startTray(t, "unix:path=/nonexistent/bus", up("Photos"))
	tray.expect("no session bus")
	tray.shares()
	tray.end()
}

func TestTheIconIsTheDrawnOne(t *testing.T) {
	t.Parallel()
	b := newBus(t)
	b.start()
	host := b.panel()
	tray := startTray(t, b.address())
	icon := host.icon()
	icon.menuUntil("the summary", has("Nothing is shared yet"))
	seen := map[string]assets.State{}
	for _, s := range []struct {
		shares []agentcore.Status
		want   assets.State
	}{
		{nil, assets.Nothing},
		{[]agentcore.Status{up("a")}, assets.Well},
		{[]agentcore.Status{up("a"), in(up("b"), supervise.Starting, "")}, assets.Working},
		{[]agentcore.Status{up("a"), in(up("b"), supervise.Invalid, "line 3")}, assets.Trouble},
	} {
		tray.shares(s.shares...)
		icon.menuUntil(string(s.want), has(notice.Summary(words.English(), s.shares)))
		_, pixels := icon.pixmap()
		if other, twice := seen[pixels]; twice {
			t.Errorf("%s looks like %s", s.want, other)
		}
		seen[pixels] = s.want
	}
	tray.end()
}

// TestAStormOnTheBus: what a thousand changes a second cost the tray and its host. The
// numbers of the design are logged; what is asserted leaves room for busy machines.
func TestAStormOnTheBus(t *testing.T) {
	b := newBus(t)
	b.start()
	host := b.panel()
	tray := startTray(t, b.address(), up("Photos"))
	icon := host.icon()
	icon.menuUntil("the share", has("Photos · up"))
	for len(host.signals) > 0 {
		<-host.signals
	}
	tray.shares(agentcore.Status{Name: "storm=now"})
	tray.expect("agent: storm of")
	rate := float64(len(host.signals)) / stormTime.Seconds()
	var changes int
	var cost float64
	if _, err := fmt.Sscanf(tray.last, "agent: storm of %d cost %f", &changes, &cost); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d changes in %v: %.1f %% of a core, %.0f signals a second", changes, stormTime, 100*cost, rate)
	if most := map[bool]float64{false: 0.15, true: 0.6}[raceDetector]; cost > most {
		t.Errorf("it costs %.1f %% of a core", 100*cost)
	}
	if rate > 150 {
		t.Errorf("%.0f signals a second", rate)
	}
	icon.menuUntil("calm", has("Nothing is shared yet"))
	tray.end()
}

// TestChangesAreSeenSoon: the median of how long a change takes until it is in the menu.
func TestChangesAreSeenSoon(t *testing.T) {
	b := newBus(t)
	b.start()
	host := b.panel()
	tray := startTray(t, b.address(), up("Photos"))
	icon := host.icon()
	icon.menuUntil("the share", has("Photos · up"))
	var took []time.Duration
	for n := range 21 {
		state, want := supervise.Stopped, "Photos · paused"
		if n%2 == 1 {
			state, want = supervise.Ready, "Photos · up"
		}
		begun := time.Now()
		tray.shares(in(up("Photos"), state, ""))
		icon.menuUntil(want, has(want))
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	t.Logf("a change is seen after %v (median), %v at most", took[len(took)/2], took[len(took)-1])
	if took[len(took)/2] > 300*time.Millisecond {
		t.Errorf("a change is seen after %v", took[len(took)/2])
	}
	tray.end()
}
