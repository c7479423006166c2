package supervise

import (
	"time"

	"sharetray/agentcore/link"
)

// This file is what happens to a share that is up: checks, and the roll from
// one process to the next.

// judge says how a share that is up is doing.
func (m *machine) judge() {
	switch {
	case m.Cur.Misses >= m.policy.Misses:
		m.enter(Unhealthy, ProcessTrouble, "its process does not answer; it is being replaced")
	case m.Cur.Doubt:
		m.enter(Unhealthy, ProcessTrouble, "its process was there before this agent, and has not answered a visitor yet")
	case m.PortError != "":
		m.enter(Unhealthy, PortTrouble, m.PortError)
	case m.Expired != "":
		m.enter(Unhealthy, EndTrouble, m.Expired)
	case m.TargetError != "":
		m.enter(Unhealthy, TargetTrouble, m.TargetError)
	case m.Excess != "":
		m.enter(Unhealthy, LimitTrouble, m.Excess)
	case m.Full != "":
		m.enter(Unhealthy, LimitTrouble, m.Full)
	default:
		m.enter(Ready, NoTrouble, m.RollError)
	}
}

func (m *machine) hear(h *link.Health) {
	if h != nil {
		m.TargetError, m.Excess, m.Full, m.Limits = h.TargetError, h.Excess, h.Full, h.Limits
		m.Expired, m.Link = h.Expired, h.Link
		m.noteVisits(h)
	}
}

// noteVisits has a share that is visited again be probed as often as one should.
func (m *machine) noteVisits(h *link.Health) {
	if h.Requests == m.Cur.Requests && h.Active == 0 {
		return
	}
	if m.Cur.Misses == 0 && m.now.Sub(m.Cur.UsedAt) > m.policy.ProbeEvery && (m.Phase == Ready || m.Phase == Unhealthy) {
		m.timer(ProbeDue, m.policy.ProbeEvery)
	}
	m.Cur.Requests, m.Cur.UsedAt = h.Requests, m.now
}

// pause is until the next check of a kind: for as long as nobody has visited,
// within bounds. What nobody uses hardly breaks, and costs nobody anything.
func (m *machine) pause(every time.Duration) time.Duration {
	if m.Phase != Ready {
		return every // somebody waits for it to be well
	}
	return min(max(m.now.Sub(m.Cur.UsedAt), every), time.Duration(m.policy.Ease)*every)
}

func told(m *machine, e Event) { m.hear(e.Health) }

func toldUp(m *machine, e Event) {
	m.hear(e.Health)
	m.judge()
	m.heedLimits()
}

func ping(m *machine, _ Event)  { m.do(Effect{Kind: Ping, Worker: m.Cur.ID}) }
func probe(m *machine, _ Event) { m.do(Effect{Kind: Probe, Worker: m.Cur.ID}) }

func answered(m *machine, e Event) {
	m.wellAgain(e.Health)
	m.timer(PingDue, m.pause(m.policy.PingEvery))
}

// checked takes the answer to a probe of a share that is up.
func checked(m *machine, e Event) {
	if e.OK {
		m.Cur.Doubt = false
		m.wellAgain(e.Health)
		m.timer(ProbeDue, m.pause(m.policy.ProbeEvery))
		return
	}
	m.timer(ProbeDue, 0)
	m.missed()
}

func silent(m *machine, _ Event) {
	m.timer(PingDue, 0) // make sure, at once
	m.missed()
}

func (m *machine) wellAgain(h *link.Health) {
	m.Cur.Misses = 0
	m.hear(h)
	m.judge()
	m.heedLimits()
}

// tellEnd tells once that the share has come to the end that was set for it.
func (m *machine) tellEnd() {
	if m.Expired != "" && !m.EndTold {
		m.tell(Notice{Kind: NoticeExpired, Cause: m.Expired})
	}
	m.EndTold = m.Expired != ""
}

