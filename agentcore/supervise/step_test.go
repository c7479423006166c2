package supervise

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sharetray/agentcore/link"
	"sharetray/agentcore/policy"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// after runs a share's life through the events, a second apart, and returns
// where it stands and what the last event asked for.
func after(t testing.TB, events ...Event) (State, []Effect) {
	t.Helper()
	s, now := New(t0), t0
	var effects []Effect
	for _, e := range events {
		if e.At.IsZero() {
			now = now.Add(time.Second)
			e.At = now
		} else {
			now = e.At
		}
		s, effects = Step(s, e, policy.Default())
	}
	return s, effects
}

var (
	declared  = Event{Kind: Declare, Roll: true, StopGrace: 10 * time.Second}
	isBound   = Event{Kind: Bound}
	serves    = func(w int) Event { return Event{Kind: Serving, Worker: w, PID: 100 + w} }
	isReady   = func(w int) Event { return Event{Kind: Probed, Worker: w, OK: true, Health: &link.Health{}} }
	neverFree = append(slices.Repeat([]Event{{Kind: BindFailed, Reason: "taken"}, {Kind: RetryDue}}, letGoTries-1), Event{Kind: BindFailed, Reason: "taken"})
	letGo     = Event{Kind: Released}
	exits     = func(w int) Event { return Event{Kind: Exited, Worker: w, Reason: "it was killed by SIGKILL"} }
	// tellsLimit is what process 1, or another, says of its limits.
	tellsLimit = func(full, excess string, w ...int) Event {
		return Event{Kind: Told, Worker: append(w, 1)[0], Health: &link.Health{Full: full, Excess: excess}}
	}
	// pinged is the answer of process 1, so long after t0, with all requests so far.
	pinged = func(after time.Duration, requests uint64) Event {
		return Event{Kind: Answered, Worker: 1, At: t0.Add(after), Health: &link.Health{Use: link.Use{Requests: requests}}}
	}
	up = []Event{declared, {Kind: Start}, isBound, serves(1), isReady(1)}

	isFound = Event{Kind: Find, PID: 101, Version: "old", Restarts: 3}
	adopts  = Event{Kind: Adopted, Worker: 1, OK: true, PID: 101, Version: "old", Age: time.Hour, Same: true, Health: &link.Health{}}
	met     = []Event{declared, isFound}
	taken   = []Event{declared, isFound, adopts}
)

// but is an event with something else about it.
func but(e Event, change func(*Event)) Event {
	change(&e)
	return e
}

func lifeOf(events ...any) []Event {
	var all []Event
	for _, e := range events {
		switch e := e.(type) {
		case Event:
			all = append(all, e)
		case []Event:
			all = append(all, e...)
		}
	}
	return all
}

func has(effects []Effect, kind EffectKind, worker int) bool {
	return slices.ContainsFunc(effects, func(e Effect) bool { return e.Kind == kind && e.Worker == worker })
}

func hasFor(effects []Effect, kind EffectKind, worker int, after time.Duration) bool {
	return slices.Contains(effects, Effect{Kind: kind, Worker: worker, After: after})
}

func hasTimer(effects []Effect, due Kind, after time.Duration) bool {
	return slices.Contains(effects, Effect{Kind: Timer, Due: due, After: after})
}

func says(effects []Effect, kind NoticeKind) bool {
	return slices.ContainsFunc(effects, func(e Effect) bool { return e.Kind == Tell && e.Say.Kind == kind })
}

func TestTableHasEveryPair(t *testing.T) {
	for k := range kinds {
		for _, p := range Phases {
			if table[k][column(p)] == nil {
				t.Errorf("nothing is said of %s while %s", k, p)
			}
		}
		if kindNames[k] == "" {
			t.Errorf("event %d has no name", k)
		}
	}
}

