package supervise

import (
	"fmt"
	"slices"
	"time"

	"sharetray/agentcore/link"
)

// New returns the state of a share of which nothing is known yet.
func New(at time.Time) State { return State{Phase: Invalid, Since: at} }

// Step says what follows from e: the new state, and what is to be done, in
// order. It is pure; time comes in with the event.
func Step(s State, e Event, p Policy) (State, []Effect) {
	m := &machine{State: s, policy: p, now: e.At}
	kind, known := m.about(e)
	if known {
		table[kind][column(s.Phase)](m, e)
	}
	return m.State, m.effects
}

// machine is a state on its way to the next.
type machine struct {
	State
	policy  Policy
	now     time.Time
	effects []Effect
}

// about finds out which of the workers an event is about, and so which row of
// the table it belongs to. Of workers that are no more, nothing is heard.
func (m *machine) about(e Event) (Kind, bool) {
	if e.Worker == 0 || e.Kind == GraceOver {
		return e.Kind, true
	}
	asNext := map[Kind]Kind{Serving: NextServing, Refused: NextRefused, Probed: NextProbed, Exited: NextExited}
	switch {
	case e.Worker == m.Cur.ID:
		return e.Kind, true
	case e.Worker == m.Next.ID:
		k, ok := asNext[e.Kind]
		return k, ok
	case slices.Contains(m.Olds, e.Worker) && (e.Kind == Exited || e.Kind == Refused):
		return OldExited, true
	}
	return 0, false
}

func (m *machine) do(e Effect) { m.effects = append(m.effects, e) }

func (m *machine) tell(n Notice) { m.do(Effect{Kind: Tell, Say: n}) }

func (m *machine) timer(due Kind, after time.Duration) {
	m.do(Effect{Kind: Timer, Due: due, After: after})
}

func (m *machine) cancelTimers() {
	for _, due := range []Kind{RetryDue, PingDue, ProbeDue, ForgetDue} {
		m.do(Effect{Kind: Cancel, Due: due})
	}
}

func (m *machine) enter(p Phase, t Trouble, reason string) {
	if m.Phase != p {
		m.Phase, m.Since = p, m.now
	}
	m.Trouble, m.Reason = t, reason
}

func (m *machine) newWorker() Worker {
	m.LastID++
	w := Worker{ID: m.LastID, Gen: m.Gen}
	m.do(Effect{Kind: Acquire, Worker: w.ID})
	return w
}

// retire moves a worker among those whose end is awaited.
func (m *machine) retire(w *Worker) {
	m.Olds = append(slices.Clip(m.Olds), w.ID)
	*w = Worker{}
}

// --- wanted, or not

func start(m *machine, _ Event) {
	m.cancelTimers()
	m.Attempts, m.Again = 0, false
	m.bringUp()
}

// bringUp goes for a process, and for the sockets first where they are missing.
func (m *machine) bringUp() {
	m.enter(Starting, NoTrouble, m.Reason)
	if m.BoundGen != m.Gen {
		m.do(Effect{Kind: Bind})
		return
	}
	m.Cur = m.newWorker()
}

func startAgain(m *machine, _ Event) { m.Again = true }

func stop(m *machine, e Event) {
	m.cancelTimers()
	m.release()
	m.Final, m.Again = m.Final || e.Final, false
	m.DownSince, m.Ghosts, m.PortTries, m.blocked = time.Time{}, nil, 0, false
	m.TargetError, m.PortError, m.RollError, m.Excess, m.Full, m.Limits = "", "", "", "", "", nil
	m.Expired, m.Link = "", ""
	m.enter(Stopping, NoTrouble, "")
	for _, id := range m.Olds { // asked already: a second time would end them at once
		m.do(Effect{Kind: Limit, Worker: id, After: m.StopGrace})
	}
	for _, w := range []*Worker{&m.Cur, &m.Next} {
		if w.ID != 0 {
			m.do(Effect{Kind: Quit, Worker: w.ID, After: m.StopGrace})
			m.retire(w)
		}
	}
	m.stoppedWhenEmpty()
}

// stopInvalid: there is nothing to stop, but it can be removed.
func stopInvalid(m *machine, e Event) {
	if e.Final {
		stop(m, e)
	}
}

func stopAgain(m *machine, e Event) {
	m.Again, m.Final = false, m.Final || e.Final
	m.stoppedWhenEmpty()
}

func (m *machine) stoppedWhenEmpty() {
	switch {
	case len(m.Olds) > 0, m.Releasing:
	case m.Final:
		m.enter(Stopped, NoTrouble, "")
		m.do(Effect{Kind: Gone})
	case m.Again:
		m.Attempts, m.Again = 0, false
		m.bringUp()
	default:
		m.enter(Stopped, NoTrouble, "")
	}
}

// release gives the sockets up. A standby that holds them too must let go
// before they can be bound again.
func (m *machine) release() {
	m.BoundGen, m.Releasing = 0, true
	m.do(Effect{Kind: Release})
}

func released(m *machine, _ Event) {
	m.Releasing = false
	if m.Phase == Stopping {
		m.stoppedWhenEmpty()
	}
}

