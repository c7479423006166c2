// Package notice decides what is worth telling the user on the desktop, and in
// what words: a share crashed and is back, has failed, can't have its port. It
// turns a stream of events into few messages; a crash loop is one a minute.
//
// It must not know how messages are shown.
package notice

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/link"
	"sharetray/agentcore/supervise"
	"sharetray/agentcore/words"
)

// Note is one message.
type Note struct {
	ID      string // the same for all messages about one share: the newest replaces the others
	Share   string
	Title   string
	Body    string
	Urgent  bool     // somebody has to do something
	Quiet   bool     // it is only nice to know
	Actions []Action // what can be done about it, besides OpenPage
}

// Action is what a click on a message, or on a button of it, asks for.
type Action string

const (
	OpenPage Action = "open" // the share's page
	ShowLog  Action = "log"
	Resume   Action = "resume"
	Settings Action = "settings" // of the share
)

// Label is what the button says.
func (a Action) Label(l *words.Language) string { return l.Say("notice.do_" + string(a)) }

const sharePrefix = "share:"

// ID is that of all messages about a share.
func ID(share string) string { return sharePrefix + share }

// ShareOf is the share that the message of that ID is about.
func ShareOf(id string) (name string, ok bool) { return strings.CutPrefix(id, sharePrefix) }

const (
	// window is how long a share is silent about a kind of trouble after it was told.
	window = time.Minute
	// patience is how long a crash may be mended before it is told as not mended.
	patience = 10 * time.Second
)

// record is what is remembered of one share between messages. The zero value
// is a share of which nothing has been told.
type record struct {
	crashes  int           // since the last message about crashes
	first    time.Time     // of these crashes
	cause    string        // of the last crash
	downtime time.Duration // after the last crash
	down     bool          // crashed, and not back since
	saidDown bool          // the last message said that it is not back

	// When each was last told; zero: never.
	crashTold, failTold, blockTold, limitTold, visitTold time.Time

	failed     *agentcore.Status // a failure that waits for its minute
	blocked    *agentcore.Status // the same for a taken port
	limited    string            // the same for a limit
	expired    string            // the end of the share, which was not told yet
	visits     int               // that were asked for, since the last message about them
	visit      link.Visit        // the last of them
	blockWords string            // what was last told of the port: the same is not told twice
	wanted     bool              // the share's own setting
}

// step is one event in the life of one share's record.
func step(l *words.Language, r record, e agentcore.Event, now time.Time) (record, []Note) {
	st := e.Share
	r.wanted = st.Notify
	switch e.Type {
	case agentcore.Crashed:
		if r.crashes == 0 {
			r.first = now
		}
		r.crashes, r.cause, r.down = r.crashes+1, e.Cause, true
	case agentcore.Recovered:
		r = r.well()
		r.down, r.downtime = false, e.Downtime
	case agentcore.Failed:
		r.failed = &st
		r.crashes, r.down, r.saidDown = 0, false, false // its reason tells more
	case agentcore.Blocked:
		if st.LastError != r.blockWords {
			r.blocked = &st
		}
	case agentcore.Limited:
		r.limited = e.Cause
	case agentcore.Expired:
		r.expired = e.Cause
	case agentcore.Visited, agentcore.Download, agentcore.Upload:
		if e.Visit != nil && slices.Contains(st.NotifyOf, string(e.Type)) {
			r.visits, r.visit = r.visits+1, *e.Visit
		}
	case agentcore.Changed:
		switch st.State {
		case supervise.Ready:
			r = r.well()
		case supervise.Stopped, supervise.Stopping: // by the user, who knows
			r = record{crashTold: r.crashTold, failTold: r.failTold, blockTold: r.blockTold, limitTold: r.limitTold, visitTold: r.visitTold, wanted: r.wanted}
		}
	}
	return tick(l, r, st.Name, now)
}

// well forgets the failures that are over. (A crash is over with Recovered only,
// which knows how long it took.)
func (r record) well() record {
	r.failed, r.blocked, r.blockWords = nil, nil, ""
	return r
}

// due says when tick must be called next; zero when there is nothing to tell.
func (r record) due() time.Time {
	var next time.Time
	at := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	after := func(told time.Time) time.Time {
		if told.IsZero() {
			return time.Time{}.Add(1) // at once, yet not zero
		}
		return told.Add(window)
	}
	if r.crashes > 0 || r.saidDown && !r.down {
		t := after(r.crashTold)
		if mended := r.first.Add(patience); r.down && t.Before(mended) {
			t = mended
		}
		at(t)
	}
	if r.failed != nil {
		at(after(r.failTold))
	}
	if r.blocked != nil {
		at(after(r.blockTold))
	}
	if r.limited != "" {
		at(after(r.limitTold))
	}
	if r.expired != "" {
		at(after(time.Time{}))
	}
	if r.visits > 0 {
		at(after(r.visitTold))
	}
	return next
}