// TestWhatFollows writes down the lives that matter.
func TestWhatFollows(t *testing.T) {
	missed := Event{Kind: Silent, Worker: 1}
	early := func(events ...Event) []Event { // n starts that die before they are ready
		all := []Event{declared, {Kind: Start}, isBound}
		for i := range policy.Default().GiveUpAfter {
			if i > 0 {
				all = append(all, Event{Kind: RetryDue})
			}
			all = append(all, serves(i+1), exits(i+1))
		}
		return append(all, events...)
	}
	tests := []struct {
		name    string
		life    []Event
		phase   Phase
		trouble Trouble
		check   func(State, []Effect) string
	}{
		{"nothing known", nil, Invalid, NoTrouble, nil},
		{"declared, not wanted", []Event{declared}, Stopped, NoTrouble, nil},
		{"spoiled from the first", []Event{{Kind: Spoil, Reason: "photos.toml:3: …"}}, Invalid, ConfigTrouble, nil},
		{"wanted", []Event{declared, {Kind: Start}}, Starting, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Bind, 0), "the sockets are asked for first")
		}},
		{"bound", []Event{declared, {Kind: Start}, isBound}, Starting, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Acquire, 1), "a process is asked for")
		}},
		{"up", up, Ready, NoTrouble, func(s State, _ []Effect) string {
			return expect(s.InForce() && s.Cur.PID == 101, "in force")
		}},
		{"crash after a while", lifeOf(up, exits(1)), Starting, ProcessTrouble, func(s State, e []Effect) string {
			return expect(has(e, Acquire, 2) && says(e, NoticeCrashed) && s.Restarts == 1 && s.BoundGen == s.Gen,
				"replaced at once, sockets held")
		}},
		{"back after a crash", lifeOf(up, exits(1), serves(2), isReady(2)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(says(e, NoticeRecovered) && s.DownSince.IsZero() && s.Attempts == 0, "recovery is told")
		}},
		{"dying", lifeOf(up, Event{Kind: Vanished, Worker: 1}), Starting, ProcessTrouble, func(s State, e []Effect) string {
			return expect(has(e, Acquire, 2) && !says(e, NoticeCrashed) && s.Restarts == 1, "replaced before it is dead")
		}},
		{"dead", lifeOf(up, Event{Kind: Vanished, Worker: 1}, exits(1)), Starting, ProcessTrouble, func(s State, e []Effect) string {
			return expect(says(e, NoticeCrashed) && s.Cause != "" && s.Restarts == 1 && len(s.Crashes) == 1, "now it is told how")
		}},
		{"replaced before it is dead", lifeOf(up, Event{Kind: Vanished, Worker: 1}, serves(2), isReady(2)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(!says(e, NoticeRecovered), "the recovery is not told before the crash")
		}},
		{"dead after its replacement is up", lifeOf(up, Event{Kind: Vanished, Worker: 1}, serves(2), isReady(2), exits(1)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(says(e, NoticeCrashed) && says(e, NoticeRecovered), "both are told")
		}},
		{"its replacement dies before it is dead", lifeOf(up, Event{Kind: Vanished, Worker: 1}, serves(2), isReady(2),
			Event{Kind: Vanished, Worker: 2}, serves(3), isReady(3), exits(2), exits(1)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(says(e, NoticeCrashed) && says(e, NoticeRecovered) && len(s.Ghosts) == 0 && s.Restarts == 2, "both are told of each")
		}},
		{"dying within a second", lifeOf(up, Event{Kind: Vanished, Worker: 1, At: t0.Add(5*time.Second + 500*time.Millisecond)}),
			Ready, NoTrouble, nil},
		{"crash within a second", lifeOf(up, Event{Kind: Exited, Worker: 1, At: t0.Add(5*time.Second + 500*time.Millisecond)}),
			Backoff, ProcessTrouble, func(s State, e []Effect) string {
				return expect(s.Attempts == 1 && !has(e, Acquire, 2), "backs off")
			}},
		{"ten bad starts", early(), Failed, ProcessTrouble, func(s State, e []Effect) string {
			return expect(says(e, NoticeFailed) && has(e, Release, 0) && strings.Contains(s.Reason, "10 times"), "given up")
		}},
		{"resumed after failing", early(Event{Kind: Start}), Starting, NoTrouble, func(s State, _ []Effect) string {
			return expect(s.Attempts == 0, "with a clean slate")
		}},
		{"forgotten after a minute", lifeOf(declared, Event{Kind: Start}, isBound, serves(1), exits(1), Event{Kind: RetryDue},
			serves(2), isReady(2), Event{Kind: ForgetDue}), Ready, NoTrouble, func(s State, _ []Effect) string {
			return expect(s.Attempts == 0, "forgotten")
		}},
		{"configuration at fault", []Event{declared, {Kind: Start}, isBound, {Kind: Refused, Worker: 1, Permanent: true, Reason: "no"}},
			Failed, ConfigTrouble, nil},
		{"exit code of a configuration fault", []Event{declared, {Kind: Start}, isBound, serves(1), {Kind: Exited, Worker: 1, Permanent: true}},
			Failed, ConfigTrouble, nil},
		{"port not free at once", lifeOf(declared, Event{Kind: Start}, Event{Kind: BindFailed, Reason: "taken"}), Starting, NoTrouble, func(_ State, e []Effect) string {
			return expect(hasTimer(e, RetryDue, letGoPause) && !says(e, NoticeBlocked), "tries again soon, and says nothing yet")
		}},
		{"port free a moment later", lifeOf(declared, Event{Kind: Start}, Event{Kind: BindFailed}, Event{Kind: RetryDue}, isBound), Starting, NoTrouble, func(s State, _ []Effect) string {
			return expect(s.PortTries == 0 && s.Cur.ID == 1, "as if nothing had been")
		}},
		{"port taken", lifeOf(declared, Event{Kind: Start}, neverFree), Backoff, PortTrouble, func(_ State, e []Effect) string {
			return expect(says(e, NoticeBlocked), "told once")
		}},
		{"port still taken", lifeOf(declared, Event{Kind: Start}, neverFree, Event{Kind: RetryDue}, Event{Kind: BindFailed}), Backoff, PortTrouble, func(_ State, e []Effect) string {
			return expect(!says(e, NoticeBlocked), "not told again")
		}},
		{"port taken for ever is no reason to give up", lifeOf(declared, Event{Kind: Start}, neverFree, slices.Repeat([]Event{{Kind: RetryDue}, {Kind: BindFailed}}, 20), Event{Kind: RetryDue}),
			Starting, NoTrouble, nil},
		{"privileged port", []Event{declared, {Kind: Start}, {Kind: BindFailed, Permanent: true}}, Failed, PortTrouble, nil},
		{"target down", lifeOf(up, Event{Kind: Told, Worker: 1, Health: &link.Health{TargetError: "the folder is gone"}}), Unhealthy, TargetTrouble, nil},
		{"target back", lifeOf(up, Event{Kind: Told, Worker: 1, Health: &link.Health{TargetError: "gone"}}, Event{Kind: Answered, Worker: 1, Health: &link.Health{}}),
			Ready, NoTrouble, nil},
		{"past its memory limit", lifeOf(up, tellsLimit("", "it took 300MiB")), Unhealthy, LimitTrouble, func(s State, e []Effect) string {
			return expect(has(e, Acquire, 2) && says(e, NoticeLimited) && s.Cur.ID == 1, "rolled, the old one serves on")
		}},
		{"replaced because of it", lifeOf(up, tellsLimit("", "it took 300MiB"), serves(2), isReady(2)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(s.Cur.ID == 2 && s.Restarts == 0 && has(e, Quit, 1), "as with any roll")
		}},
		{"past it again at once", lifeOf(up, tellsLimit("", "it took 300MiB"), serves(2), isReady(2), tellsLimit("", "it took 300MiB", 2)), Unhealthy, LimitTrouble, func(s State, e []Effect) string {
			return expect(!has(e, Acquire, 3) && !says(e, NoticeLimited), "not rolled all the time")
		}},
		{"past it again after a while", lifeOf(up, tellsLimit("", "it took 300MiB"), serves(2), isReady(2),
			Event{Kind: Answered, Worker: 2, Health: &link.Health{Excess: "it took 300MiB"}, At: t0.Add(2 * time.Minute)}), Unhealthy, LimitTrouble, func(s State, e []Effect) string {
			return expect(has(e, Acquire, 3) && says(e, NoticeLimited), "rolled once more")
		}},
		{"all connections in use", lifeOf(up, tellsLimit("all are in use", "")), Unhealthy, LimitTrouble, func(s State, e []Effect) string {
			return expect(says(e, NoticeLimited) && s.InForce() && !has(e, Acquire, 2), "told, and nothing is done about it")
		}},
		{"in use again at once", lifeOf(up, tellsLimit("all are in use", ""), tellsLimit("", ""), tellsLimit("all are in use", "")), Unhealthy, LimitTrouble, func(s State, e []Effect) string {
			return expect(!says(e, NoticeLimited), "not told all the time")
		}},
		{"room again", lifeOf(up, tellsLimit("all are in use", ""), tellsLimit("", "")), Ready, NoTrouble, nil},
		{"asked again soon", lifeOf(up, pinged(5*time.Second, 0)), Ready, NoTrouble, func(_ State, e []Effect) string {
			return expect(hasTimer(e, PingDue, policy.Default().PingEvery), "it has just come up")
		}},
		{"nobody visits for a while", lifeOf(up, pinged(25*time.Second, 0)), Ready, NoTrouble, func(_ State, e []Effect) string {
			return expect(hasTimer(e, PingDue, 20*time.Second), "asked ever more rarely")
		}},
		{"nobody visits for hours", lifeOf(up, pinged(5*time.Hour, 0), but(isReady(1), func(e *Event) { e.At = t0.Add(6 * time.Hour) })), Ready, NoTrouble, func(_ State, e []Effect) string {
			return expect(hasTimer(e, ProbeDue, 24*policy.Default().ProbeEvery), "up to a bound")
		}},
		{"visited after hours", lifeOf(up, pinged(5*time.Hour, 1)), Ready, NoTrouble, func(_ State, e []Effect) string {
			return expect(hasTimer(e, PingDue, policy.Default().PingEvery) && hasTimer(e, ProbeDue, policy.Default().ProbeEvery), "checked as often as one should, at once")
		}},
		{"visited still", lifeOf(up, pinged(5*time.Second, 1), pinged(15*time.Second, 2)), Ready, NoTrouble, func(_ State, e []Effect) string {
			return expect(hasTimer(e, PingDue, policy.Default().PingEvery) && !hasTimer(e, ProbeDue, policy.Default().ProbeEvery), "a probe that is due is not put off")
		}},
		{"its target is down, and nobody visits", lifeOf(up, but(pinged(5*time.Hour, 0), func(e *Event) { e.Health.TargetError = "gone" })), Unhealthy, TargetTrouble, func(_ State, e []Effect) string {
			return expect(hasTimer(e, PingDue, policy.Default().PingEvery), "asked often: it is to be well soon")
		}},
		{"one missed ping", lifeOf(up, missed), Ready, NoTrouble, nil},
		{"two missed pings", lifeOf(up, missed, missed), Unhealthy, ProcessTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Acquire, 2) && says(e, NoticeCrashed), "a successor is asked for, and people are told")
		}},
		{"successor of one that hangs", lifeOf(up, missed, missed, serves(2)), Unhealthy, ProcessTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Probe, 2) && !has(e, Swap, 2), "probed without pausing the other")
		}},
		{"replaced one that hung", lifeOf(up, missed, missed, serves(2), isReady(2)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(has(e, Quit, 1) && s.Restarts == 1 && s.Cur.ID == 2, "the old one is asked to end")
		}},
		{"restart", lifeOf(up, Event{Kind: Restart}), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(has(e, Acquire, 2) && !s.InForce(), "rolled, the old one serves on")
		}},
		{"rolled", lifeOf(up, Event{Kind: Restart}, serves(2), isReady(2)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(s.InForce() && has(e, Quit, 1) && has(e, Trim, 0) && s.Restarts == 0, "the old one drains")
		}},
		{"roll failed", lifeOf(up, Event{Kind: Restart}, serves(2), Event{Kind: Probed, Worker: 2, Reason: "hm"}), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(has(e, Resume, 1) && s.Cur.ID == 1 && s.RollError != "", "the old one serves on")
		}},
		{"crash in mid-roll", lifeOf(up, Event{Kind: Restart}, exits(1)), Starting, ProcessTrouble, func(s State, e []Effect) string {
			return expect(s.Cur.ID == 2 && !has(e, Acquire, 3), "the next one is the replacement")
		}},
		{"changed in mid-roll", lifeOf(up, declared, isBound, declared, serves(2), isReady(2)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(s.Cur.ID == 2 && has(e, Bind, 0) && !s.InForce(), "rolled once more")
		}},
		{"new port not free at once", lifeOf(up, declared, Event{Kind: BindFailed, Reason: "taken"}), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(hasTimer(e, RetryDue, letGoPause) && s.PortError == "", "tries again soon, and says nothing yet")
		}},
		{"new port taken", lifeOf(up, declared, neverFree), Unhealthy, PortTrouble, func(s State, _ []Effect) string {
			return expect(s.Cur.ID == 1, "stays where it was")
		}},
		{"file spoiled while up", lifeOf(up, Event{Kind: Spoil, Reason: "bad"}), Ready, NoTrouble, func(s State, _ []Effect) string {
			p, tr, why := s.View()
			return expect(p == Invalid && tr == ConfigTrouble && why == "bad", "shown as invalid, serving on")
		}},
		{"file mended", lifeOf(up, Event{Kind: Spoil, Reason: "bad"}, Event{Kind: Declare}), Ready, NoTrouble, func(s State, _ []Effect) string {
			p, _, _ := s.View()
			return expect(p == Ready, "well again")
		}},
		{"stopping", lifeOf(up, Event{Kind: Stop}), Stopping, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Release, 0) && has(e, Quit, 1), "sockets given up, process asked")
		}},
		{"stopped, its sockets held by a standby", lifeOf(up, Event{Kind: Stop}, exits(1)), Stopping, NoTrouble, nil},
		{"stopped", lifeOf(up, Event{Kind: Stop}, exits(1), letGo), Stopped, NoTrouble, func(_ State, e []Effect) string {
			return expect(!says(e, NoticeCrashed), "no crash")
		}},
		{"stopped past its grace", lifeOf(up, Event{Kind: Stop}, Event{Kind: GraceOver, Worker: 1}), Stopping, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Kill, 1), "killed")
		}},
		{"stop and start again", lifeOf(up, Event{Kind: Stop}, Event{Kind: Start}, letGo, exits(1)), Starting, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Bind, 0), "begins anew")
		}},
		{"stopped on its way up", lifeOf(declared, Event{Kind: Start}, isBound, Event{Kind: Stop}, letGo, Event{Kind: Refused, Worker: 1}), Stopped, NoTrouble, nil},
		{"removed", lifeOf(up, Event{Kind: Stop, Final: true}, letGo, exits(1)), Stopped, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Gone, 0), "gone")
		}},
		{"removed while invalid", []Event{{Kind: Spoil}, {Kind: Stop, Final: true}, letGo}, Stopped, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Gone, 0), "gone")
		}},
		{"found", met, Starting, NoTrouble, func(s State, e []Effect) string {
			return expect(has(e, TakeIn, 1) && hasFor(e, Limit, 1, policy.Default().FindGrace) && !has(e, Bind, 0) && !has(e, Acquire, 2) &&
				s.Cur.PID == 101 && s.Restarts == 3, "it is taken over, and nothing else is begun")
		}},
		{"found, and silent", []Event{declared, but(isFound, func(e *Event) { e.Reason = "it does not answer" })}, Starting, ProcessTrouble, func(s State, _ []Effect) string {
			return expect(s.Reason == "it does not answer", "why it takes so long is shown")
		}},
		{"started while it is being taken over", lifeOf(met, Event{Kind: Start}), Starting, NoTrouble, func(s State, e []Effect) string {
			return expect(len(e) == 0 && s.Cur.ID == 1, "nothing else is begun")
		}},
		{"adopted", taken, Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(s.InForce() && has(e, Unlimit, 1) && says(e, NoticeAdopted) && !says(e, NoticeRecovered) && !has(e, Bind, 0) &&
				s.Restarts == 3 && s.Attempts == 0 && len(s.Crashes) == 0 && s.Since.Before(t0) && s.BoundGen == s.Gen, "as if it had always been")
		}},
		{"adopted, of another version", lifeOf(met, but(adopts, func(e *Event) { e.Stale = true })), Ready, NoTrouble, func(s State, _ []Effect) string {
			return expect(s.Cur.Stale && s.Cur.Version == "old" && s.InForce(), "that is known")
		}},
		{"adopted, its target down", lifeOf(met, but(adopts, func(e *Event) { e.Health = &link.Health{TargetError: "gone"} })), Unhealthy, TargetTrouble, nil},
		{"adopted, and killed the next moment", lifeOf(taken, but(exits(1), func(e *Event) { e.At = t0.Add(3 * time.Second) })), Starting, ProcessTrouble, func(s State, e []Effect) string {
			return expect(has(e, Acquire, 2) && s.Restarts == 4 && s.Attempts == 0, "replaced at once: it is not new")
		}},
		{"adopted, but not seen by visitors", lifeOf(met, but(adopts, func(e *Event) { e.OK = false })), Unhealthy, ProcessTrouble, func(s State, e []Effect) string {
			return expect(s.Cur.Doubt && s.Cur.Misses == 1 && hasTimer(e, ProbeDue, 0), "asked again at once")
		}},
		{"adopted, and seen after all", lifeOf(met, but(adopts, func(e *Event) { e.OK = false }), isReady(1)), Ready, NoTrouble, func(s State, _ []Effect) string {
			return expect(!s.Cur.Doubt && s.Cur.Misses == 0, "no doubt")
		}},
		{"adopted, and never seen", lifeOf(met, but(adopts, func(e *Event) { e.OK = false }), Event{Kind: Probed, Worker: 1}), Unhealthy, ProcessTrouble, func(s State, e []Effect) string {
			return expect(has(e, Acquire, 2) && s.Cur.ID == 1, "replaced as one that hangs")
		}},
		{"adopted, serving what was declared before", lifeOf(met, but(adopts, func(e *Event) { e.Same = false })), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(has(e, Bind, 0) && !s.InForce() && s.Cur.ID == 1, "it serves on while the sockets are looked after")
		}},
		{"rolled after adoption", lifeOf(met, but(adopts, func(e *Event) { e.Same = false }), isBound, serves(2), isReady(2)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(s.InForce() && s.Cur.ID == 2 && hasFor(e, Quit, 1, policy.Default().RollLimit) && s.Restarts == 3, "the one before drains")
		}},
		{"changed while it is being taken over", lifeOf(met, declared), Starting, NoTrouble, func(s State, e []Effect) string {
			return expect(len(e) == 0, "that comes later")
		}},
		{"changed while it was being taken over", lifeOf(met, declared, but(adopts, func(e *Event) { e.Same = false })), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(has(e, Bind, 0) && s.Gen == 2 && s.Cur.Gen == 1, "rolled like any other")
		}},
		{"changed and changed back meanwhile", lifeOf(met, declared, declared, adopts), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(s.InForce() && !has(e, Bind, 0), "nothing to do")
		}},
		{"restarted while it was being taken over", lifeOf(met, Event{Kind: Restart}, adopts), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(has(e, Bind, 0) && !s.InForce(), "who asks for a new process gets one")
		}},
		{"spoiled while it was being taken over", lifeOf(met, Event{Kind: Spoil, Reason: "bad"}, adopts), Ready, NoTrouble, func(s State, _ []Effect) string {
			p, _, _ := s.View()
			return expect(p == Invalid && s.InForce(), "shown as invalid, serving on")
		}},
		{"lost", lifeOf(met, Event{Kind: Lost, Worker: 1}), Starting, NoTrouble, func(s State, e []Effect) string {
			return expect(hasFor(e, Limit, 1, policy.Default().RollLimit) && has(e, Bind, 0) && !has(e, Quit, 1) && s.Cur.ID == 0,
				"it may finish, without a second signal, and there will be another")
		}},
		{"lost, and ended", lifeOf(met, Event{Kind: Lost, Worker: 1}, isBound, exits(1)), Starting, NoTrouble, func(s State, e []Effect) string {
			return expect(len(s.Olds) == 0 && s.Cur.ID == 2 && !says(e, NoticeCrashed), "no crash")
		}},
		{"lost, and over its limit", lifeOf(met, Event{Kind: Lost, Worker: 1}, isBound, Event{Kind: GraceOver, Worker: 1}), Starting, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Kill, 1) && !has(e, Kill, 2), "ended")
		}},
		{"died while it was being taken over", lifeOf(met, exits(1)), Starting, ProcessTrouble, func(s State, e []Effect) string {
			return expect(has(e, Bind, 0) && says(e, NoticeCrashed) && s.Restarts == 4 && s.Attempts == 0 && s.Reason != "", "a crash of one that had been up")
		}},
		{"back after that", lifeOf(met, exits(1), isBound, serves(2), isReady(2)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(says(e, NoticeRecovered) && s.InForce(), "recovery is told")
		}},
		{"dying while it is being taken over", lifeOf(met, Event{Kind: Vanished, Worker: 1}), Starting, NoTrouble, nil},
		{"silent for longer than it may", lifeOf(met, Event{Kind: GraceOver, Worker: 1}), Starting, NoTrouble, func(s State, e []Effect) string {
			return expect(has(e, Kill, 1) && s.Cur.ID == 1, "ended; what follows comes when it is gone")
		}},
		{"its time over when it was adopted already", lifeOf(taken, Event{Kind: GraceOver, Worker: 1}), Ready, NoTrouble, func(_ State, e []Effect) string {
			return expect(len(e) == 0, "too late")
		}},
		{"stopped while it is being taken over", lifeOf(met, Event{Kind: Stop}), Stopping, NoTrouble, func(s State, e []Effect) string {
			return expect(hasFor(e, Quit, 1, declared.StopGrace) && has(e, Release, 0), "asked to end, within its grace")
		}},
		{"stopped, and adopted too late", lifeOf(met, Event{Kind: Stop}, adopts), Stopping, NoTrouble, func(_ State, e []Effect) string {
			return expect(len(e) == 0, "overtaken")
		}},
		{"stopped, and lost too late", lifeOf(met, Event{Kind: Stop}, Event{Kind: Lost, Worker: 1}), Stopping, NoTrouble, func(_ State, e []Effect) string {
			return expect(len(e) == 0, "overtaken")
		}},
		{"stopped meanwhile, and gone", lifeOf(met, Event{Kind: Stop}, letGo, exits(1)), Stopped, NoTrouble, func(_ State, e []Effect) string {
			return expect(!says(e, NoticeCrashed), "no crash")
		}},
		{"stopped meanwhile, past its grace", lifeOf(met, Event{Kind: Stop}, Event{Kind: GraceOver, Worker: 1}), Stopping, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Kill, 1), "killed")
		}},
		{"a leftover", lifeOf(up, Event{Kind: Leftover, PID: 102}), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(has(e, TakeIn, 2) && hasFor(e, Quit, 2, policy.Default().RollLimit) && slices.Equal(s.Olds, []int{2}), "asked to end")
		}},
		{"a leftover that ends already", lifeOf(up, Event{Kind: Leftover, PID: 102, OK: true}), Ready, NoTrouble, func(_ State, e []Effect) string {
			return expect(hasFor(e, Limit, 2, policy.Default().RollLimit) && !has(e, Quit, 2), "not asked a second time")
		}},
		{"a leftover of a share that is to be stopped", []Event{declared, {Kind: Leftover, PID: 102}}, Stopping, NoTrouble, func(s State, e []Effect) string {
			return expect(hasFor(e, Quit, 1, declared.StopGrace), "asked to end, within its grace")
		}},
		{"a leftover of such a share has ended", []Event{declared, {Kind: Leftover, PID: 102}, exits(1)}, Stopped, NoTrouble, nil},
		{"removed while a leftover ends", []Event{declared, {Kind: Leftover, PID: 102}, {Kind: Stop, Final: true}, exits(1)}, Stopped, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Gone, 0), "gone when that is")
		}},
		{"a leftover of a share whose file can't be used", []Event{{Kind: Spoil}, {Kind: Leftover, PID: 102}, {Kind: Stop, Final: true}, letGo, exits(1)}, Stopped, NoTrouble, func(_ State, e []Effect) string {
			return expect(has(e, Gone, 0), "it can be removed all the same")
		}},
		{"a leftover beside the one that serves", lifeOf(met, Event{Kind: Leftover, PID: 102}, adopts), Ready, NoTrouble, func(s State, _ []Effect) string {
			return expect(s.Cur.ID == 1 && slices.Equal(s.Olds, []int{2}), "each its own")
		}},
		{"a leftover that ended", lifeOf(met, Event{Kind: Leftover, PID: 102}, adopts, exits(2)), Ready, NoTrouble, func(s State, e []Effect) string {
			return expect(len(s.Olds) == 0 && len(e) == 0, "nobody cares")
		}},
		{"stopped with a leftover", lifeOf(met, Event{Kind: Leftover, PID: 102}, adopts, Event{Kind: Stop}, letGo, exits(1)), Stopping, NoTrouble, func(s State, _ []Effect) string {
			return expect(slices.Equal(s.Olds, []int{2}), "waits for it, too")
		}},
		{"stale news", lifeOf(up, exits(1), serves(2), isReady(2), exits(1), Event{Kind: Silent, Worker: 1}), Ready, NoTrouble, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, effects := after(t, tt.life...)
			if s.Phase != tt.phase || s.Trouble != tt.trouble {
				t.Errorf("is %s (%q), want %s (%q); %s", s.Phase, s.Trouble, tt.phase, tt.trouble, s.Reason)
			}
			if tt.check != nil {
				if complaint := tt.check(s, effects); complaint != "" {
					t.Errorf("not so: %s\nstate %+v\neffects %+v", complaint, s, effects)
				}
			}
		})
	}
}

