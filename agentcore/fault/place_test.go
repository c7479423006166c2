//go:build linux

package fault

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sharetray/agentcore"
	"sharetray/agentcore/control"
)

// TestFaultRuntimeFolder: the folder for sockets is not as it should be.
func TestFaultRuntimeFolder(t *testing.T) {
	t.Parallel()
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.declare("a")
		h.must(os.RemoveAll(h.run))
		h.inOwnFolder()
		h.live("a")
		h.done("quit")
		h.nothingLeft()
		if left, _ := filepath.Glob(h.path("sharetray-*", "*")); left != nil {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("of another user", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.declare("a")
		if os.Getuid() == 0 { // give it away
			h.must(os.Mkdir(filepath.Join(h.run, "sharetray"), 0o700))
			h.must(os.Chown(filepath.Join(h.run, "sharetray"), 12345, 12345))
		} else { // take somebody else's
			h.replaceEnv("XDG_RUNTIME_DIR", "/")
		}
		h.inOwnFolder()
		h.live("a")
		h.done("quit")
	})
	t.Run("open to others", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.declare("a")
		dir := filepath.Join(h.run, "sharetray")
		h.must(os.Mkdir(dir, 0o777))
		h.must(os.Chmod(dir, 0o777))
		h.live("a")
		for _, d := range []string{dir, filepath.Join(dir, "l")} {
			if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s is %v, %v", d, info.Mode(), err)
			}
		}
		h.done("quit")
		h.nothingLeft()
	})
	t.Run("deleted while running", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		link := h.declare("a")
		agent := h.live("a")
		pid := h.status("a").PID
		v := h.visit(link)
		h.deleteRun()
		h.eventually("commands reach the agent again", func() bool {
			info, err := h.info()
			return err == nil && info.PID == agent
		})
		h.eventually("the lock is there again", func() bool {
			_, err := os.Stat(filepath.Join(h.run, "sharetray", "lock"))
			return err == nil
		})
		h.kill(agent) // and now it must be found, by a link that is gone
		h.another(agent)
		h.settled("a")
		if now := h.status("a").PID; now != pid {
			t.Errorf("a is process %d, not %d", now, pid)
		}
		h.done("restart", "a")
		h.settled("a")
		v.well()
		h.done("quit")
		h.nothingLeft()
	})
	t.Run("deleted, and another agent is started", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		link := h.declare("a")
		h.live("a")
		pid := h.status("a").PID
		v := h.visit(link)
		h.deleteRun()
		h.agent()
		h.settled("a")
		v.well()
		if now := h.status("a").PID; now != pid {
			t.Errorf("a is process %d, not %d", now, pid)
		}
		h.done("quit")
		h.nothingLeft()
	})
}

// deleteRun deletes the runtime folder at one blow: the agent may make it anew
// before all in it is gone.
func (h *house) deleteRun() {
	h.must(os.Rename(filepath.Join(h.run, "sharetray"), h.path("deleted")))
	h.must(os.RemoveAll(h.path("deleted")))
}

// inOwnFolder expects the sockets in the folder under the temporary one.
func (h *house) inOwnFolder() {
	h.client = nil
	h.find = func() *control.Client {
		found, _ := filepath.Glob(h.path("sharetray-*", "*", "control"))
		if len(found) != 1 {
			return nil
		}
		return control.Dial(agentcore.Paths{Control: found[0]})
	}
}

func (h *house) replaceEnv(name, value string) {
	for i, v := range h.env {
		if strings.HasPrefix(v, name+"=") {
			h.env[i] = name + "=" + value
		}
	}
}

// TestFaultDiskFull: nothing can be written, by anybody.
func TestFaultDiskFull(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"disk.write", "disk.sync"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			link := h.declare("a")
			h.must(os.MkdirAll(h.path("shared", "b"), 0o700))
			h.fails(step + "=full process." + step + "=full")
			agent := h.live("a")
			before := h.shareFiles()
			v := h.visit(link)
			h.arm()
			for _, args := range [][]string{
				{"set", "a", "listing=false"},
				{"share", "web", h.path("shared", "b")},
			} {
				out, errs, code := h.tell(args...)
				if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "the disk is full") || !strings.Contains(errs, "make room") {
					t.Errorf("%v: %d %q %q", args, code, out, errs)
				}
			}
			// A process that begins now leaves no record, and is found all the same.
			h.done("restart", "a")
			pid := h.status("a").PID
			h.kill(agent)
			h.another(agent)
			h.ready("a")
			h.kill(h.status("a").PID)
			h.eventually("it is back", func() bool { st := h.status("a"); return st.State == "ready" && st.PID != pid })
			h.disarm()
			now := h.shareFiles()
			for path, text := range before {
				if now[path] != text {
					t.Errorf("%s was\n%s\nand is\n%s", path, text, now[path])
				}
			}
			if len(now) != len(before) {
				t.Errorf("there are other files now: %v", now)
			}
			v.end() // a process that is killed cuts what it has accepted
			for _, bad := range v.bad {
				if strings.Contains(bad, "refused") {
					t.Error(bad)
				}
			}
			h.done("set", "a", "listing=false")
			h.settled("a")
			h.must(visit(http.DefaultClient, link))
			h.done("quit")
			h.nothingLeft()
		})
	}
}

