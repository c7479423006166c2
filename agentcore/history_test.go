package agentcore

import (
	"slices"
	"testing"
	"time"

	"sharetray/agentcore/history"
	"sharetray/agentcore/supervise"
)

func TestWhatHappened(t *testing.T) {
	t.Parallel()
	at := func(phase supervise.Phase, pid, restarts int) supervise.State {
		return supervise.State{Phase: phase, Cur: supervise.Worker{PID: pid, Version: "v1"}, Restarts: restarts}
	}
	crashed := supervise.Notice{Kind: supervise.NoticeCrashed, Cause: "killed"}
	recovered := supervise.Notice{Kind: supervise.NoticeRecovered, Cause: "killed", Downtime: time.Second}
	untold := at(supervise.Ready, 2, 1) // ready again, but not known yet how the one before ended
	untold.Ghosts = []supervise.Ghost{{Worker: 1, Downtime: time.Second}}
	found := at(supervise.Starting, 1, 7)
	found.Cur.Found = true
	stale := at(supervise.Ready, 1, 7)
	stale.Cur.Stale, stale.Cur.Version = true, "v0"
	for _, c := range []struct {
		what        string
		before, now supervise.State
		notices     []supervise.Notice
		want        []history.What
	}{
		{"begun", at(supervise.Stopped, 0, 0), at(supervise.Starting, 0, 0), nil, []history.What{history.Started}},
		{"resumed", at(supervise.Failed, 0, 3), at(supervise.Starting, 0, 3), nil, []history.What{history.Started}},
		{"at once in trouble", at(supervise.Stopped, 0, 0), at(supervise.Backoff, 0, 0),
			[]supervise.Notice{{Kind: supervise.NoticeBlocked, Cause: "taken"}}, []history.What{history.Started, history.Blocked}},
		{"up", at(supervise.Starting, 0, 0), at(supervise.Ready, 1, 0), nil, []history.What{history.Ready}},
		{"up, its app is down", at(supervise.Starting, 0, 0), at(supervise.Unhealthy, 1, 0), nil, []history.What{history.Ready}},
		{"its app comes and goes", at(supervise.Ready, 1, 0), at(supervise.Unhealthy, 1, 0), nil, nil},
		{"crash", at(supervise.Ready, 1, 0), at(supervise.Starting, 0, 1), []supervise.Notice{crashed}, []history.What{history.Crashed}},
		{"recovery", at(supervise.Starting, 0, 1), at(supervise.Ready, 2, 1), []supervise.Notice{recovered}, []history.What{history.Recovered}},
		{"recovery, before the crash is told", at(supervise.Starting, 0, 1), untold, nil, nil},
		{"both told", untold, at(supervise.Ready, 2, 1), []supervise.Notice{crashed, recovered}, []history.What{history.Crashed, history.Recovered}},
		{"rolled", at(supervise.Ready, 1, 4), at(supervise.Ready, 2, 4), nil, []history.What{history.Restarted}},
		{"replaced because it was silent", at(supervise.Unhealthy, 1, 4), at(supervise.Ready, 2, 5), nil, nil},
		{"given up", at(supervise.Starting, 0, 9), at(supervise.Failed, 0, 10),
			[]supervise.Notice{{Kind: supervise.NoticeFailed, Cause: "10 times"}}, []history.What{history.Failed}},
		{"found", at(supervise.Stopped, 0, 0), found, nil, nil},
		{"adopted", found, at(supervise.Ready, 1, 7), []supervise.Notice{{Kind: supervise.NoticeAdopted}}, []history.What{history.Adopted}},
		{"dead when it was to be adopted", found, at(supervise.Starting, 0, 8), []supervise.Notice{crashed}, []history.What{history.Crashed}},
		{"upgraded", stale, at(supervise.Ready, 2, 7), nil, []history.What{history.Upgraded}},
		{"to be stopped", at(supervise.Ready, 1, 0), at(supervise.Stopping, 1, 0), nil, nil},
		{"stopped", at(supervise.Stopping, 0, 0), at(supervise.Stopped, 0, 0), nil, []history.What{history.Stopped}},
	} {
		now := time.Now()
		entries := happened(c.before, supervise.Report{State: c.now, Notices: c.notices}, now)
		var got []history.What
		for _, e := range entries {
			got = append(got, e.What)
			if e.Time != now || e.Restarts != c.now.Restarts {
				t.Errorf("%s: %+v", c.what, e)
			}
			if serves := slices.Contains([]history.What{history.Ready, history.Recovered, history.Restarted, history.Upgraded, history.Adopted}, e.What); serves != (e.PID == c.now.Cur.PID && e.PID != 0 && e.Version == "v1") {
				t.Errorf("%s: which process is it about? %+v", c.what, e)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
