package main

import (
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		only string
		want []string
	}{
		{"", parts},
		{"gap", []string{"gap"}},
		{"roll,gap", []string{"roll", "gap"}},
		{"gaps", nil},
		{"gap,", nil},
	} {
		got, err := choose(tt.only)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("%q: %v, %v; want %v", tt.only, got, err, tt.want)
		}
	}
}

func TestWrongUsageIsRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-only", "all"}, {"gap"}, {"-kills", "many"}, {"-no-such-flag"}} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != flag.ErrHelp {
		t.Errorf("-h: %v", err)
	}
}

func TestAllReady(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		states string
		want   bool
		ok     bool
	}{
		{"ready ready", true, true},
		{"ready", false, true}, // the other is not even listed yet
		{"ready starting", false, true},
		{"ready failed", false, false},
		{"invalid ready", false, false},
	} {
		var all []status
		for _, state := range strings.Fields(tt.states) {
			all = append(all, status{State: state})
		}
		if got, err := allReady(all, 2); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %v, %v", tt.states, got, err)
		}
	}
}

func TestSplitAtTheStop(t *testing.T) {
	t.Parallel()
	const at = 100
	before, during := split([]sample{
		{begun: 1, connected: 2, ended: 50, outcome: cut},        // over long before
		{begun: 90, connected: 95, ended: 120},                   // there, and answered
		{begun: 90, connected: 100, ended: 130, outcome: cut},    // there, and lost
		{begun: 99, connected: 101, ended: 140},                  // came later
		{begun: 110, connected: 111, ended: 150, outcome: cut},   // the same
		{begun: 120, connected: 0, ended: 160, outcome: refused}, // it is stopped
	}, at)
	if before.by != [outcomes]int{answered: 1, cut: 1} || during.by != [outcomes]int{answered: 1, cut: 1} {
		t.Errorf("before %v, during %v", before.by, during.by)
	}
}

func TestRunScriptAndConfigNameTheSite(t *testing.T) {
	t.Parallel()
	r := &rig{site: "/tmp/a site", caddy: "/tmp/caddy"}
	want := "#!/bin/sh\nexec '/tmp/caddy' 'file-server' '--root' '/tmp/a site' '--listen' '127.0.0.1:81'\n"
	if got := string(runScript(r, 81)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	want = "version = 1\nkind = \"web\"\ntarget = \"/tmp/a site\"\nport = 81\nreach = \"local\"\n"
	if got := shareFile("/tmp/a site", 81); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRigEndsWhatItStarted: also what had itself put into the background, and
// nothing of another place.
func TestRigEndsWhatItStarted(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("it finds its processes in /proc")
	}
	r, err := newRig(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.close() })
	one, err := r.newPlace("one")
	if err != nil {
		t.Fatal(err)
	}
	two, err := r.newPlace("two")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*place{one, two} {
		if _, err := p.run(t.Context(), "/bin/sh", "-c", "setsid sleep 600 </dev/null >/dev/null 2>&1 & exit 0"); err != nil {
			t.Fatal(err)
		}
		err := poll(t.Context(), "the process is seen", 5*time.Millisecond, func() (bool, error) {
			return len(carrying(r.mark(p.label))) == 1, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.sweep(one.label, 0)
	if n := len(carrying(r.mark(one.label))); n != 0 {
		t.Errorf("%d processes left in the place that was swept", n)
	}
	if n := len(carrying(r.mark(two.label))); n != 1 {
		t.Errorf("%d processes left in the other place, want 1", n)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
	if n := len(carrying(r.mark(two.label))); n != 0 {
		t.Errorf("%d processes outlived the rig", n)
	}
	if _, err := os.Stat(r.dir); !os.IsNotExist(err) {
		t.Errorf("the rig's folder is still there: %v", err)
	}
}

// TestQuickRun measures a crash and plain Caddy for real, with the peers that
// are there, and without Sharetray, which it must name and leave out.
func TestQuickRun(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("builds and runs Caddy under every supervisor, on Linux")
	}
	out := filepath.Join(t.TempDir(), "page.md")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	args := []string{"-quick", "-kills", "1", "-only", "gap,rate,memory", "-sharetray", filepath.Join(t.TempDir(), "none"), "-out", out}
	var said strings.Builder
	if err := run(ctx, args, &said, t.Output()); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != said.String() {
		t.Error("what was written is not what was printed")
	}
	for _, s := range []supervisor{sharetray{"/none"}, findRunit(), findPM2(ownPeers(ctx)), findS6(), findSupervisord()} {
		row := "| " + s.name() + " | 1 | "
		if why := s.missing(); why != "" {
			row = "| " + s.name() + " | " + why
		}
		if !strings.Contains(said.String(), row) {
			t.Errorf("no row %q in\n%s", row, said.String())
		}
	}
}