// tick tells what is due at now.
func tick(l *words.Language, r record, name string, now time.Time) (record, []Note) {
	var out []Note
	for due := r.due(); !due.IsZero() && !due.After(now); due = r.due() {
		var n Note
		r, n = r.tell(l, name, now)
		if r.wanted {
			out = append(out, n)
		}
	}
	return r, out
}

// tell makes the one message that is due, the gravest first.
func (r record) tell(l *words.Language, name string, now time.Time) (record, Note) {
	n := Note{ID: ID(name), Share: name}
	say := func(key, body, advice string, actions ...Action) {
		n.Title, n.Body, n.Actions = l.Say("notice."+key, Name(name)), body, actions
		if advice != "" {
			n.Body += "\n" + l.Say("advice."+advice)
		}
	}
	late := func(told time.Time) bool { return told.IsZero() || !told.Add(window).After(now) }
	switch {
	case r.failed != nil && late(r.failTold):
		say("failed", Sentence(l, r.failed.LastError), "failed", ShowLog, Resume)
		n.Urgent = true
		r.failed, r.failTold = nil, now
	case r.blocked != nil && late(r.blockTold):
		say("blocked", Sentence(l, r.blocked.LastError), "port", Settings)
		r.blockWords = r.blocked.LastError
		r.blocked, r.blockTold = nil, now
	case r.limited != "" && late(r.limitTold):
		say("limited", Sentence(l, r.limited), "limit", Settings)
		r.limited, r.limitTold = "", now
	case r.expired != "":
		say("expired", Sentence(l, r.expired), "expired", Settings)
		r.expired = ""
	case r.visits > 0 && late(r.visitTold):
		n.Title, n.Body = visitWords(l, Name(name), r.visits, r.visit)
		n.Quiet = true
		r.visits, r.visitTold = 0, now
	default:
		n.Title, n.Body = r.crashWords(l, Name(name), now)
		n.Actions = []Action{ShowLog}
		r.crashes, r.saidDown, r.crashTold = 0, r.down, now
	}
	return r, n
}

// crashWords is the message about crashes, such as "Photos crashed and is
// back", "Killed by signal 9; it was away for 0.01 s."
func (r record) crashWords(l *words.Language, name string, now time.Time) (title, body string) {
	cause := r.cause
	if cause == "" {
		cause = l.Say("notice.no_cause")
	}
	cause = l.Sentence(cause)
	switch {
	case r.crashes == 0:
		return l.Say("notice.back", name), Sentence(l, l.Say("notice.away", Away(l, r.downtime)))
	case r.crashes == 1 && r.down:
		return l.Say("notice.crashed_down", name), Sentence(l, l.Say("notice.mending", cause))
	case r.crashes == 1:
		return l.Say("notice.crashed", name), Sentence(l, l.Say("notice.mended", cause, Away(l, r.downtime)))
	}
	title = l.Say("notice.loop", name, r.crashes)
	if now.Sub(r.first) <= window {
		title = l.Say("notice.loop_minute", name, r.crashes)
	}
	if r.down {
		return title, Sentence(l, l.Say("notice.last_down", cause))
	}
	return title, Sentence(l, l.Say("notice.last_up", cause))
}

// Run turns events into messages until events is closed or ctx ends. enabled is
// the setting for all shares, asked for each message, and language that in which
// it is to be. send may take its time:
// Run goes on reading, and of what piles up meanwhile keeps the newest message
// of each share.
func Run(ctx context.Context, events <-chan agentcore.Event, language func() *words.Language, enabled func() bool, send func(Note)) {
	records := map[string]record{}
	var waiting []Note
	sent := make(chan struct{}, 1)
	sending := false
	defer func() {
		if sending {
			<-sent
		}
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()

	put := func(name string, r record, notes []Note) {
		records[name] = r
		for _, n := range notes {
			waiting = slices.DeleteFunc(waiting, func(w Note) bool { return w.ID == n.ID })
			waiting = append(waiting, n)
		}
	}
	for {
		for !sending && len(waiting) > 0 {
			n := waiting[0]
			waiting = waiting[1:]
			if enabled() {
				sending = true
				go func() { send(n); sent <- struct{}{} }()
			}
		}
		timer.Reset(untilDue(records, time.Now()))
		select {
		case <-ctx.Done():
			return
		case e, ok := <-events:
			switch {
			case !ok:
				return
			case e.Type == agentcore.Removed:
				delete(records, e.Share.Name)
			default:
				r, notes := step(language(), records[e.Share.Name], e, time.Now())
				put(e.Share.Name, r, notes)
			}
		case <-timer.C:
			for name, r := range maps.Clone(records) {
				r, notes := tick(language(), r, name, time.Now())
				put(name, r, notes)
			}
		case <-sent:
			sending = false
		}
	}
}

// untilDue is how long nothing has to be told if nothing happens.
func untilDue(records map[string]record, now time.Time) time.Duration {
	wait := time.Hour
	for _, r := range records {
		if due := r.due(); !due.IsZero() {
			wait = min(wait, max(0, due.Sub(now)))
		}
	}
	return wait
}
