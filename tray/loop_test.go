package tray

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/supervise"
	"sharetray/agentcore/words"
	"sharetray/assets"
	"sharetray/platform"
)

// paper is a screen that remembers what is drawn on it, and how often.
type paper struct {
	faces  map[slot]face
	draws  int
	shown  assets.State
	tip    string
	inside []change
}

func (p *paper) draw(changes []change) {
	p.draws++
	p.inside = changes
	for _, c := range changes {
		p.faces[c.slot] = c.to
	}
}
func (p *paper) renew([]poolItem, chan<- slot) { p.faces = map[slot]face{} }
func (p *paper) icon(s assets.State)           { p.shown = s }
func (p *paper) tooltip(tip string)            { p.tip = tip }

// scripted is an agent that has the shares that the test gives it.
type scripted struct {
	mu     sync.Mutex
	shares []agentcore.Status
	events chan agentcore.Event
	subs   int
	called []string
	hang   bool

	outdated bool
}

// has changes the shares, and says so.
func (a *scripted) has(shares ...agentcore.Status) {
	a.mu.Lock()
	a.shares = shares
	a.mu.Unlock()
	a.events <- agentcore.Event{}
}

func (a *scripted) List() []agentcore.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shares
}
func (a *scripted) Subscribe() ([]agentcore.Status, <-chan agentcore.Event, func()) {
	a.subs++
	a.events = make(chan agentcore.Event)
	return a.List(), a.events, func() {}
}
func (a *scripted) call(ctx context.Context, what, name string) (s agentcore.Status, err error) {
	a.mu.Lock()
	a.called = append(a.called, what+" "+name)
	a.mu.Unlock()
	if a.hang {
		<-ctx.Done()
	}
	return s, nil
}
func (a *scripted) Start(c context.Context, n string) (agentcore.Status, error) {
	return a.call(c, "start", n)
}
func (a *scripted) Stop(c context.Context, n string) (agentcore.Status, error) {
	return a.call(c, "stop", n)
}
func (a *scripted) Restart(c context.Context, n string) (agentcore.Status, error) {
	return a.call(c, "restart", n)
}
func (a *scripted) Remove(c context.Context, n string) error {
	_, err := a.call(c, "remove", n)
	return err
}
func (a *scripted) Add(c context.Context, n agentcore.NewShare) (agentcore.Status, error) {
	return a.call(c, "add", n.Target)
}
func (a *scripted) Quit() { _, _ = a.call(context.Background(), "quit", "") }
func (a *scripted) Info() agentcore.Info {
	a.mu.Lock()
	defer a.mu.Unlock()
	return agentcore.Info{Profile: "work", Outdated: a.outdated}
}
func (a *scripted) Upgrade(string) (u agentcore.Upgrade, err error) {
	_, err = a.call(context.Background(), "upgrade", "")
	return u, err
}

// onPaper runs the loop with fake time.
func onPaper(t *testing.T, do func(t *testing.T, l *loop, a *scripted, p *paper)) {
	synctest.Test(t, func(t *testing.T) {
		a := &scripted{}
		p := &paper{faces: map[slot]face{}}
		l := newLoop(a, Options{Language: words.English, notify: func(context.Context, platform.Note) error { return nil }})
		l.screen = p
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.run(ctx, ctx) }()
		synctest.Wait()
		do(t, l, a, p)
		cancel()
		<-done
	})
}

// TestAnUpdateIsOffered: nothing happens to any share meanwhile.
func TestAnUpdateIsOffered(t *testing.T) {
	t.Parallel()
	onPaper(t, func(t *testing.T, l *loop, a *scripted, p *paper) {
		if p.faces["update"].visible || p.tip != "Sharetray (work): Nothing is shared yet" {
			t.Errorf("%+v, %q", p.faces["update"], p.tip)
		}
		a.mu.Lock()
		a.outdated = true
		a.mu.Unlock()
		time.Sleep(agentLook + drawInterval)
		synctest.Wait()
		if !p.faces["update"].visible || p.faces["update"].title != "Restart to update" {
			t.Errorf("%+v", p.faces["update"])
		}
		l.clicks <- "update"
		synctest.Wait()
		if len(a.called) != 1 || a.called[0] != "upgrade " {
			t.Errorf("%q", a.called)
		}
	})
}

