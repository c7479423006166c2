package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sharetray/agentcore/failpoint"
	"sharetray/agentcore/link"
	"sharetray/agentcore/mailbox"
	"sharetray/agentcore/problem"
	"sharetray/agentcore/pulse"
	"sharetray/agentcore/share"
	"sharetray/platform"
)

// ErrGone is returned to those who wait for something of a share that was
// removed.
var ErrGone = errors.New("the share was removed")

// Config is what a supervisor needs from outside.
type Config struct {
	Policy Policy
	Pool   *Pool
	Log    func(share.Share) link.Log // where a share process logs
	Orphan link.Orphan                // what a share process does without an agent
	Logger *slog.Logger
	// Report is told each visible change and each notice, in order, on the
	// supervisor's loop: it must not block.
	Report func(Report)
}

// Report is what a supervisor says of its share.
type Report struct {
	State   State
	Share   share.Share
	Notices []Notice
	Use     link.Use // of all processes that the share had, together
	Visit   *link.Visit
	Gone    bool // the last one
}

// Supervisor owns one share's life. All its state belongs to one goroutine.
type Supervisor struct {
	cfg  Config
	mail *mailbox.Box[letter]
	done chan struct{}
}

// letter is what comes in: an event, a process for a worker, or somebody who
// waits for a state.
type letter struct {
	event  Event
	share  *share.Share // with Declare
	proc   *Proc        // with Serving
	secret string       // with Serving: what its probes carry
	more   []uint16     // with Serving: further ports on which it serves
	bound  sockets      // of these, those that were not held yet
	found  *Found       // with Find and Leftover
	served *link.Serve  // with Adopted: what it had been told
	socks  []*platform.Socket
	visit  *link.Visit
	guests chan<- []link.Visitor // asks for them; buffered
	then   func()                // called when the event is dealt with
	timer  *time.Timer           // which one fired
	wait   *waiter
	hurry  bool // the next ping is due now
	leave  bool
}

// waiter is answered once until says so.
type waiter struct {
	until  func(State) (bool, error)
	result chan error // buffered
}

// NewSupervisor starts a supervisor that knows nothing yet.
func NewSupervisor(cfg Config) *Supervisor {
	s := &Supervisor{cfg: cfg, mail: mailbox.New[letter](), done: make(chan struct{})}
	go s.run()
	return s
}

// Done is closed when the share is gone and nothing of it is left.
func (s *Supervisor) Done() <-chan struct{} { return s.done }

// Post tells what happened or is wanted; sh goes with Declare. It never blocks.
func (s *Supervisor) Post(e Event, sh *share.Share) {
	s.mail.Put(letter{event: e, share: sh})
}

// Adopt tells of a process that is the share already, before it is started;
// restarts is how many there have been so far.
func (s *Supervisor) Adopt(f *Found, restarts int) {
	e := Event{Kind: Find, PID: f.PID(), Version: f.Version(), Restarts: restarts}
	if !f.Answered {
		e.Reason = fmt.Sprintf("its process (pid %d) was there before this agent, and does not answer; it is waited for", f.PID())
	}
	s.mail.Put(letter{event: e, found: f})
}

// Retire tells of a process that was the share once, and is to finish what is in
// flight.
func (s *Supervisor) Retire(f *Found) {
	s.mail.Put(letter{event: Event{Kind: Leftover, PID: f.PID(), OK: f.Role.Duty == link.Draining}, found: f})
}

// Leave ends the supervisor, and does nothing to the share: its processes and its
// sockets are another agent's.
func (s *Supervisor) Leave() { s.mail.Put(letter{leave: true}) }