// TestFaultUpgrade: programs that should not have been.
func TestFaultUpgrade(t *testing.T) {
	t.Parallel()
	program := func(h *house, text []byte, mode os.FileMode) string {
		path := h.path("new")
		h.must(os.WriteFile(path, text, mode))
		return path
	}
	for name, c := range map[string]struct {
		exe   func(*house) string
		fails string
		why   string
	}{
		"not there":   {func(h *house) string { return h.path("nowhere") }, "", "there is no program at"},
		"no program":  {func(h *house) string { return program(h, []byte("hello"), 0o755) }, "", "can't be run on this computer"},
		"may not run": {func(h *house) string { return program(h, []byte("#!/bin/sh\n"), 0o600) }, "", "make it an executable file"},
		"for another processor": {func(h *house) string {
			b, err := os.ReadFile(h.version(2))
			h.must(err)
			b[18] ^= 0xff // the machine, in an ELF header
			return program(h, b, 0o755)
		}, "", "can't be run on this computer"},
		"crashes at once":     {func(h *house) string { return program(h, []byte("#!/bin/sh\nexit 3\n"), 0o755) }, "", "ended before it was ready (it exited with code 3)"},
		"is killed":           {func(h *house) string { return h.version(2) }, "successor.prove=kill", "ended before it was ready (it was killed by SIGKILL)"},
		"never becomes ready": {func(h *house) string { return h.version(2) }, "successor.prove=stop", "did not become ready in 8s"},
		"can't serve":         {func(h *house) string { return h.version(2) }, "process.serve.proof=fail", "its share processes don't serve"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.env = append(h.env, "SHARETRAY_FAILTIMES=prove=8s")
			link := h.declare("a")
			h.fails(c.fails)
			agent := h.live("a")
			pid := h.status("a").PID
			exe := c.exe(h)
			v := h.visit(link)
			h.arm()
			out, errs, code := h.tell("upgrade", exe)
			if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.why) {
				t.Errorf("%d %q %q", code, out, errs)
			}
			h.disarm()
			h.settled("a")
			v.well()
			if info, err := h.info(); err != nil || info.PID != agent || info.Version != version1 || h.status("a").PID != pid {
				t.Errorf("not as before: %+v, %v", info, err)
			}
			// The right one is still welcome.
			h.done("upgrade", h.version(2))
			h.settled("a")
			if info, err := h.info(); err != nil || info.Version != version2 {
				t.Errorf("%+v, %v", info, err)
			}
			h.done("quit")
			h.nothingLeft()
		})
	}
}

// TestFaultUpgradeTakenBack: the new program proves itself, and fails later. All
// goes back to the one before, and nobody is refused or cut.
func TestFaultUpgradeTakenBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ fails, why string }{
		"a share does not come up": {"process.serve.b=fail", "b: a new process could not take over"},
		"it dies on the way":       {"successor.renew.one=kill", "the new agent ended: it was killed by SIGKILL"},
		"it dies at once":          {"successor.start.surveyed=kill", "the new agent ended: it was killed by SIGKILL"},
		"it hangs":                 {"successor.renew.one=stop", "the new agent hung"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			if name == "it hangs" {
				h.env = append(h.env, "SHARETRAY_FAILTIMES=take=5s")
			}
			a, b := h.declare("a"), h.declare("b")
			h.large("a")
			h.fails(c.fails)
			h.live("a", "b")
			v := h.visit(a, b)
			d := h.begin(a)
			h.arm()
			h.install(h.version(2)) // as a package does
			out, errs, code := h.tell("upgrade")
			if code != 1 || out != "" || strings.Count(errs, "\n") != 1 ||
				!strings.Contains(errs, "the upgrade to "+version2+" was taken back, "+version1+" goes on: ") || !strings.Contains(errs, c.why) {
				t.Errorf("%d %q %q", code, out, errs)
			}
			h.disarm()
			h.ready("a", "b")
			d.finish()
			h.settled("a", "b")
			v.well()
			info, err := h.info()
			if err != nil || info.Version != version1 || info.Upgrade == nil || info.Upgrade.State != agentcore.UpgradeFailed {
				t.Errorf("%+v, %v", info, err)
			}
			for _, name := range []string{"a", "b"} {
				past, err := h.client.History(h.ctx(), name, 100)
				h.must(err)
				last := version1
				for _, e := range past {
					if e.Version != "" {
						last = e.Version
					}
				}
				if last != version1 {
					t.Errorf("%s is served by %s", name, last)
				}
			}
			h.eventually("another update is offered", func() bool { info, err := h.info(); return err == nil && info.Outdated })
			h.done("upgrade")
			h.settled("a", "b")
			h.done("quit")
			h.nothingLeft()
		})
	}
}

// TestFaultOldAgentDies: the old agent dies in the middle of an upgrade, which
// the new one brings to its end.
func TestFaultOldAgentDies(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"upgrade.released", "upgrade.outlived"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			link := h.declare("a")
			h.fails(step + "=kill")
			h.live("a")
			v := h.visit(link)
			h.arm()
			began := time.Now()
			h.tell("upgrade", h.version(2))
			if took := time.Since(began); took > time.Minute {
				t.Errorf("the command took %v", took)
			}
			h.settled("a")
			v.well()
			h.done("quit")
			h.nothingLeft()
		})
	}
}