func oldExited(m *machine, e Event) {
	m.Olds = slices.DeleteFunc(slices.Clone(m.Olds), func(id int) bool { return id == e.Worker })
	m.ghostExited(e.Worker, e.Reason)
	if m.Phase == Stopping {
		m.stoppedWhenEmpty()
	}
}

func graceOver(m *machine, e Event) {
	if slices.Contains(m.Olds, e.Worker) || e.Worker == m.Cur.ID && m.Cur.Found {
		m.do(Effect{Kind: Kill, Worker: e.Worker})
	}
}

// --- what it is

func (m *machine) learn(e Event) {
	m.Spoiled, m.StopGrace = "", e.StopGrace
	if e.Roll {
		m.Gen++
		m.RollError = ""
	}
}

func declareFirst(m *machine, e Event) {
	m.learn(e)
	m.enter(Stopped, NoTrouble, "")
}

func declare(m *machine, e Event) { m.learn(e) }

// declareBusy leaves the process that is on its way be: once it is ready it is
// rolled like any other.
func declareBusy(m *machine, e Event) { m.learn(e) }

func declareUp(m *machine, e Event) {
	m.learn(e)
	m.PortTries = 0
	m.rollIfStale()
}

// declareRetry tries what is new at once: it may mend what went wrong.
func declareRetry(m *machine, e Event) {
	m.learn(e)
	if e.Roll {
		start(m, e)
	}
}

func spoilFirst(m *machine, e Event) { m.enter(Invalid, ConfigTrouble, e.Reason) }
func spoil(m *machine, e Event)      { m.Spoiled = e.Reason }

// --- sockets

func bound(m *machine, _ Event) {
	if m.blocked {
		m.Attempts = 0
	}
	m.BoundGen, m.PortError, m.PortTries, m.blocked = m.Gen, "", 0, false
	m.Cur = m.newWorker()
}

func bindFailed(m *machine, e Event) {
	if e.Permanent {
		m.fail(PortTrouble, e.Reason)
		return
	}
	if !m.blocked && m.bindSoon() {
		return
	}
	m.blockedBy(e.Reason)
}

// blockedBy waits for a port that somebody else has.
func (m *machine) blockedBy(reason string) {
	m.enter(Backoff, PortTrouble, reason)
	m.timer(RetryDue, m.policy.Backoff(m.portTries()))
	if !m.blocked {
		m.blocked = true
		m.tell(Notice{Kind: NoticeBlocked, Cause: reason})
	}
}

// portTries makes waits for a taken port grow without counting as bad starts:
// whoever holds it may let go at any time.
func (m *machine) portTries() int {
	m.Attempts++
	return m.Attempts
}

func boundUp(m *machine, _ Event) {
	m.BoundGen, m.PortError, m.PortTries = m.Gen, "", 0
	m.judge()
	m.rollIfStale()
}

// bindSoon tries again soon, and says nothing yet: a process that has ended a
// moment ago, was replaced, or is just being started, may still hold the address.
func (m *machine) bindSoon() bool {
	if m.PortTries++; m.PortTries >= letGoTries {
		return false
	}
	m.timer(RetryDue, letGoPause)
	return true
}

func bindAgain(m *machine, _ Event) {
	if m.Cur.ID == 0 && m.BoundGen != m.Gen {
		m.do(Effect{Kind: Bind})
	}
}

// bindFailedUp keeps the share up where it is, and tries again.
func bindFailedUp(m *machine, e Event) {
	if !e.Permanent && m.bindSoon() {
		return
	}
	m.PortError = e.Reason
	m.judge()
	m.timer(RetryDue, m.policy.BackoffMax)
}

func retryUp(m *machine, _ Event) { m.rollIfStale() }

// --- a process on its way

func serving(m *machine, e Event) {
	m.Cur.Serving, m.Cur.PID, m.Cur.Version = true, e.PID, e.Version
	m.do(Effect{Kind: Probe, Worker: m.Cur.ID})
}

func refused(m *machine, e Event) {
	m.Cur = Worker{}
	if e.Permanent {
		m.fail(ConfigTrouble, e.Reason)
		return
	}
	if e.Blocked {
		m.blockedBy(e.Reason)
		return
	}
	m.badStart(e.Reason)
}

func probed(m *machine, e Event) {
	if !e.OK {
		m.do(Effect{Kind: Kill, Worker: m.Cur.ID})
		m.retire(&m.Cur)
		m.badStart("it did not become ready: " + e.Reason)
		return
	}
	m.cameUp(e.Health)
}

// cameUp makes Cur the process that visitors reach.
func (m *machine) cameUp(h *link.Health) {
	m.Cur.ReadyAt, m.Cur.UsedAt, m.Cur.Misses, m.Cur.Doubt = m.now, m.now, 0, false
	m.hear(h)
	m.judge()
	if !m.DownSince.IsZero() {
		m.recovered(max(m.now.Sub(m.DownSince), 1))
	}
	m.timer(PingDue, m.policy.PingEvery)
	m.timer(ProbeDue, m.policy.ProbeEvery)
	m.timer(ForgetDue, m.policy.ForgetAfter)
	m.do(Effect{Kind: Trim})
	m.rollIfStale()
}