func expect(ok bool, what string) string {
	if ok {
		return ""
	}
	return what
}

func TestBackoff(t *testing.T) {
	p := policy.Default()
	want := []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000}
	for i, w := range want {
		if got := p.Backoff(i + 1); got != w*time.Millisecond {
			t.Errorf("after %d bad starts: %v, want %v", i+1, got, w*time.Millisecond)
		}
	}
	if got := p.Backoff(1 << 40); got != p.BackoffMax {
		t.Errorf("after very many: %v", got)
	}
}

// world is what a share's life happens in: processes that come and go as they
// like. It checks what must hold whatever happens.
type world struct {
	s       State
	now     time.Time
	alive   map[int]bool // acquired or found, and not yet reported gone; true once it serves
	met     map[int]bool // found, and not heard of since
	asked   map[int]bool // told to end, or known to do so
	held    bool         // sockets
	gone    bool
	pending []Event // a bind in flight
	retry   bool    // RetryDue will come
}

func (w *world) step(t *rapid.T, e Event) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
	e.At = w.now
	switch e.Kind {
	case RetryDue:
		w.retry = false
	case Exited, Refused:
		delete(w.alive, e.Worker)
		delete(w.met, e.Worker)
	case Serving:
		w.alive[e.Worker] = true
	case Adopted: // its sockets are kept if it is still the one that is to serve
		w.held = w.held || w.s.Cur.ID == e.Worker
		delete(w.met, e.Worker)
	case Lost:
		w.asked[e.Worker] = true
		delete(w.met, e.Worker)
	}
	var effects []Effect
	w.s, effects = Step(w.s, e, policy.Default())
	for _, f := range effects {
		switch f.Kind {
		case Acquire:
			if !w.held {
				t.Fatalf("a process without sockets, after %s", e.Kind)
			}
			w.alive[f.Worker] = false
		case TakeIn:
			w.alive[f.Worker] = true
			w.asked[f.Worker] = e.Kind == Leftover && e.OK
			if e.Kind == Find {
				w.met[f.Worker] = true
			}
		case Quit, Kill:
			w.asked[f.Worker] = true
		case Timer:
			w.retry = w.retry || f.Due == RetryDue
		case Cancel:
			w.retry = w.retry && f.Due != RetryDue
		case Bind:
			w.pending = append(w.pending, Event{Kind: Bound})
		case Release:
			w.held, w.pending = false, []Event{{Kind: Released}}
		case Gone:
			w.gone = true
		}
	}
}

func TestWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{s: New(t0), now: t0, alive: map[int]bool{}, asked: map[int]bool{}, met: map[int]bool{}}
		w.step(t, declared)
		if rapid.Bool().Draw(t, "found") {
			w.step(t, Event{Kind: Find, PID: 101, Reason: rapid.SampledFrom([]string{"", "it is silent"}).Draw(t, "reason")})
			w.mustHold(t)
		}
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			if w.gone {
				break
			}
			if len(w.pending) > 0 { // binds are answered at once, as in the loop
				e := w.pending[0]
				w.pending = w.pending[1:]
				if e.Kind == Released {
					w.step(t, e)
					continue
				}
				if rapid.IntRange(0, 3).Draw(t, "bind") == 0 {
					e.Kind = BindFailed
				} else {
					w.held = true
				}
				w.step(t, e)
			} else {
				w.step(t, w.anything(t))
			}
			w.mustHold(t)
		}
	})
}

func (w *world) anything(t *rapid.T) Event {
	kind := rapid.SampledFrom([]Kind{Start, Stop, Declare, Spoil, Restart, Leftover, RetryDue, PingDue, ProbeDue, ForgetDue}).Draw(t, "kind")
	worker := 0
	if ids := w.ids(); len(ids) > 0 && rapid.IntRange(0, 3).Draw(t, "by a process") > 0 {
		worker = rapid.SampledFrom(ids).Draw(t, "worker")
		can := []Kind{Serving, Refused, GraceOver} // what a process on its way can do
		switch {
		case w.met[worker]:
			can = []Kind{Adopted, Adopted, Lost, Vanished, Exited, GraceOver}
		case w.alive[worker]:
			can = []Kind{Probed, Probed, Probed, Answered, Silent, Told, Vanished, Exited, GraceOver}
		}
		kind = rapid.SampledFrom(can).Draw(t, "what it does")
	}
	e := Event{Kind: kind, Worker: worker, OK: rapid.Bool().Draw(t, "ok"), Permanent: rapid.IntRange(0, 9).Draw(t, "permanent") == 0,
		Roll: rapid.Bool().Draw(t, "roll"), Same: rapid.Bool().Draw(t, "same"), Health: &link.Health{}}
	if kind == Stop {
		e.Final = rapid.IntRange(0, 9).Draw(t, "final") == 0
	}
	return e
}