func TestAStormIsDrawnFiveTimesASecond(t *testing.T) {
	t.Parallel()
	onPaper(t, func(t *testing.T, l *loop, a *scripted, p *paper) {
		p.draws = 0
		for n := range 10_000 { // ten seconds
			a.has(one("Photos", supervise.Phases[n%3]))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if p.draws < 20 || p.draws > 51 {
			t.Errorf("%d drawings in ten seconds", p.draws)
		}
		a.has(one("Photos", supervise.Ready))
		time.Sleep(300 * time.Millisecond)
		synctest.Wait()
		if p.faces["0"].title != "Photos · up" || p.shown != assets.Well {
			t.Errorf("the last change is not drawn: %+v, %s", p.faces["0"], p.shown)
		}
		a.events <- agentcore.Event{} // of what is not shown
		draws := p.draws
		time.Sleep(time.Second)
		synctest.Wait()
		if p.draws != draws {
			t.Errorf("drawn though nothing differs: %+v", p.inside)
		}
	})
}

func TestOnlyWhatDiffersIsDrawn(t *testing.T) {
	t.Parallel()
	onPaper(t, func(t *testing.T, l *loop, a *scripted, p *paper) {
		step := func(shares ...agentcore.Status) {
			a.has(shares...)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		step(one("a", supervise.Ready), one("b", supervise.Ready))
		step(one("a", supervise.Ready), one("b", supervise.Starting))
		if got := fmt.Sprint(len(p.inside)); got != "2" { // the summary and b's title
			t.Errorf("%s changes: %+v", got, p.inside)
		}
		step(one("a", supervise.Ready))
		for _, c := range p.inside {
			if c.slot != "1" && c.slot != "summary" {
				t.Errorf("changed %q under a hidden item", c.slot)
			}
		}
		step(one("a", supervise.Ready), one("c", supervise.Stopped))
		if f := p.faces["1/pause"]; f.title != "Resume" || f.action.Share != "c" {
			t.Errorf("%+v", f)
		}
		if f := p.faces["1/remove/now"]; f.title != "Remove “c” now" {
			t.Errorf("%+v", f)
		}
	})
}

func TestAClickMeansTheShareThatWasSeen(t *testing.T) {
	t.Parallel()
	onPaper(t, func(t *testing.T, l *loop, a *scripted, p *paper) {
		show := func(shares ...agentcore.Status) {
			a.has(shares...)
			time.Sleep(drawInterval)
			synctest.Wait()
		}
		click := func(at slot) {
			l.clicks <- at
			synctest.Wait()
		}
		b := one("b", supervise.Ready)
		show(b)
		click("0/restart")
		show(one("a", supervise.Ready), b) // b has moved on, a is where it was
		click("0/remove/now")
		click("0/restart")
		time.Sleep(settleTime)
		click("0/restart")
		click("1/pause")
		click("7/pause") // nobody there
		click("nonsense")
		if got := fmt.Sprint(a.called); got != "[restart b restart a stop b]" {
			t.Errorf("called %s", got)
		}
	})
}

func TestWhatIsUnderWayIsNotBegunAgain(t *testing.T) {
	t.Parallel()
	onPaper(t, func(t *testing.T, l *loop, a *scripted, p *paper) {
		a.hang = true
		a.has(one("a", supervise.Ready))
		time.Sleep(time.Second)
		for range 100 {
			l.clicks <- "0/restart"
			synctest.Wait()
		}
		l.clicks <- "0/pause"
		synctest.Wait()
		if got := fmt.Sprint(a.called); got != "[restart a stop a]" {
			t.Errorf("called %s", got)
		}
	})
}

func TestAClosedChannelIsAskedForAgain(t *testing.T) {
	t.Parallel()
	onPaper(t, func(t *testing.T, l *loop, a *scripted, p *paper) {
		a.mu.Lock()
		a.shares = []agentcore.Status{one("a", supervise.Ready)}
		a.mu.Unlock()
		close(a.events)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if a.subs != 2 || p.faces["0"].title != "a · up" {
			t.Errorf("%d subscriptions, %+v", a.subs, p.faces["0"])
		}
	})
}

// TestADay: what a day of changes leaves behind is nothing.
func TestADay(t *testing.T) { // alone, since it counts all goroutines
	onPaper(t, func(t *testing.T, l *loop, a *scripted, p *paper) {
		names := 0
		hour := func() {
			for n := range 360 {
				names++
				a.has(one(fmt.Sprint("share ", names), supervise.Phases[n%len(supervise.Phases)]), one("always", supervise.Ready))
				l.clicks <- slot(fmt.Sprint(n%3, "/restart"))
				time.Sleep(10 * time.Second)
			}
			synctest.Wait()
		}
		size := func() []int { return []int{len(l.faces), len(l.busy), len(l.turned), runtime.NumGoroutine()} }
		hour()
		before := size()
		for range 23 {
			hour()
		}
		for i, now := range size() {
			if now > before[i] {
				t.Errorf("after a day there are %v, after an hour there were %v", size(), before)
			}
		}
	})
}
