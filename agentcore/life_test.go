package agentcore_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sharetray/agentcore"
	"sharetray/agentcore/supervise"
	"sharetray/platform"
)

func TestShareIsServedAndComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	st := r.share("photos", r.folder("hello"))
	if st.State != supervise.Ready || st.PID == 0 || len(st.URLs) != 1 {
		t.Fatalf("shared, but %+v", st)
	}
	r.mustGet(st.URLs[0]+"a.txt", "hello")
	_, events, cancel := r.Subscribe()
	defer cancel()
	for i := range 5 {
		st = r.until("photos", "ready again", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.Restarts == i })
		kill(t, st.PID)
		r.mustGetAfterKill(st.URLs[0]+"a.txt", "hello")
	}
	back := r.until("photos", "back", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.Restarts == 5 })
	if back.PID == st.PID || back.URLs[0] != st.URLs[0] || back.Crashes != 5 {
		t.Errorf("came back as %+v", back)
	}
	// Each crash was told with its cause, and each recovery after its crash.
	var told []agentcore.EventType
	for len(told) < 10 {
		e := <-events
		switch e.Type {
		case agentcore.Crashed, agentcore.Recovered:
			told = append(told, e.Type)
			if !strings.Contains(e.Cause, "SIGKILL") {
				t.Errorf("%s because %q", e.Type, e.Cause)
			}
		}
	}
	open := 0 // crashes without their recovery: the next may come before it is known how the last one ended
	for _, e := range told {
		if open += map[agentcore.EventType]int{agentcore.Crashed: 1, agentcore.Recovered: -1}[e]; open < 0 {
			t.Fatalf("told %v", told)
		}
	}
	if open != 0 {
		t.Errorf("told %v", told)
	}
}

// TestNobodyIsRefusedByACrash: requests that are sent while the process is dead
// are answered. Those that it had accepted die with it.
func TestNobodyIsRefusedByACrash(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	st := r.share("photos", r.folder("hello"))
	l := startLoad(t, st.URLs[0]+"a.txt", "hello", 2)
	for i := range 8 {
		st = r.until("photos", "ready again", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.Restarts >= i })
		kill(t, st.PID)
	}
	r.until("photos", "back", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.Restarts >= 8 })
	before := l.answered.Load()
	for l.answered.Load() < before+50 {
		r.mustGet(st.URLs[0]+"a.txt", "hello")
	}
	l.stop()
	if len(l.refused) > 0 {
		t.Errorf("%d refused: %v", len(l.refused), l.refused[0])
	}
}

// TestRollUnderLoad: restart, and set of anything but the port, refuse nobody
// and cut nobody, and a download that is in flight ends with the same bytes.
func TestRollUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	dir := r.folder("hello")
	big := make([]byte, 32<<20)
	_, _ = rand.Read(big)
	if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	st := r.share("photos", dir)
	resp, err := http.Get(st.URLs[0] + "big")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	l := startLoad(t, st.URLs[0]+"a.txt", "hello", 2)
	pid := st.PID
	for i := range 12 {
		var err error
		switch i % 4 {
		case 0:
			st, err = r.Restart(r.ctx(), "photos")
		case 1:
			st, err = r.Set(r.ctx(), "photos", map[string]string{"hidden_files": []string{"true", "false"}[i/4%2]})
		case 2:
			st, err = r.Set(r.ctx(), "photos", map[string]string{"reach": "lan"})
		case 3:
			st, err = r.Set(r.ctx(), "photos", map[string]string{"reach": "local"})
		}
		if err != nil {
			t.Fatal(err)
		}
		if st.PID == pid || st.State != supervise.Ready || st.Restarts != 0 {
			t.Fatalf("after change %d: %+v (pid before %d)", i, st, pid)
		}
		pid = st.PID
	}
	l.mustBeClean(t)
	got, err := io.ReadAll(resp.Body)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(big) {
		t.Errorf("the download got %d of %d bytes: %v", len(got), len(big), err)
	}
}

