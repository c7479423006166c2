//go:build linux

package fault

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scenario is something that agents do, and at each step of which one is killed.
type scenario struct {
	name  string
	do    func(*house)
	fresh bool     // nothing is shared before
	up    []string // the shares that must be up all the while
	after []string // the shares that there are in the end, whatever happens; nil: a and b
	maybe string   // a share that may be there or not
}

var scenarios = []scenario{
	{name: "start", fresh: true, do: func(h *house) { h.agent() }},
	{name: "adoption", up: []string{"a", "b"}, do: func(h *house) {
		info, err := h.info()
		h.must(err)
		h.kill(info.PID)
	}},
	{name: "restart", up: []string{"a", "b"}, do: func(h *house) { h.tell("restart", "a") }},
	{name: "upgrade", up: []string{"a", "b"}, do: func(h *house) { h.tell("upgrade", h.version(2)) }},
	{name: "set", up: []string{"a", "b"}, do: func(h *house) { h.tell("set", "a", "listing=false") }},
	{name: "add", up: []string{"a", "b"}, maybe: "c", do: func(h *house) { h.tell("share", "web", h.path("shared", "c"), "--port", fmt.Sprint(h.port+1)) }},
	{name: "remove", up: []string{"a"}, after: []string{"a"}, maybe: "b", do: func(h *house) { h.tell("remove", "b") }},
	{name: "crash", up: nil, do: func(h *house) {
		pid := h.status("a").PID
		h.kill(pid)
		h.eventually("another process serves a", func() bool { now := h.status("a").PID; return now != 0 && now != pid || !h.armed() })
	}},
}

// TestFaultKillAtEveryStep kills an agent at each step of what it does.
func TestFaultKillAtEveryStep(t *testing.T) {
	t.Parallel()
	all := os.Getenv("SHARETRAY_FAULTS") == "all"
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			files := map[string][]string{} // what each file may say afterwards
			steps := s.play(t, "", files)
			if len(steps) < 5 {
				t.Fatalf("it passes only %v", steps)
			}
			for i, step := range steps {
				// It is agents that are killed here; and what visitors do is told at any time.
				if strings.HasPrefix(step, "process.") || step == "event.told" {
					continue
				}
				if !all && i%9 != len(s.name)%9 {
					continue
				}
				t.Run(step, func(t *testing.T) {
					t.Parallel()
					s.play(t, step, files)
				})
			}
		})
	}
}

// play goes through the scenario, with the agent killed at a step, or unharmed:
// then it returns the steps, and notes what the files may say.
func (s scenario) play(t *testing.T, step string, files map[string][]string) (steps []string) {
	h := newHouse(t)
	if step != "" {
		h.fails(step + "=kill")
	}
	links := map[string]string{"a": h.declare("a"), "b": h.declare("b")}
	h.must(os.MkdirAll(h.path("shared", "c"), 0o700))
	h.must(os.WriteFile(h.path("shared", "c", "a.txt"), []byte("c"), 0o600))
	note := func() {
		for path, text := range h.shareFiles() {
			files[path] = append(files[path], text)
		}
	}
	if !s.fresh {
		h.agent()
		h.settled("a", "b")
	}
	if step == "" {
		note()
	}
	var up []string
	for _, name := range s.up {
		up = append(up, links[name])
	}
	pids := map[string]int{}
	if s.name == "adoption" {
		pids["a"], pids["b"] = h.status("a").PID, h.status("b").PID
	}
	v := h.visit(up...)
	h.arm()
	s.do(h)
	// Where no share process was there to start an agent, the user does.
	if s.fresh && step != "" {
		h.eventually("the agent is killed, and with it all", func() bool { return h.count("agent") == 0 || h.armed() == false })
	}
	want := []string{"a", "b"}
	if s.after != nil {
		want = s.after
	}
	if step != "" {
		h.eventually("it is killed", func() bool { return !h.armed() })
		if h.count("share-process") == 0 || s.fresh {
			h.agent()
		}
	}
	h.ready(want...)
	if s.maybe != "" {
		if _, err := os.Stat(h.config("shares", s.maybe+".toml")); err == nil {
			want = append(want, s.maybe)
		}
	}
	h.settled(want...)
	if len(s.up) > 0 {
		v.well()
	}
	for name, pid := range pids {
		if now := h.status(name).PID; now != pid {
			t.Errorf("%s is process %d now, not %d", name, now, pid)
		}
	}
	if step == "" {
		note()
		return h.trace()
	}
	for path, text := range h.shareFiles() {
		allowed := false
		for _, may := range files[path] {
			allowed = allowed || text == may
		}
		if !allowed {
			t.Errorf("%s is neither old nor new:\n%s", path, text)
		}
	}
	return nil
}

func (h *house) armed() bool {
	_, err := os.Stat(h.path("arm"))
	return err == nil
}

// shareFiles reads the files of shares, with what differs from house to house
// left out.
func (h *house) shareFiles() map[string]string {
	h.Helper()
	paths, err := filepath.Glob(h.config("shares", "*"))
	h.must(err)
	all := map[string]string{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		h.must(err)
		text := strings.ReplaceAll(string(b), h.dir, "DIR")
		for i := range portsEach {
			text = strings.ReplaceAll(text, fmt.Sprint(h.port-h.port%portsEach+i), fmt.Sprint("PORT+", i))
		}
		all[filepath.Base(path)] = text
	}
	return all
}