// heedLimits replaces a process that is past a limit, by a roll, so that nobody
// is cut; but one whose successor is past it soon, too, is not rolled all the
// time. And it tells of limits that are met.
func (m *machine) heedLimits() {
	m.tellEnd()
	if m.Full != "" && m.now.Sub(m.FullAt) >= limitPause {
		m.FullAt = m.now
		m.tell(Notice{Kind: NoticeLimited, Cause: m.Full})
	}
	if m.Excess != "" && m.Next.ID == 0 && m.BoundGen == m.Gen && m.Cur.Gen == m.Gen && m.now.Sub(m.ExcessAt) >= limitPause {
		m.ExcessAt = m.now
		m.tell(Notice{Kind: NoticeLimited, Cause: m.Excess + "; it is replaced"})
		roll(m, Event{})
	}
}

// missed replaces a process that answers no more. It is only asked to end once
// its successor serves: if it was merely slow, its downloads get to the end.
func (m *machine) missed() {
	m.Cur.Misses++
	m.judge()
	if m.Cur.Misses >= m.policy.Misses && m.Next.ID == 0 {
		m.do(Effect{Kind: Cancel, Due: PingDue})
		m.do(Effect{Kind: Cancel, Due: ProbeDue})
		m.noteCrash("it no longer answered")
		m.Next = m.newWorker()
	}
}

func (m *machine) hangs() bool { return m.Cur.Misses >= m.policy.Misses }

// --- the roll

func roll(m *machine, _ Event) {
	if m.BoundGen == m.Gen {
		m.BoundGen++ // the sockets are the same
	}
	m.Gen++
	m.RollError = ""
	m.rollIfStale()
}

// restartBusy: what is on its way is as new as can be, unless it was there before.
func restartBusy(m *machine, _ Event) { m.Cur.Renew = m.Cur.Found }

// rollIfStale begins a roll when the process does not serve what is declared.
func (m *machine) rollIfStale() {
	switch {
	case m.Cur.Gen == m.Gen || m.Next.ID != 0:
	case m.BoundGen != m.Gen:
		m.do(Effect{Kind: Bind})
	default:
		m.Next = m.newWorker()
	}
}

// nextServing: both processes accept now. The old one is paused, so that the
// probe can only be answered by the new one; one that hangs can't be asked to.
func nextServing(m *machine, e Event) {
	m.Next.Serving, m.Next.PID, m.Next.Version = true, e.PID, e.Version
	how := Swap
	if m.hangs() {
		how = Probe
	}
	m.do(Effect{Kind: how, Worker: m.Next.ID})
}

func nextProbed(m *machine, e Event) {
	if !e.OK {
		m.do(Effect{Kind: Quit, Worker: m.Next.ID, After: m.policy.HangGrace})
		m.retire(&m.Next)
		m.rollFailed("it did not become ready: " + e.Reason)
		return
	}
	grace := m.policy.RollLimit
	if m.hangs() {
		grace = m.policy.HangGrace
		m.Restarts++
	}
	m.do(Effect{Kind: Quit, Worker: m.Cur.ID, After: grace})
	m.retire(&m.Cur)
	m.Cur, m.Next = m.Next, Worker{}
	m.cameUp(e.Health)
}

func nextRefused(m *machine, e Event) {
	m.Next = Worker{}
	m.rollFailed(e.Reason)
}

func nextExited(m *machine, e Event) {
	m.Next = Worker{}
	m.rollFailed(e.Reason)
}

// rollFailed goes on with the process that there is. What was declared is given
// up until it changes or a restart is asked for; one that hangs is tried again.
func (m *machine) rollFailed(reason string) {
	m.do(Effect{Kind: Resume, Worker: m.Cur.ID})
	if m.hangs() {
		m.timer(PingDue, m.policy.PingEvery)
		return
	}
	m.Cur.Gen = m.Gen
	m.RollError = "a new process could not take over, the one before still serves: " + reason
	m.judge()
}