// Wait waits until until says done of a state that comes after all that was
// posted before, or of the present one. It returns until's error, ctx's, or
// ErrGone.
func (s *Supervisor) Wait(ctx context.Context, until func(State) (bool, error)) error {
	w := &waiter{until: until, result: make(chan error, 1)}
	s.mail.Put(letter{wait: w})
	select {
	case err := <-w.result:
		return err
	case <-s.done:
		return ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loop is the supervisor's own state.
type loop struct {
	*Supervisor
	state   State
	share   share.Share
	socks   sockets
	workers map[int]*worker
	timers  map[timerKey]*time.Timer
	waiters []*waiter
	queue   []letter // events that effects brought about at once
	shown   shown
	more    []uint16         // ports on which it serves besides its own
	found   *Found           // what the event of the moment brought
	used    map[int]link.Use // by worker, so far
	before  link.Use         // of workers that have ended
	gone    bool
}

// worker is a share process as the loop handles it.
type worker struct {
	proc   *Proc // nil until it serves
	cancel context.CancelFunc
	ending bool // asked to quit before there was a process
	addrs  []netip.AddrPort
	probe  address
	secret string
}

type timerKey struct {
	due    Kind
	worker int
}

// shown is what a user sees of a state; a change of it is reported.
type shown struct {
	phase    Phase
	trouble  Trouble
	reason   string
	pid      int
	restarts int
	crashes  int
	since    time.Time
	limits   string
	use      link.Use
	link     string
}

func (s *Supervisor) run() {
	l := &loop{
		Supervisor: s, state: New(time.Now()), socks: sockets{},
		workers: map[int]*worker{}, timers: map[timerKey]*time.Timer{}, used: map[int]link.Use{},
	}
	for !l.gone {
		<-s.mail.Ready()
		for _, m := range s.mail.Take() {
			l.queue = append(l.queue, m)
			for len(l.queue) > 0 && !l.gone {
				m, l.queue = l.queue[0], l.queue[1:]
				l.handle(m)
			}
		}
	}
	for _, m := range s.mail.Take() { // too late
		closeAll(m.socks)
	}
	close(s.done)
}

func (l *loop) handle(m letter) {
	if m.then != nil {
		defer m.then()
	}
	if m.wait != nil {
		l.waiters = append(l.waiters, m.wait)
		l.answerWaiters()
		return
	}
	if m.visit != nil {
		l.cfg.Report(Report{State: l.state, Share: l.share, Use: l.use(), Visit: m.visit})
		return
	}
	if m.guests != nil {
		l.askGuests(m.guests)
		return
	}
	if m.leave {
		l.gone = true
		return
	}
	if m.hurry {
		if k := (timerKey{PingDue, 0}); l.timers[k] != nil && l.timers[k].Stop() {
			l.timer(k, 0)
		}
		return
	}
	e := m.event
	if m.timer != nil && l.timers[timerKey{e.Kind, e.Worker}] != m.timer {
		return // cancelled or replaced after it fired
	}
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if failpoint.Enabled {
		_ = failpoint.Here("event." + e.Kind.String())
	}
	if e.Health != nil {
		l.used[e.Worker] = e.Health.Use
	}
	switch e.Kind {
	case Declare:
		l.share = *m.share
	case Serving:
		l.gotMore(m.more, m.bound)
		l.gotProcess(e.Worker, m.proc, m.secret)
	case Find, Leftover:
		e.Worker = 0 // it gets its number from Step
	case Adopted:
		e.Same = m.served.Share.ServedLike(l.share)
		l.gotSockets(e.Worker, m.served, m.socks)
	case Refused, Exited:
		if l.share.Kind == share.Command && e.Kind == Exited {
			go endPrograms()
		}
		delete(l.workers, e.Worker)
		l.noteEnd(e.Worker)
		l.cancel(timerKey{GraceOver, e.Worker})
	}
	l.found = m.found
	before := l.state.Phase
	var effects []Effect
	l.state, effects = Step(l.state, e, l.cfg.Policy)
	if l.state.Phase != before {
		l.cfg.Logger.Info("state", "share", l.share.Name.String(), "event", e.Kind.String(),
			"from", string(before), "to", string(l.state.Phase), "reason", l.state.Reason)
	}
	var notices []Notice
	for _, f := range effects {
		if f.Kind == Tell {
			notices = append(notices, f.Say)
			continue
		}
		l.act(f)
	}
	l.report(notices)
	l.answerWaiters()
}

func (l *loop) report(notices []Notice) {
	phase, trouble, reason := l.state.View()
	now := shown{phase, trouble, reason, l.state.Cur.PID, l.state.Restarts, len(l.state.Crashes), l.state.Since,
		strings.Join(l.state.Limits, "\n"), l.use(), l.state.Link}
	if now == l.shown && len(notices) == 0 && !l.gone {
		return
	}
	l.shown = now
	l.cfg.Report(Report{State: l.state, Share: l.share, Use: l.use(), Notices: notices, Gone: l.gone})
}

// use adds up what is known of the use of all processes.
func (l *loop) use() link.Use {
	total := l.before
	for _, u := range l.used {
		total = total.Add(u)
	}
	return total
}

// noteEnd keeps what a process that has ended had counted, as far as it has told.
func (l *loop) noteEnd(id int) {
	u := l.used[id]
	u.Active, u.Present = 0, 0
	l.before = l.before.Add(u)
	delete(l.used, id)
}

// Visitors asks the share's process who has visited it, and how much. A process
// that does not serve, or an older one, knows of nobody.
func (s *Supervisor) Visitors(ctx context.Context) []link.Visitor {
	answer := make(chan []link.Visitor, 1)
	s.mail.Put(letter{guests: answer})
	select {
	case v := <-answer:
		return v
	case <-s.done:
	case <-ctx.Done():
	}
	return nil
}

func (l *loop) askGuests(to chan<- []link.Visitor) {
	w := l.workers[l.state.Cur.ID]
	if w == nil || w.proc == nil {
		to <- nil
		return
	}
	proc, id := w.proc, l.state.Cur.ID
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Policy.PingTimeout)
		defer cancel()
		answer, _ := proc.link.Ask(ctx, link.Message{Type: link.TypeGuests})
		l.mail.Put(letter{event: Event{Kind: Told, Worker: id, Health: answer.Health}, then: func() { to <- answer.Guests }})
	}()
}

