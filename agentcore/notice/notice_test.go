package notice

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"sharetray/agentcore"
	"sharetray/agentcore/share"
	"sharetray/agentcore/supervise"
	"sharetray/agentcore/words"
)

func event(t agentcore.EventType, name string) agentcore.Event {
	e := agentcore.Event{Type: t, Share: agentcore.Status{Name: name, Notify: true, State: supervise.Ready}}
	switch t {
	case agentcore.Crashed:
		e.Cause, e.Share.State = "killed by signal 9", supervise.Starting
	case agentcore.Recovered:
		e.Downtime = 12 * time.Millisecond
	case agentcore.Failed:
		e.Share.State, e.Share.LastError = supervise.Failed, "it ended ten times in a row"
	case agentcore.Blocked:
		e.Share.State, e.Share.LastError = supervise.Backoff, "port 8080 is taken by nginx (pid 7)"
	}
	return e
}

func TestWhatIsTold(t *testing.T) {
	type at struct {
		after time.Duration // since the one before
		typ   agentcore.EventType
		state supervise.Phase // for Changed
		quiet bool
	}
	crash, back := agentcore.Crashed, agentcore.Recovered
	for _, c := range []struct {
		name string
		in   []at
		want []string // "seconds title: body"
	}{
		{"a crash that is mended", []at{{typ: crash}, {typ: back}},
			[]string{"0 Photos crashed and is back: Killed by signal 9; it was away for 0.01 s."}},
		{"a crash that is not mended", []at{{typ: crash}},
			[]string{"10 Photos crashed and is not back yet: Killed by signal 9; it is being started again."}},
		{"mended late", []at{{typ: crash}, {after: 20 * time.Second, typ: back}},
			[]string{
				"10 Photos crashed and is not back yet: Killed by signal 9; it is being started again.",
				"70 Photos is back: It was away for 0.01 s.",
			}},
		{"a loop", []at{{typ: crash}, {typ: back}, {after: time.Second, typ: crash}, {typ: back}, {after: 20 * time.Second, typ: crash}, {typ: back}},
			[]string{
				"0 Photos crashed and is back: Killed by signal 9; it was away for 0.01 s.",
				"60 Photos crashed 2 times in the last minute: The last time: killed by signal 9; it is up.",
			}},
		{"failed", []at{{typ: crash}, {typ: agentcore.Failed}},
			[]string{"0 Photos has failed: It ended ten times in a row.\nSee its log for the reason, then resume it."}},
		{"failed again and again", []at{{typ: agentcore.Failed}, {after: time.Second, typ: agentcore.Failed}, {after: time.Second, typ: agentcore.Failed}},
			[]string{
				"0 Photos has failed: It ended ten times in a row.\nSee its log for the reason, then resume it.",
				"60 Photos has failed: It ended ten times in a row.\nSee its log for the reason, then resume it.",
			}},
		{"failed again, and started by the user", []at{
			{typ: agentcore.Failed}, {after: time.Second, typ: agentcore.Failed},
			{after: time.Second, typ: agentcore.Changed, state: supervise.Ready},
		},
			[]string{"0 Photos has failed: It ended ten times in a row.\nSee its log for the reason, then resume it."}},
		{"port taken, tried often", []at{{typ: agentcore.Blocked}, {after: 30 * time.Second, typ: agentcore.Blocked}, {after: 60 * time.Second, typ: agentcore.Blocked}},
			[]string{"0 Photos can't have its port: Port 8080 is taken by nginx (pid 7).\nClose the other program, or give the share another port: it goes up by itself when the port is free."}},
		{"opted out", []at{{typ: crash, quiet: true}, {typ: back, quiet: true}, {typ: agentcore.Failed, quiet: true}}, nil},
		{"stopped by the user", []at{{typ: crash}, {after: time.Second, typ: agentcore.Changed, state: supervise.Stopping}}, nil},
		{"removed", []at{{typ: crash}, {after: time.Second, typ: agentcore.Removed}}, nil},
		{"only changes", []at{{typ: agentcore.Changed, state: supervise.Starting}, {typ: agentcore.Changed, state: supervise.Ready}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				events := make(chan agentcore.Event)
				var got []string
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() {
					defer close(done)
					Run(ctx, events, words.English, func() bool { return true }, func(n Note) {
						if n.ID != "share:Photos" || n.Share != "Photos" || n.Urgent != strings.Contains(n.Title, "failed") {
							t.Errorf("%+v", n)
						}
						got = append(got, fmt.Sprintf("%.0f %s: %s", time.Since(begin).Seconds(), n.Title, n.Body))
					})
				}()
				for _, a := range c.in {
					time.Sleep(a.after)
					e := event(a.typ, "Photos")
					if a.state != "" {
						e.Share.State = a.state
					}
					e.Share.Notify = !a.quiet
					events <- e
					synctest.Wait()
				}
				time.Sleep(10 * time.Minute)
				cancel()
				<-done
				if strings.Join(got, "\n\n") != strings.Join(c.want, "\n\n") {
					t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
			})
		})
	}
}

func TestRunWhileASendHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan agentcore.Event)
		release := make(chan struct{})
		var got []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			Run(t.Context(), events, words.English, func() bool { return true }, func(n Note) {
				<-release
				got = append(got, n.Title)
			})
		}()
		for n := range 1000 { // none of which waits
			events <- event(agentcore.Crashed, fmt.Sprint("s", n%3))
			events <- event(agentcore.Recovered, fmt.Sprint("s", n%3))
			time.Sleep(time.Second)
		}
		close(release)
		synctest.Wait()
		if len(got) != 4 { // the one that hung, and the newest of each share
			t.Errorf("told %q", got)
		}
		close(events)
		<-done
	})
}

func TestSwitchedOffForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan agentcore.Event)
		done := make(chan struct{})
		go func() {
			defer close(done)
			Run(t.Context(), events, words.English, func() bool { return false }, func(n Note) { t.Errorf("told %+v", n) })
		}()
		events <- event(agentcore.Failed, "a")
		events <- event(agentcore.Failed, "b")
		synctest.Wait()
		close(events)
		<-done
	})
}

// Whatever happens, a share is told of at most once a minute in each of its
// three kinds of trouble, never when it has opted out, and no crash is lost or
// counted twice.
func TestNeverTooMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		var r record
		told := map[string][]time.Time{}
		crashes, counted := 0, 0
		keep := func(notes []Note) {
			for _, n := range notes {
				kind := "crash"
				switch {
				case strings.Contains(n.Title, "failed"):
					kind = "failed"
				case strings.Contains(n.Title, "port"):
					kind = "port"
				case strings.Contains(n.Title, "times"):
					var k int
					if _, err := fmt.Sscanf(strings.TrimPrefix(n.Title, "x crashed "), "%d", &k); err != nil {
						t.Fatalf("no number in %q", n.Title)
					}
					counted += k
				case strings.Contains(n.Title, "crashed"):
					counted++
				}
				if times := told[kind]; len(times) > 0 && now.Sub(times[len(times)-1]) < window {
					t.Fatalf("%s after %s of silence: %q", kind, now.Sub(times[len(times)-1]), n.Title)
				}
				told[kind] = append(told[kind], now)
			}
		}
		types := []agentcore.EventType{
			agentcore.Crashed, agentcore.Crashed, agentcore.Recovered, agentcore.Recovered,
			agentcore.Failed, agentcore.Blocked, agentcore.Changed,
		}
		given := false // up, or failed: crashes may be dropped for the failure's sake
		var notes []Note
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			end := now.Add(time.Duration(rapid.IntRange(0, 40_000).Draw(t, "ms")) * time.Millisecond)
			for due := r.due(); !due.IsZero() && !due.After(end); due = r.due() {
				if due.After(now) {
					now = due
				}
				r, notes = tick(words.English(), r, "x", now)
				keep(notes)
			}
			now = end
			e := event(rapid.SampledFrom(types).Draw(t, "type"), "x")
			switch e.Type {
			case agentcore.Crashed:
				crashes++
			case agentcore.Failed:
				given = true
			}
			r, notes = step(words.English(), r, e, now)
			keep(notes)
		}
		if pending := r.crashes; !given && counted+pending != crashes || counted > crashes {
			t.Fatalf("%d crashes, %d told, %d to be told", crashes, counted, pending)
		}
		e := event(agentcore.Failed, "x")
		e.Share.Notify = false
		if _, notes := step(words.English(), record{}, e, now); len(notes) != 0 {
			t.Fatalf("told against the share's will: %v", notes)
		}
	})
}

func TestName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Photos":                  "Photos",
		strings.Repeat("ab", 100): strings.Repeat("ab", 10) + "…b" + strings.Repeat("ab", 9),
		"תמונות":                  "\u200e\u2068תמונות\u2069",
		"a\u202egpj.exe":          "agpj.exe",
		"line\nbreak\x00":         "line break",
		strings.Repeat("a", 40):   strings.Repeat("a", 40),
		"aaaaaaaaaaaaaaaaaaa👩\u200d👩" + strings.Repeat("b", 40): "aaaaaaaaaaaaaaaaaaa…" + strings.Repeat("b", 19),
	} {
		if got := Name(in); got != want {
			t.Errorf("Name(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Line("the folder is gone: put it back", 12); got != "the folder…" {
		t.Errorf("Line: %q", got)
	}
}

func TestEveryStateHasWords(t *testing.T) {
	t.Parallel()
	troubles := []supervise.Trouble{supervise.NoTrouble, supervise.TargetTrouble, supervise.ProcessTrouble, supervise.PortTrouble, supervise.ConfigTrouble}
	for _, p := range supervise.Phases {
		for _, tr := range troubles {
			for _, k := range []share.Kind{share.Web, share.Proxy} {
				st := agentcore.Status{State: p, Trouble: tr, Kind: k}
				if w := State(words.English(), st); w == "" || strings.HasPrefix(w, "state.") || w == string(p) && strings.Contains("ready unhealthy backoff stopped invalid", w) {
					t.Errorf("%s, %s, %s: %q", p, tr, k, w)
				}
			}
		}
	}
	for in, want := range map[time.Duration]string{0: "0.01 s", 8 * time.Millisecond: "0.01 s", 45 * time.Second: "45 s", 5 * time.Minute: "5 minutes"} {
		if got := Away(words.English(), in); got != want {
			t.Errorf("away(%s) = %s", in, got)
		}
	}
}

// TestADayOfNotes: what a day of shares that come, crash and go leaves behind is nothing.
func TestADayOfNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan agentcore.Event)
		told := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			Run(t.Context(), events, words.English, func() bool { return true }, func(Note) { told++ })
		}()
		heap := func() uint64 {
			synctest.Wait()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		hour := func(n int) {
			for i := range 3600 {
				name := fmt.Sprint("share ", n, " ", i)
				for _, e := range []agentcore.EventType{agentcore.Crashed, agentcore.Recovered, agentcore.Failed, agentcore.Removed} {
					events <- event(e, name)
				}
				time.Sleep(time.Second)
			}
		}
		hour(0)
		before := heap()
		for n := range 23 {
			hour(n + 1)
		}
		if now := heap(); now > before+1<<20 {
			t.Errorf("after a day %d bytes are in use, after an hour there were %d", now, before)
		}
		close(events)
		<-done
		if told < 24*3600 {
			t.Errorf("%d were told", told)
		}
	})
}
