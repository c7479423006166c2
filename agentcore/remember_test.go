package agentcore_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/history"
	"sharetray/agentcore/problem"
)

// TestHistoryOfALife: what happens to a share is remembered, over the agent's
// end too, until the share is removed.
func TestHistoryOfALife(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	dir := r.folder("hello")
	st := r.share("photos", dir)
	kill(t, st.PID)
	st = r.until("photos", "replaced", func(s agentcore.Status) bool { return s.PID != 0 && s.PID != st.PID })
	until := func(want ...history.What) []history.Entry {
		t.Helper()
		var entries []history.Entry
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			var err error
			if entries, err = r.History("photos", 100); err != nil {
				t.Fatal(err)
			}
			var got []history.What
			for _, e := range entries {
				got = append(got, e.What)
			}
			if slices.Equal(got, want) {
				return entries
			}
			if time.Now().After(end) {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	}
	first := []history.What{history.Started, history.Ready, history.Crashed, history.Recovered}
	entries := until(first...)
	if e := entries[2]; e.Cause != "it was killed by SIGKILL" {
		t.Errorf("the crash: %+v", e)
	}
	if e := entries[3]; e.Downtime <= 0 || e.PID != st.PID || e.Restarts != 1 || e.Version != "test" {
		t.Errorf("the recovery: %+v", e)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.end()
	r.start(exe)
	r.untilState("photos", "ready")
	until(append(first, history.Stopped, history.Started, history.Ready)...)
	if err := r.Remove(r.ctx(), "photos"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.History("photos", 1); !problem.Is(err, problem.NotFound) {
		t.Errorf("of a share that was removed: %v", err)
	}
	r.share("photos", dir)
	until(history.Started, history.Ready)
}