// TestStopUnderLoad: what was asked before the stop is answered whole, and
// afterwards nothing listens.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	for range 3 {
		dir := r.folder("hello")
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		if err := os.WriteFile(filepath.Join(dir, "big"), big, 0o600); err != nil {
			t.Fatal(err)
		}
		st := r.share("photos", dir)
		resp, err := http.Get(st.URLs[0] + "big")
		if err != nil {
			t.Fatal(err)
		}
		l := startLoad(t, st.URLs[0]+"a.txt", "hello", 4)
		whole := make(chan error, 1)
		go func() {
			got, err := io.ReadAll(resp.Body)
			if err == nil && !bytes.Equal(got, big) {
				err = errors.New("the download is not whole")
			}
			whole <- err
		}()
		stopped, err := r.Stop(r.ctx(), "photos")
		if err != nil {
			t.Fatal(err)
		}
		l.wg.Wait() // each client ends when it is refused
		if err := <-whole; err != nil {
			t.Error(err)
		}
		for _, err := range l.cut {
			t.Errorf("cut after the connection was made: %v", err)
		}
		if stopped.State != supervise.Stopped || stopped.PID != 0 || !stopped.Paused {
			t.Errorf("stopped, but %+v", stopped)
		}
		if _, err := get(st.URLs[0]); !platform.IsConnRefused(err) {
			t.Errorf("after the stop: %v, want refused", err)
		}
		if err := r.Remove(r.ctx(), "photos"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStoppedIsKept: a share that the user stopped stays stopped with the next
// agent; the others come up again, on the same ports.
func TestStoppedIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	up, off := r.share("up", r.folder("up")), r.share("off", r.folder("off"))
	if _, err := r.Stop(r.ctx(), "off"); err != nil {
		t.Fatal(err)
	}
	r.end()
	if _, err := get(up.URLs[0]); !platform.IsConnRefused(err) {
		t.Errorf("after quit: %v, want refused", err)
	}
	if left, _ := filepath.Glob(r.paths.Links + "/*"); len(left) > 0 {
		t.Errorf("quit left %v", left)
	}
	exe, _ := os.Executable()
	r.start(exe)
	r.untilState("up", supervise.Ready)
	r.untilState("off", supervise.Stopped)
	r.mustGet(up.URLs[0]+"a.txt", "up")
	if _, err := r.Start(r.ctx(), "off"); err != nil {
		t.Fatal(err)
	}
	r.mustGet(off.URLs[0]+"a.txt", "off")
}

// TestStoppedProcessIsReplaced: one that hangs (SIGSTOP) is found by its silence.
func TestStoppedProcessIsReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	st := r.share("photos", r.folder("hello"))
	signal(t, st.PID, sigSTOP)
	back := r.until("photos", "replaced", func(s agentcore.Status) bool {
		return s.State == supervise.Ready && s.PID != st.PID
	})
	r.mustGet(back.URLs[0]+"a.txt", "hello")
	if back.Restarts != 1 {
		t.Errorf("%d restarts, want 1", back.Restarts)
	}
	untilGone(t, st.PID)
}

// TestDeafProcessIsKilled: one that does not react to SIGQUIT is killed when its
// grace is over.
func TestDeafProcessIsKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	st := r.share("photos", r.folder("hello"), "stop_grace", "200ms")
	signal(t, st.PID, sigSTOP)
	if _, err := r.Stop(r.ctx(), "photos"); err != nil {
		t.Fatal(err)
	}
	untilGone(t, st.PID)
}

// TestBadStartsGiveUp: a process that dies before it is ready is tried again
// ten times; then the share has failed, says why, and can be resumed.
func TestBadStartsGiveUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, quickSettings)
	st := r.share("photos", r.folder("hello"))
	r.end()
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.start(broken)
	failed := r.untilState("photos", supervise.Failed)
	if !strings.Contains(failed.LastError, "10 times") || !strings.Contains(failed.LastError, "code 3") {
		t.Errorf("failed because %q", failed.LastError)
	}
	if _, err := get(st.URLs[0]); !platform.IsConnRefused(err) {
		t.Errorf("a failed share keeps visitors waiting: %v", err)
	}
	// What is at fault is mended: one start resumes it.
	exe, _ := os.Executable()
	if err := os.WriteFile(broken, []byte("#!/bin/sh\nexec '"+exe+"' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Start(r.ctx(), "photos"); err != nil {
		t.Fatal(err)
	}
	r.mustGet(st.URLs[0]+"a.txt", "hello")
}

// TestQuitRemovesNothing: whoever watches sees shares stop, not go away.
func TestQuitRemovesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.share("photos", r.folder("hello"))
	_, events, cancel := r.Subscribe()
	defer cancel()
	r.Quit()
	stopped := false
	for e := range events {
		if e.Type == agentcore.Removed {
			t.Errorf("quit tells that %s was removed", e.Share.Name)
		}
		stopped = stopped || e.Share.State == supervise.Stopped
	}
	if !stopped {
		t.Error("nobody was told that the share has stopped")
	}
}
