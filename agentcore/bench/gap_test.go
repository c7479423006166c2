package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestGaps(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	ok := func(begun, ended time.Duration) sample {
		return sample{begun: begun * ms, ended: ended * ms, outcome: answered}
	}
	lost := func(begun, ended time.Duration, how outcome) sample {
		return sample{begun: begun * ms, ended: ended * ms, outcome: how}
	}
	for _, tt := range []struct {
		name    string
		kills   []moment
		samples []sample
		want    []time.Duration
	}{
		{"an answer to an earlier request does not end the gap",
			[]moment{{10 * ms, 11 * ms}}, []sample{ok(9, 12), ok(12, 40)}, []time.Duration{30 * ms}},
		{"nor one to a request sent while the kill was on its way",
			[]moment{{10 * ms, 12 * ms}}, []sample{ok(11, 13), ok(13, 50)}, []time.Duration{40 * ms}},
		{"nor a refusal or a cut",
			[]moment{{10 * ms, 10 * ms}}, []sample{lost(11, 12, refused), lost(11, 13, cut), lost(11, 14, odd), ok(20, 25)}, []time.Duration{15 * ms}},
		{"the first answer counts, not the first request",
			[]moment{{10 * ms, 10 * ms}}, []sample{ok(11, 90), ok(30, 35)}, []time.Duration{25 * ms}},
		{"each kill by itself",
			[]moment{{0, 0}, {100 * ms, 101 * ms}}, []sample{ok(1, 7), ok(102, 111)}, []time.Duration{7 * ms, 11 * ms}},
		{"no answer is no gap", []moment{{10 * ms, 10 * ms}}, []sample{ok(1, 5), lost(11, 12, cut)}, nil},
	} {
		got, err := gaps(tt.kills, tt.samples)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}

// mortal is a service in a process of its own, this very test's executable,
// which comes back a while after it has died.
type mortal struct {
	t    *testing.T
	addr string
	down time.Duration

	mu      sync.Mutex
	serving *exec.Cmd
	stopped bool
	life    sync.WaitGroup
}

const mortalEnv = "SHARETRAY_BENCH_MORTAL"

// mortalMain makes this process a mortal's, when it was started as one.
func mortalMain() {
	if addr := os.Getenv(mortalEnv); addr != "" {
		panic(http.ListenAndServe(addr, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(pattern[:64]) })))
	}
}

func startMortal(t *testing.T, down time.Duration) *mortal {
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	m := &mortal{t: t, addr: address(ports[0]), down: down}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.up()
	t.Cleanup(m.stop)
	return m
}

func (m *mortal) up() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), mortalEnv+"="+m.addr)
	if err := cmd.Start(); err != nil {
		m.t.Error(err)
		return
	}
	m.serving = cmd
	m.life.Go(func() {
		cmd.Wait()
		time.Sleep(m.down) // it is this that is measured
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.stopped {
			m.up()
		}
	})
}

func (m *mortal) pid(context.Context) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.serving.Process.Pid, nil
}

func (m *mortal) restart(context.Context) error { return nil }

func (m *mortal) stop() {
	m.mu.Lock()
	m.stopped = true
	m.serving.Process.Kill()
	m.mu.Unlock()
	m.life.Wait()
}

func TestCrashMeasuresTheGap(t *testing.T) {
	t.Parallel()
	m := startMortal(t, 60*time.Millisecond)
	var res gapResult
	p := plan{kills: 3, uptime: 50 * time.Millisecond}
	if err := res.crash(t.Context(), m, target{addr: m.addr, file: "file", size: 64}, p); err != nil {
		t.Fatal(err)
	}
	if len(res.Gaps) != 3 || least(res.Gaps) < m.down {
		t.Errorf("3 kills, each %v down: gaps %v", m.down, res.Gaps)
	}
	if res.Refused == 0 || res.Odd != 0 {
		t.Errorf("%d refused, %d odd (%s)", res.Refused, res.Odd, res.Oddity)
	}
}

func TestCrashSaysThatNothingCameBack(t *testing.T) {
	t.Parallel()
	m := startMortal(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var res gapResult
	err := res.crash(ctx, m, target{addr: m.addr, file: "file", size: 64}, plan{kills: 1, uptime: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("interrupted while it waited: %v", err)
	}
}
