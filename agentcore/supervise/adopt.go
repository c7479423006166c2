package supervise

import "time"

// This file is what happens to a process that was there before this agent.

// takeIn gives the process that was found a number.
func (m *machine) takeIn(e Event) Worker {
	m.LastID++
	return Worker{ID: m.LastID, PID: e.PID, Version: e.Version}
}

// find takes over a process that is the share already. Visitors reach it all
// the while; what is not known yet is whether it still answers.
func find(m *machine, e Event) {
	m.cancelTimers()
	m.Attempts, m.Again, m.blocked, m.Restarts = 0, false, false, max(m.Restarts, e.Restarts)
	m.Cur = m.takeIn(e)
	m.Cur.Found = true
	m.do(Effect{Kind: TakeIn, Worker: m.Cur.ID})
	m.do(Effect{Kind: Limit, Worker: m.Cur.ID, After: m.policy.FindGrace})
	trouble := NoTrouble
	if e.Reason != "" {
		trouble = ProcessTrouble
	}
	m.enter(Starting, trouble, e.Reason)
}

// leftover has a process that was the share once end, however long what it has
// in flight takes.
func leftover(m *machine, e Event) { m.leftover(e, m.policy.RollLimit) }

// leftoverStopped: a share is not stopped before all that was the share has
// ended, and for that it gets as long as for any stop.
func leftoverStopped(m *machine, e Event) {
	m.leftover(e, m.StopGrace)
	m.enter(Stopping, NoTrouble, "")
}

func (m *machine) leftover(e Event, limit time.Duration) {
	w := m.takeIn(e)
	m.do(Effect{Kind: TakeIn, Worker: w.ID})
	how := Quit
	if e.OK { // a second signal would end it at once
		how = Limit
	}
	m.do(Effect{Kind: how, Worker: w.ID, After: limit})
	m.retire(&w)
}

// adopted makes the process that was found the one that serves. If what is
// declared has changed meanwhile, it is rolled like any other.
func adopted(m *machine, e Event) {
	m.do(Effect{Kind: Unlimit, Worker: m.Cur.ID})
	m.Cur.Serving, m.Cur.Found = true, false
	m.Cur.PID, m.Cur.Version, m.Cur.Stale = e.PID, e.Version, e.Stale
	m.Cur.Gen = m.Gen
	if !e.Same || m.Cur.Renew {
		m.Cur.Gen--
	}
	m.BoundGen = m.Cur.Gen
	m.tell(Notice{Kind: NoticeAdopted})
	m.cameUp(e.Health)
	m.Cur.ReadyAt = m.now.Add(-max(e.Age, m.policy.MinReady)) // it is not new
	if m.Phase == Ready {
		m.Since = m.Cur.ReadyAt
	}
	if !e.OK {
		m.Cur.Doubt = true
		m.timer(ProbeDue, 0)
		m.missed()
	}
}

// lost: the process that was found ends by itself. Its share needs another one.
func lost(m *machine, _ Event) {
	m.do(Effect{Kind: Limit, Worker: m.Cur.ID, After: m.policy.RollLimit})
	m.retire(&m.Cur)
	m.bringUp()
}