func (l *loop) answerWaiters() {
	rest := l.waiters[:0]
	for _, w := range l.waiters {
		if done, err := w.until(l.state); done || err != nil {
			w.result <- err
		} else {
			rest = append(rest, w)
		}
	}
	clear(l.waiters[len(rest):])
	l.waiters = rest
}

// act does what an effect asks for. What takes time is done elsewhere, and
// reports back by mail.
func (l *loop) act(f Effect) {
	w := l.workers[f.Worker]
	if failpoint.Enabled {
		_ = failpoint.Here("effect." + f.Kind.String())
	}
	switch f.Kind {
	case Bind:
		e := Event{Kind: Bound}
		if err := l.socks.hold(l.share.Kind, l.addresses()); err != nil {
			e = Event{Kind: BindFailed, Reason: problem.Sentence(err), Permanent: problem.Is(err, problem.Invalid)}
		}
		l.queue = append(l.queue, letter{event: e})
	case Trim:
		l.socks.trim(l.addresses())
		l.offer()
		l.cfg.Pool.lookout.watch(l.Supervisor, slices.Collect(maps.Values(l.socks)))
	case Release:
		l.cfg.Pool.lookout.forget(l.Supervisor)
		l.socks.release()
		l.more = nil
		dropped := l.cfg.Pool.drop(l.Supervisor)
		go func() {
			select {
			case <-dropped:
			case <-l.cfg.Pool.Done():
			}
			l.mail.Put(letter{event: Event{Kind: Released}})
		}()
	case Acquire:
		l.acquire(f.Worker)
	case TakeIn:
		l.gotFound(f.Worker, l.found)
	case Limit:
		l.timer(timerKey{GraceOver, f.Worker}, f.After)
	case Unlimit:
		l.cancel(timerKey{GraceOver, f.Worker})
	case Probe:
		go l.check(f.Worker, w, nil)
	case Swap:
		go l.check(f.Worker, w, l.workers[l.state.Cur.ID])
	case Resume:
		if w != nil && w.proc != nil {
			go l.ask(w.proc, link.TypeResume)
		}
	case Ping:
		go l.ping(f.Worker, w)
	case Quit:
		l.end(w, (*Proc).Quit)
		l.timer(timerKey{GraceOver, f.Worker}, f.After)
	case Kill:
		l.end(w, (*Proc).Kill)
	case Timer:
		after := f.After
		if f.Due == RetryDue { // jitter, so that many shares do not retry in step
			after = time.Duration(float64(after) * (0.8 + 0.4*rand.Float64()))
		}
		if f.Due == PingDue || f.Due == ProbeDue {
			after = pulse.Near(after)
		}
		l.timer(timerKey{f.Due, 0}, after)
	case Cancel:
		l.cancel(timerKey{f.Due, 0})
	case Gone:
		l.gone = true
	}
}

func (l *loop) timer(k timerKey, after time.Duration) {
	l.cancel(k)
	var t *time.Timer
	ready := make(chan struct{}) // t is set before it is sent
	t = time.AfterFunc(after, func() {
		<-ready
		l.mail.Put(letter{event: Event{Kind: k.due, Worker: k.worker}, timer: t})
	})
	close(ready)
	l.timers[k] = t
}

func (l *loop) cancel(k timerKey) {
	if t := l.timers[k]; t != nil {
		t.Stop()
		delete(l.timers, k)
	}
}
