package main

import (
	"os"
	"runtime"
	"slices"
	"testing"
)

func TestFieldKB(t *testing.T) {
	t.Parallel()
	const text = "Name:\tx RssAnon: 7 kB\nVmRSS:\t  900 kB\nRssAnon:\t     512 kB\nThreads:\t9\nOdd:\tmany kB\n"
	for _, tt := range []struct {
		name string
		want int64
		ok   bool
	}{
		{"RssAnon", 512, true},
		{"VmRSS", 900, true},
		{"Threads", 9, true},
		{"Odd", 0, false},
		{"RssFile", 0, false},
	} {
		got, err := fieldKB([]byte(text), tt.name)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %d, %v; want %d, ok %v", tt.name, got, err, tt.want, tt.ok)
		}
	}
}

func TestParentOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		stat string
		want int
		ok   bool
	}{
		{"12 (caddy) S 7 12 12 0", 7, true},
		{"12 (a) b (c) 3 4) R 9 1", 9, true}, // a name may look like anything
		{"12 (x) S", 0, false},
		{"", 0, false},
	} {
		if got, ok := parentOf(tt.stat); got != tt.want || ok != tt.ok {
			t.Errorf("%q: %d %v, want %d %v", tt.stat, got, ok, tt.want, tt.ok)
		}
	}
}

func TestOwnProcessIsSeen(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc")
	}
	if bytes, err := rssAnon(os.Getpid()); err != nil || bytes < 1<<20 {
		t.Errorf("this process holds %d bytes, %v", bytes, err)
	}
	if kin := family(os.Getppid()); !slices.Contains(kin, os.Getpid()) {
		t.Errorf("the parent's family %v is without this process, %d", kin, os.Getpid())
	}
}

func TestParsePID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want int
		ok   bool
	}{
		{"123\n", 123, true},
		{" \n", 0, true},
		{"-1\n", 0, true}, // what s6-svstat says of one that is down
		{"No such process", 0, false},
	} {
		if got, err := parsePID(tt.text); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %d, %v; want %d, ok %v", tt.text, got, err, tt.want, tt.ok)
		}
	}
}

func TestCalm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		seen []int64
		want bool
	}{
		{"too few", []int64{1000, 1000}, false},
		{"still", []int64{1, 1000, 1001, 1002, 1003, 1004, 1005}, true},
		{"falling", []int64{1100, 1080, 1060, 1040, 1020, 1000}, false},
	} {
		if got := calm(tt.seen); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
