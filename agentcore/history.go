package agentcore

import (
	"slices"
	"time"

	"sharetray/agentcore/history"
	"sharetray/agentcore/supervise"
)

// History returns the last n things that happened to a share, the newest last.
func (a *Agent) History(name string, n int) ([]history.Entry, error) {
	status, err := a.Get(name)
	if err != nil {
		return nil, err
	}
	return history.Open(a.paths.History).Read(status.Name, n)
}

// happened returns what a supervisor's report adds to its share's history.
func happened(before supervise.State, r supervise.Report, at time.Time) []history.Entry {
	now := r.State
	var entries []history.Entry
	add := func(what history.What, cause string, downtime time.Duration) {
		e := history.Entry{Time: at, What: what, Cause: cause, Downtime: downtime, Restarts: now.Restarts}
		switch what {
		case history.Ready, history.Recovered, history.Restarted, history.Upgraded, history.Adopted:
			e.PID, e.Version = now.Cur.PID, now.Cur.Version
		}
		entries = append(entries, e)
	}
	if isOver(before.Phase) && !isOver(now.Phase) && now.Phase != supervise.Stopping && !now.Cur.Found {
		add(history.Started, "", 0)
	}
	told := func(k supervise.NoticeKind) bool {
		return slices.ContainsFunc(r.Notices, func(n supervise.Notice) bool { return n.Kind == k })
	}
	for _, n := range r.Notices {
		add(history.What(n.Kind), n.Cause, n.Downtime)
	}
	rolled := isUp(before.Phase) && isUp(now.Phase) && before.Cur.PID != now.Cur.PID && before.Restarts == now.Restarts
	switch {
	case !isUp(before.Phase) && isUp(now.Phase) && len(now.Ghosts) == 0 &&
		!told(supervise.NoticeRecovered) && !told(supervise.NoticeAdopted):
		add(history.Ready, "", 0)
	case rolled && before.Cur.Stale:
		add(history.Upgraded, "", 0)
	case rolled:
		add(history.Restarted, "", 0)
	case before.Phase == supervise.Stopping && now.Phase == supervise.Stopped:
		add(history.Stopped, "", 0)
	}
	return entries
}

// isUp reports whether a process serves.
func isUp(p supervise.Phase) bool { return p == supervise.Ready || p == supervise.Unhealthy }

// isOver reports whether nothing is done before somebody asks for it.
func isOver(p supervise.Phase) bool {
	return p == supervise.Stopped || p == supervise.Failed || p == supervise.Invalid
}