// recovered keeps the order: what crashed is told first, and how.
func (m *machine) recovered(downtime time.Duration) {
	m.DownSince = time.Time{}
	if last := len(m.Ghosts) - 1; last >= 0 && m.Ghosts[last].Downtime == 0 {
		m.Ghosts = slices.Clone(m.Ghosts)
		m.Ghosts[last].Downtime = downtime
		return
	}
	m.tell(Notice{Kind: NoticeRecovered, Cause: m.Cause, Downtime: downtime})
}

func forget(m *machine, _ Event) { m.Attempts = 0 }

// --- its end

// died: it never became ready.
func died(m *machine, e Event) {
	if e.Permanent {
		m.Cur = Worker{}
		m.fail(ConfigTrouble, e.Reason)
		return
	}
	m.noteCrash(e.Reason)
	if m.Cur.Found { // it had been up
		m.Cur = Worker{}
		m.Restarts++
		m.bringUp()
		m.enter(Starting, ProcessTrouble, e.Reason)
		return
	}
	m.Cur = Worker{}
	m.badStart("it ended before it was ready: " + e.Reason)
}

// vanished: it had been ready, and is dying. Its successor is sent for at once;
// how it died is heard when it is gone.
func vanished(m *machine, _ Event) {
	if m.now.Sub(m.Cur.ReadyAt) < m.policy.MinReady && m.Next.ID == 0 {
		return // it will back off: there is no hurry
	}
	m.markDown()
	m.Ghosts = append(slices.Clip(m.Ghosts), Ghost{Worker: m.Cur.ID})
	m.do(Effect{Kind: Kill, Worker: m.Cur.ID})
	m.retire(&m.Cur)
	m.succeed("")
}

// crashed: it had been ready, for less than a while.
func crashed(m *machine, e Event) {
	wasReady := m.now.Sub(m.Cur.ReadyAt)
	m.noteCrash(e.Reason)
	m.Cur = Worker{}
	if wasReady < m.policy.MinReady && m.Next.ID == 0 {
		m.cancelTimers()
		m.badStart(e.Reason)
		return
	}
	m.succeed(e.Reason)
}

// succeed puts the process that is on its way, or else a new one, in the place
// of one that died.
func (m *machine) succeed(reason string) {
	m.cancelTimers()
	m.TargetError, m.Excess, m.Full = "", "", ""
	m.Restarts++
	m.enter(Starting, ProcessTrouble, reason)
	if m.Next.ID == 0 {
		m.Cur = m.newWorker()
		return
	}
	m.Cur, m.Next = m.Next, Worker{}
	if m.Cur.Serving {
		m.do(Effect{Kind: Probe, Worker: m.Cur.ID})
	}
}

func (m *machine) markDown() {
	recent := slices.DeleteFunc(slices.Clone(m.Crashes), func(t time.Time) bool {
		return m.now.Sub(t) >= crashWindow
	})
	m.Crashes = append(recent, m.now)
	if m.DownSince.IsZero() {
		m.DownSince = m.now
	}
}

func (m *machine) noteCrash(cause string) {
	m.markDown()
	m.Cause = cause
	m.tell(Notice{Kind: NoticeCrashed, Cause: cause})
}

// ghostExited: now it is known how one that vanished ended. Its successor may have
// been up, and may have vanished too, before.
func (m *machine) ghostExited(worker int, cause string) {
	i := slices.IndexFunc(m.Ghosts, func(g Ghost) bool { return g.Worker == worker })
	if i < 0 {
		return
	}
	ghost := m.Ghosts[i]
	m.Ghosts = slices.Delete(slices.Clone(m.Ghosts), i, i+1)
	m.Cause = cause
	m.tell(Notice{Kind: NoticeCrashed, Cause: cause})
	if m.Phase == Starting && m.Reason == "" {
		m.Reason = cause
	}
	if ghost.Downtime > 0 {
		m.tell(Notice{Kind: NoticeRecovered, Cause: cause, Downtime: ghost.Downtime})
	}
}

// badStart backs off, or gives up.
func (m *machine) badStart(reason string) {
	m.Attempts++
	if m.Attempts >= m.policy.GiveUpAfter {
		m.fail(ProcessTrouble, fmt.Sprintf("it failed %d times in a row; the last time, %s", m.Attempts, reason))
		return
	}
	m.enter(Backoff, ProcessTrouble, reason)
	m.timer(RetryDue, m.policy.Backoff(m.Attempts))
}

func (m *machine) fail(t Trouble, reason string) {
	m.cancelTimers()
	m.release()
	m.DownSince = time.Time{}
	m.enter(Failed, t, reason)
	m.tell(Notice{Kind: NoticeFailed, Cause: reason})
}

func retry(m *machine, _ Event) {
	if m.Trouble == ProcessTrouble {
		m.Restarts++
	}
	m.bringUp()
}
