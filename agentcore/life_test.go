package agentcore_test

import (
	"testing"

	"sharetray/agentcore"
	"sharetray/agentcore/supervise"
)

func TestShareIsServedAndComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	st := r.share("photos", r.folder("hello"))
	if st.State != supervise.Ready || st.PID == 0 || len(st.URLs) != 1 {
		t.Fatalf("shared, but %+v", st)
	}
	r.mustGet(st.URLs[0]+"a.txt", "hello")
	for i := range 5 {
		st = r.until("photos", "ready again", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.Restarts == i })
		kill(t, st.PID)
		r.mustGet(st.URLs[0]+"a.txt", "hello")
	}
	back := r.until("photos", "back", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.Restarts == 5 })
	if back.PID == st.PID || back.URLs[0] != st.URLs[0] || back.Crashes != 5 {
		t.Errorf("came back as %+v", back)
	}
}
