package agentcore_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore/supervise"
)

// TestVisitorsWhoWaitAreSeen: a share that is hardly ever checked hangs, and a
// visitor comes. That nobody accepts them is noticed; they are served.
func TestVisitorsWhoWaitAreSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t, `
[health]
ping_every = "1h"
ping_timeout = "200ms"
probe_every = "1h"
`)
	st := r.share("photos", r.folder("hello"))
	signal(t, st.PID, sigSTOP)
	untilStopped(t, st.PID)
	r.mustGetAfterKill(st.URLs[0]+"a.txt", "hello")
	back := r.untilState("photos", supervise.Ready)
	if back.PID == st.PID || back.Restarts != 1 {
		t.Errorf("%+v", back)
	}
	untilGone(t, st.PID)
}

// TestDatagramsThatWaitAreSeen: so are those who send datagrams.
func TestDatagramsThatWaitAreSeen(t *testing.T) {
	t.Parallel()
	r := newRig(t, `
[health]
ping_every = "1h"
ping_timeout = "200ms"
probe_every = "1h"
`)
	target := packetServer(t)
	st, addr := r.port("udp", target.LocalAddr().String())
	signal(t, st.PID, sigSTOP)
	untilStopped(t, st.PID)
	c, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "who waits")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if back := r.untilState("udp", supervise.Ready); back.PID == st.PID || back.Restarts != 1 {
		t.Errorf("%+v", back)
	}
	untilGone(t, st.PID)
}

// untilStopped waits until no thread of the process runs any more: one that does
// may accept a visitor, and answer nothing.
func untilStopped(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("process %d has no threads (%v)", pid, err)
		}
		running := 0
		for _, path := range threads {
			if b, err := os.ReadFile(path); err == nil && !strings.Contains(string(b), ") T ") {
				running++
			}
		}
		if running == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d threads of process %d still run", running, pid)
		}
	}
}
