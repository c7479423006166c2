package main

import (
	"strings"
	"testing"
	"time"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	const ms = float64(time.Millisecond)
	for _, tt := range []struct{ got, want string }{
		{atMost(6*ms, 6*ms, msOf), "met"},
		{atMost(8.9*ms, 6*ms, msOf), "missed by 2.9 ms (48 %)"},
		{atMost(0, 0, plain), "met"},
		{atMost(3, 0, plain), "missed by 3"},
		{atMost(12.5e6, 10e6, mb), "missed by 2.5 MB (25 %)"},
		{atLeast(1, 1), "met"},
		{atLeast(0.875, 1), "missed by 0.125 (12.5 %)"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

// full is a report of everything, with figures that miss some goals.
func full() *report {
	return &report{
		Taken:    time.Date(2026, 2, 3, 4, 5, 0, 0, time.UTC),
		Took:     90 * time.Second,
		Machine:  machine{Cores: 2, Memory: 8 << 30, Kernel: "6.1.0", Go: "go1.26", LoadAvg: "0.10"},
		Versions: [][2]string{{"Caddy", "v2.11.9"}, {"s6", "not there: no s6-svscan"}},
		Gaps: []gapResult{
			{Who: "Sharetray", Gaps: []time.Duration{4 * time.Millisecond, 30 * time.Millisecond, 5 * time.Millisecond}, Cut: 7},
			{Who: "runit", Gaps: []time.Duration{60 * time.Millisecond, 70 * time.Millisecond}, Refused: 181},
			{Who: "s6", Missing: "not there: no s6-svscan"},
			{Who: "pm2", Failed: "it | did\nnot start"},
		},
		Rate: &rateResult{
			Large:    512 << 20,
			Requests: pairs{Ours: []float64{110, 90, 210}, Theirs: []float64{100, 100, 200}},
			Bytes:    pairs{Ours: []float64{90 << 20}, Theirs: []float64{100 << 20}},
		},
		Memory: &memoryResult{FewN: 2, ManyN: 12, Few: 50e6, Many: 130e6, FewProc: 4, ManyProc: 14, Caddy: 10e6},
		Idle:   &idleResult{Shares: 100, Window: 5 * time.Minute, First: 0.0035, Settled: 0.0015, OfAgent: 0.0005},
		Death: &deathResult{Times: 50, Shares: 5, Replaced: 1, Adoption: []time.Duration{200 * time.Millisecond, 1200 * time.Millisecond, 300 * time.Millisecond},
			felt: felt{Fresh: count{by: [outcomes]int{answered: 700}}, Kept: count{by: [outcomes]int{answered: 600}}, Downloads: count{by: [outcomes]int{answered: 9}}}},
		Upgrade: &upgradeResult{Times: 2, Shares: 20, Took: []time.Duration{4 * time.Second, 6 * time.Second},
			felt: felt{Fresh: count{by: [outcomes]int{answered: 70, refused: 4}}, Downloads: count{by: [outcomes]int{odd: 1}}, Oddity: "status 500"}},
		Start: &startResult{Shares: 100,
			Answered: []time.Duration{time.Second, 3 * time.Second, 2 * time.Second},
			Ready:    []time.Duration{2 * time.Second, 4 * time.Second, 3 * time.Second}},
		Roll: &rollResults{
			Rolls: []rollResult{
				{Who: "Sharetray", What: "restart", Times: 20, felt: felt{Fresh: count{by: [outcomes]int{answered: 900}},
					Kept: count{by: [outcomes]int{answered: 800, cut: 2}, idle: 1}, Downloads: count{by: [outcomes]int{answered: 6, cut: 1}}}},
				{Who: "runit", What: "restart", Times: 20, felt: felt{Fresh: count{by: [outcomes]int{refused: 5000}}}},
			},
			Stop: stopResult{Times: 5, Before: count{by: [outcomes]int{answered: 17}}, During: count{by: [outcomes]int{answered: 40, cut: 3}},
				Downloads: count{by: [outcomes]int{answered: 10}}},
		},
	}
}

func TestReportSaysWhatWasMeasured(t *testing.T) {
	t.Parallel()
	text := full().markdown()
	for _, want := range []string{
		"- Taken: 2026-02-03 04:05 UTC, in 1m30s\n",
		"- Machine: 2 cores, 8 GiB of memory, Linux 6.1.0, go1.26; load average when it began: 0.10\n",
		"- s6: not there: no s6-svscan\n",
		"| crash gap, median | <= 6.0 ms | 5.0 ms | met |\n",
		"| crash gap, longest | <= 25.0 ms | 30.0 ms | missed by 5.0 ms (20 %) |\n",
		"| refused over all crashes | 0 | 0 over 3 | met |\n",
		"| requests/s, 4 KiB file | >= 1.0x Caddy | 1.050x | met |\n",
		"| bytes/s, large file | >= 1.0x Caddy | 0.900x | missed by 0.100 (10.0 %) |\n",
		"| anonymous memory of one more idle share | <= 10.0 MB | 8.0 MB | met |\n",
		"| until 100 shares are ready, median | <= 3.00 s | 3.00 s | met |\n",
		"| CPU of 100 idle shares | <= 0.20 % of a core | 0.15 % | met |\n",
		"| first | 0.35 % |\n",
		"| SIGKILL of the agent under load, 50 times: refused, cut, else wrong | 0, 0, 0 | 0, 0, 0 | met |\n",
		"| shares not adopted as they were | 0 | 1 | missed by 1 |\n",
		"| until all are adopted, longest | <= 1000.0 ms | 1200.0 ms | missed by 200.0 ms (20 %) |\n",
		"| upgrade of 20 shares under load, 2 times: refused, cut, else wrong | 0, 0, 0 | 4, 0, 1 | missed by 5 |\n",
		"| SIGKILL of the agent | 5 | 3 | 0.30 s | 1.20 s | 1300 | 0 | 0 | 9 | 0 | 0 |\n",
		"| upgrade | 20 | 2 | 5.00 s | 6.00 s | 70 | 4 | 0 | 0 | 0 | 1 (status 500) |\n",
		"| restart under load, 20 times: refused, cut, else wrong | 0, 0, 0 | 0, 3, 0 | missed by 3 |\n",
		"| stop under load, 5 times: connected before it and not answered whole | 0 | 0 | met |\n",
		"| Sharetray | 3 | 5.0 ms | 30.0 ms | 0 | 0.0 | 7 | 0 |\n",
		"| runit | 2 | 65.0 ms | 70.0 ms | 181 | 90.5 | 0 | 0 |\n",
		"| s6 | not there: no s6-svscan |  |  |  |  |  |  |\n",
		`| pm2 | it \| did not start |  |  |  |  |  |  |` + "\n",
		"| requests/s, 4 KiB file | 110 | 100 | 3 | 1.050 | 0.900 to 1.100 |\n",
		"| Sharetray | restart | 20 | 1700 | 0 | 2 | 1 | 6 | 1 | 0 |\n",
		"| Sharetray | 5 | 17 | 0 | 40 | 3 | 10 | 0 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page is without %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// Every table must have as many cells in each row as it has columns.
func TestReportTablesAreWhole(t *testing.T) {
	t.Parallel()
	none := full()
	none.Gaps[0].Missing, none.Rate.Missing, none.Memory.Missing = "gone", "gone", "gone"
	none.Idle.Missing, none.Death.Missing, none.Upgrade.Missing = "gone", "gone", "gone"
	none.Start.Missing, none.Roll.Rolls[0].Missing, none.Roll.Stop.Missing = "gone", "gone", "gone"
	for _, rep := range []*report{full(), none, {}} {
		columns := 0
		for line := range strings.Lines(rep.markdown()) {
			if !strings.HasPrefix(line, "|") {
				columns = 0
				continue
			}
			cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") - 1
			if columns == 0 {
				columns = cells
			}
			if cells != columns {
				t.Errorf("%d cells below %d columns: %s", cells, columns, line)
			}
		}
	}
}

func TestReportNeverGuesses(t *testing.T) {
	t.Parallel()
	rep := full()
	rep.Gaps[0] = gapResult{Who: "Sharetray", Missing: "not there: build it first"}
	rep.Rate.Failed = "the server went away"
	for _, g := range rep.goals()[:5] {
		if g.got != notMeasured || g.verdict == "met" {
			t.Errorf("%+v", g)
		}
	}
	want := []string{"crash gap of pm2: it | did\nnot start", "throughput: the server went away"}
	if got := rep.failures(); strings.Join(got, ";") != strings.Join(want, ";") {
		t.Errorf("failures %q, want %q", got, want)
	}
}
