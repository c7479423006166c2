package agentcore_test

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/supervise"
)

// cycles is how often TestManyCrashes kills: SHARETRAY_CYCLES, or a few.
func cycles(t *testing.T) int {
	if v := os.Getenv("SHARETRAY_CYCLES"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 40
}

// TestManyCrashes: however often a share's process is killed, the agent keeps
// no descriptor, no goroutine, no child and no memory of it. It does not run
// beside other tests, which would be counted too.
func TestManyCrashes(t *testing.T) {
	// However quickly they follow each other, crashes are answered at once.
	r := newRig(t, strings.Replace(quickSettings, `min_ready = "20ms"`, "min_ready = \"1ms\"\ngive_up_after = 1000", 1))
	r.share("photos", r.folder("hello"))
	n := cycles(t)
	crash := func(times int) {
		t.Helper()
		st, err := r.Get("photos")
		if err != nil {
			t.Fatal(err)
		}
		for range times {
			before := st
			st = r.until("photos", "ready", func(s agentcore.Status) bool { return s.State == supervise.Ready && s.PID != 0 })
			kill(t, st.PID)
			r.mustGetAfterKill(st.URLs[0]+"a.txt", "hello")
			st = r.until("photos", "replaced", func(s agentcore.Status) bool {
				return s.State == supervise.Ready && s.PID != st.PID && s.Restarts > before.Restarts
			})
		}
	}
	crash(max(10, n/10)) // what grows once has grown
	fds, routines, memory := descriptors(t), runtime.NumGoroutine(), heap()
	crash(n)
	// The last standby may still be on its way: another 8 descriptors and goroutines.
	// And on a busy machine the last ones that were killed are not gone at once.
	const slack = 8
	var fdsNow, routinesNow, z int
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		// What is judged is what was seen at one moment: a standby may come the next.
		fdsNow, routinesNow, z = descriptors(t), runtime.NumGoroutine(), zombies(t)
		if fdsNow <= fds+slack && routinesNow <= routines+slack && z <= 1 || time.Now().After(end) {
			break
		}
	}
	if fdsNow > fds+slack {
		t.Errorf("%d descriptors after %d crashes, %d before", fdsNow, n, fds)
	}
	if routinesNow > routines+slack {
		t.Errorf("%d goroutines after %d crashes, %d before", routinesNow, n, routines)
	}
	if now := heap(); now > memory+5<<20 {
		t.Errorf("%d bytes in use after %d crashes, %d before", now, n, memory)
	}
	if z > 1 { // one may be on its way to be waited for
		t.Errorf("%d zombies", z)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// zombies counts the children of this process that nobody has waited for.
func zombies(t *testing.T) int {
	t.Helper()
	procs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range procs {
		stat, err := os.ReadFile("/proc/" + p.Name() + "/stat")
		if err != nil {
			continue
		}
		// "pid (comm) state ppid": the comm may hold anything but ends at the last ")".
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(f) > 1 && string(f[0]) == "Z" && string(f[1]) == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
}