func (w *world) ids() []int {
	var ids []int
	for id := range w.alive {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (w *world) lives(id int) bool {
	_, ok := w.alive[id]
	return ok
}

func (w *world) mustHold(t *rapid.T) {
	s := w.s
	if bad := func() string {
		switch {
		case s.Cur.ID != 0 && !w.lives(s.Cur.ID):
			return "the one that serves is dead"
		case s.Next.ID != 0 && !w.lives(s.Next.ID):
			return "the next one is dead"
		case s.Next.ID != 0 && s.Cur.ID == 0:
			return "a next one without one that serves"
		case s.Phase == Stopped && len(w.alive) > 0:
			return "stopped, with processes"
		case s.Phase == Stopped && w.held:
			return "stopped, with sockets"
		case s.Phase == Failed && w.held:
			return "failed, with sockets: visitors would wait for ever"
		case (s.Phase == Ready || s.Phase == Unhealthy) && (s.Cur.ID == 0 || s.Cur.ReadyAt.IsZero() || !w.held):
			return "up, with nothing that serves"
		case s.Phase == Backoff && s.Cur.ID != 0:
			return "backing off, with a process"
		case s.Cur.Found && s.Phase != Starting:
			return "not taken over, and past that"
		case s.Phase == Starting && s.Cur.ID == 0 && len(w.pending) == 0 && !w.retry:
			return "starting, and nothing is on its way"
		case s.Phase == Backoff && !w.retry:
			return "backing off for ever"
		}
		if s.Cur.Found != w.met[s.Cur.ID] {
			return "whether it was taken over is not known"
		}
		for _, id := range s.Olds {
			if !w.asked[id] {
				return fmt.Sprintf("process %d was let go but not asked to end", id)
			}
		}
		for id := range w.alive {
			if id != s.Cur.ID && id != s.Next.ID && !slices.Contains(s.Olds, id) {
				return fmt.Sprintf("process %d is forgotten", id)
			}
		}
		return ""
	}(); bad != "" {
		t.Fatalf("%s: %+v", bad, s)
	}
}
